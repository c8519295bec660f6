"""What is said of batching, and why."""

from tests.serving.tune.trials import trial

from regard.export.artifact import Artifact
from regard.serving.bench.images import sample_images
from regard.serving.tune.advice import advise
from regard.serving.tune.batch_gain import BatchGain, batch_gain

GAINS = BatchGain(threads=1, size=4, one=0.010, batch=0.016)
FULL = BatchGain(threads=2, size=4, one=0.010, batch=0.042)


def test_a_gain_with_many_arrivals_is_worth_it() -> None:
    found = advise(trial(300, p50=10.0), GAINS, [])
    assert found.worth
    assert "2.50 x as many images" in found.reasons[0]
    assert "3.0 others come to an instance while it answers one (10.0 ms)" in found.reasons[1]
    assert "takes 10.0 ms, and saves 6.0 ms an image: a queue delay costs more" in found.reasons[2]


def test_one_image_that_fills_the_cores() -> None:
    found = advise(trial(300, p50=10.0), FULL, [])
    assert not found.worth
    assert "with 2 threads, which is 0.95 x" in found.reasons[0]
    assert "one image already fills the cores" in found.reasons[0]
    assert "saves nothing" in found.reasons[2]


def test_arrivals_that_are_too_rare() -> None:
    found = advise(trial(60, p50=10.0, instances=2), GAINS, [])
    assert not found.worth
    assert "0.3 others" in found.reasons[1]
    assert "too rare" in found.reasons[1]


def test_a_queue_delay_that_is_less_than_the_gain() -> None:
    found = advise(trial(1000), GAINS, [])
    assert found.reasons[2].endswith("takes 3.0 ms, and saves 6.0 ms an image")


def test_what_was_measured_decides() -> None:
    alone, together = trial(300, p50=10.0), trial(290, batching=True, p50=10.0)
    for subject in (alone, together):
        found = advise(subject, GAINS, [alone, together])
        assert not found.worth
        assert found.reasons[-1] == "measured: 290 images a second with batching, 300 without it"
    assert advise(alone, FULL, [alone, trial(400, batching=True)]).worth
    other = trial(900, batching=True, instances=2)
    assert not any("measured" in reason for reason in advise(alone, GAINS, [alone, other]).reasons)


def test_a_model_that_takes_one_image_at_a_time() -> None:
    assert not advise(trial(300), None, []).worth


def test_where_nothing_meets_the_slo_batching_does_not_help() -> None:
    found = advise(trial(0), GAINS, [])
    assert not found.worth
    assert "2.50 x as many images" in found.reasons[0]
    assert "only delay requests" in found.reasons[1]


def test_the_gain_of_a_graph_is_measured(colour: Artifact) -> None:
    found = batch_gain(colour, sample_images(colour.card)[0], threads=1)
    assert (found.threads, found.size) == (1, 4)
    assert min(found.one, found.batch, found.factor) > 0
