import numpy as np
import pytest
from tests.export.conftest import tiny_card

from regard.contract.card import Card
from regard.contract.image_input import ImageInput
from regard.errors import InvalidInput
from regard.export.proof.image_trials import BATCHES, MADE, image_batch, trial_shapes
from regard.export.proof.trial import Shape
from regard.export.proof.trials import trials_of


def contract(**changes: object) -> ImageInput:
    fields = {
        "height": 360,
        "width": 480,
        "resize": "none",
        "dynamic_size": True,
        "min_size": 64,
        "max_size": 2048,
    }
    return ImageInput.model_validate(fields | changes)


def card(taken: ImageInput) -> Card:
    return tiny_card().updated(inputs=[taken.model_dump()])


def test_a_dynamic_size_is_tried_at_its_limits_and_at_an_odd_one() -> None:
    assert trial_shapes(contract()) == (
        Shape(2, 360, 480),
        Shape(1, 64, 64),
        Shape(6, 253, 289),
        Shape(1, 2048, 168),
        Shape(1, 168, 2048),
    )


def test_a_static_size_varies_the_batch_only() -> None:
    shapes = trial_shapes(contract(resize="stretch", dynamic_size=False))
    assert shapes == tuple(Shape(batch, 360, 480) for batch in BATCHES)


@pytest.mark.parametrize(
    ("least", "greatest", "height", "width"),
    [(360, 2048, 360, 480), (64, 480, 360, 480), (355, 485, 360, 480), (32, 64, 40, 48), (32, 33, 32, 33)],
)
def test_sizes_stay_within_the_contract(least: int, greatest: int, height: int, width: int) -> None:
    shapes = trial_shapes(contract(min_size=least, max_size=greatest, height=height, width=width))
    sides = [side for shape in shapes for side in (shape.height, shape.width)]
    assert min(sides) == least
    assert max(sides) == greatest
    odd = next(shape for shape in shapes if shape.batch == BATCHES[-1])
    assert odd.height % 2 == odd.width % 2 == 1
    assert len(set(shapes)) == len(shapes)


def test_the_tallest_and_the_widest_cost_no_more_than_the_traced_batch() -> None:
    first, *_, tallest, widest = trial_shapes(contract())
    for shape in (tallest, widest):
        assert shape.height * shape.width <= first.batch * first.height * first.width


def test_the_largest_size_is_tried_where_it_costs_no_more() -> None:
    assert trial_shapes(contract(max_size=500))[-1] == Shape(1, 500, 500)
    assert len(trial_shapes(contract(max_size=500))) == 4


def test_a_dynamic_size_of_one_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one size"):
        trial_shapes(contract(height=64, width=64, min_size=64, max_size=64))


def test_images_are_used_again_and_brought_to_size() -> None:
    images = [np.full((10, 12, 3), value, np.uint8) for value in (10, 20)]
    batch = image_batch(images, Shape(3, 65, 67), contract())
    assert batch.shape == (3, 65, 67, 3)
    assert [int(image.max()) for image in batch] == [10, 20, 10]


def test_made_images_stand_beside_a_real_one() -> None:
    real = np.full((10, 12, 3), 7, np.uint8)
    many = trials_of([real], card(contract()))[2]
    assert many.kinds == ("real image 1", *MADE)
    photo, black, white, red, halves, noise = many.image
    assert (photo == 7).all()
    assert (black == 0).all()
    assert (white == 255).all()
    assert (red == (255, 0, 0)).all()
    assert halves.mean() == pytest.approx(127.5, rel=0.01)
    assert set(np.unique(halves)) == {0, 255}
    assert noise.std() == pytest.approx(255 / 12**0.5, rel=0.02)


def test_no_images_prove_nothing() -> None:
    with pytest.raises(InvalidInput, match="at least one image"):
        trials_of([], card(contract()))


def test_a_trial_says_whether_its_batch_was_traced() -> None:
    images = [np.zeros((10, 12, 3), np.uint8)]
    fixed = contract(resize="stretch", dynamic_size=False)
    assert [trial.traced for trial in trials_of(images, card(fixed))] == [True, False, False]
    assert [trial.traced for trial in trials_of(images, card(fixed), traced=1)] == [False, True, False]
    assert not any(trial.traced for trial in trials_of(images, card(fixed), traced=None))
