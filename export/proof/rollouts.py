"""What a certificate tries of a network with state: rollouts, whose steps are asked one after the other, each
with the state that its session was given back before.

            size                        sessions
    first   the Card's                  two, interleaved; the first begins again in the middle
    others  the limits and an odd one,  one
            where the size is dynamic

None was traced. A session begins with whatever state was given back last, of another session and often of
another size, beside a `start` of 1: nothing of it may show.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.names import START
from regard.contract.pixels_input import PixelsInput
from regard.contract.preprocess import Pixels
from regard.contract.state import State
from regard.export.proof.image_trials import image_batch, made_image, moving, size_of, trial_shapes
from regard.export.proof.runner import Arrays, Runner
from regard.export.proof.trial import SESSION, Trial

STEPS = 8  # of a session
BEGINS_AGAIN = 5  # step of the first session
DARK = 3  # step that is a black image


def rollouts_of(images: Sequence[Pixels], contract: PixelsInput) -> tuple[Trial, ...]:
    """The trials of a Card with state.

    Raises:
        InvalidInput: no images, or a dynamic size that leaves one size only.
    """
    sizes = dict.fromkeys(size_of(shape) for shape in trial_shapes(contract))
    return tuple(
        _rollout(images, size, contract, sessions=1 if turn else 2) for turn, size in enumerate(sizes)
    )


def _rollout(
    images: Sequence[Pixels], size: tuple[int, int], contract: PixelsInput, *, sessions: int
) -> Trial:
    shape = replace(trial_shapes(contract)[0], batch=sessions, height=size[0], width=size[1])
    films = [moving(image, STEPS) for image in image_batch(images, shape, contract)]
    for film in films:
        film[DARK] = made_image("a black image", size, contract)
    order = [(step, session) for step in range(STEPS) for session in range(sessions)]
    starts = [
        step == 0 or (sessions > 1 and session == 0 and step == BEGINS_AGAIN) for step, session in order
    ]
    return Trial(
        {
            contract.tensor: np.stack([films[session][step] for step, session in order]),
            START: np.array(starts, np.float32)[:, None],
            SESSION: np.array([session for _, session in order]),
        },
        tuple(f"step {step + 1} of session {session + 1}" for step, session in order),
        traced=False,
    )


def one_session(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Steps as a rollout of one session."""
    steps = len(next(iter(inputs.values())))
    first = np.arange(steps) == 0
    return {**inputs, START: first[:, None].astype(np.float32), SESSION: np.zeros(steps, np.int64)}


def in_steps(runner: Runner, card: Card) -> Runner:
    """A runner as one of a Card's trials: itself, or of one with state its steps."""
    return runner if card.state is None else InSteps(runner, card.state)


class InSteps:
    """A runner of steps as one of rollouts: it takes the steps of sessions, and gives the answers to them in
    their order.

    Args:
        steps: takes one row of each input, START and the state, and gives the answer and the next state.
        state: of the Card.
    """

    def __init__(self, steps: Runner, state: State) -> None:
        self.steps = steps
        self.state = state
        self.name = steps.name
        self.sha256 = steps.sha256
        self._last = {each.name: np.zeros((1, *each.initial_dims), np.float32) for each in state.tensors}

    def run(self, inputs: Arrays) -> Arrays:
        """The answers to a rollout's steps.

        Raises:
            CannotRun: as of the runner.
        """
        answers = [given for _, given in self.each(inputs)]
        following = {each.next for each in self.state.tensors}
        return {
            name: np.concatenate([each[name] for each in answers]) for name in answers[0].keys() - following
        }

    def each(self, inputs: Arrays) -> Iterator[tuple[Arrays, Arrays]]:
        """What the runner takes at each step of a rollout, its state among it, and what it gives."""
        sessions: dict[int, Mapping[str, Array]] = {}
        rows = {name: values for name, values in inputs.items() if name != SESSION}
        for step, session in enumerate(inputs[SESSION].tolist()):
            row = {name: values[step : step + 1] for name, values in rows.items()}
            begins = bool(row[START][0, 0])
            taken = {**row, **(self._last if begins else sessions[session])}
            given = self.steps.run(taken)
            self._last = sessions[session] = {each.name: given[each.next] for each in self.state.tensors}
            yield taken, given
