"""How many images a second models answer that many clients ask at once, in turns, by the load of `regard
bench`.
"""

from collections.abc import Callable, Sequence

from regard.serving.bench.compare import Runner, compare
from regard.serving.bench.load import Worker
from regard.serving.bench.statistics import Estimate
from regard.serving.client.images import ImageLike
from regard.serving.evaluate.data import Data
from regard.serving.evaluate.subject import Subject

IMAGES = 64  # that are sent again and again
WINDOW = 2.0  # seconds
ROUNDS = 5


def throughputs(
    subjects: Sequence[Subject], data: Data, clients: int, report: Callable[[str], None]
) -> list[Estimate]:
    """Images a second of each model under a closed loop of so many clients in this process.

    report: told what begins.

    Raises:
        RegardError: a model does not answer.
    """
    images = [image.image for image in data.images[:IMAGES]]

    def runner(number: int, subject: Subject) -> Runner:
        def send(image: ImageLike) -> int:
            subject.answer(image)
            return 0  # bytes: not every way has a wire

        return Runner(f"{number}. {subject.name}", [Worker(send, images) for _ in range(clients)], batch=1)

    runners = [runner(number, subject) for number, subject in enumerate(subjects, start=1)]
    found = compare(runners, reference=runners[0].name, duration=WINDOW, rounds=ROUNDS, report=report)
    return [each.throughput for each in found]
