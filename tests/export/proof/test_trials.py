import numpy as np
import pytest

from regard.contract.image_input import ImageInput
from regard.errors import InvalidInput
from regard.export.proof.trials import BATCHES, Shape, image_batch, trial_shapes, trials_of


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


def test_three_batch_sizes_and_three_sizes_the_later_ones_odd() -> None:
    shapes = trial_shapes(contract())
    assert [shape.batch for shape in shapes] == list(BATCHES)
    assert (shapes[0].height, shapes[0].width) == (360, 480)
    assert len({(shape.height, shape.width) for shape in shapes}) == 3
    assert all(shape.height % 2 and shape.width % 2 for shape in shapes[1:])


def test_a_static_size_varies_the_batch_only() -> None:
    shapes = trial_shapes(contract(resize="stretch", dynamic_size=False))
    assert [(shape.height, shape.width) for shape in shapes] == [(360, 480)] * 3


@pytest.mark.parametrize(("least", "greatest"), [(360, 2048), (64, 480), (355, 485)])
def test_sizes_stay_within_the_contract(least: int, greatest: int) -> None:
    shapes = trial_shapes(contract(min_size=least, max_size=greatest))
    assert all(least <= size <= greatest for shape in shapes for size in (shape.height, shape.width))
    assert len({(shape.height, shape.width) for shape in shapes}) >= 2


def test_a_dynamic_size_of_one_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one size"):
        trial_shapes(contract(height=64, width=64, min_size=64, max_size=64))


def test_images_are_used_again_and_brought_to_size() -> None:
    images = [np.full((10, 12, 3), value, np.uint8) for value in (10, 20)]
    batch = image_batch(images, Shape(3, 65, 67), contract())
    assert batch.shape == (3, 65, 67, 3)
    assert [int(image.max()) for image in batch] == [10, 20, 10]


def test_no_images_prove_nothing() -> None:
    with pytest.raises(InvalidInput, match="at least one image"):
        trials_of([], contract())


def test_a_trial_says_whether_its_batch_was_traced() -> None:
    images = [np.zeros((10, 12, 3), np.uint8)]
    assert [trial.traced for trial in trials_of(images, contract())] == [True, False, False]
    assert [trial.traced for trial in trials_of(images, contract(), traced=3)] == [False, False, True]
    assert not any(trial.traced for trial in trials_of(images, contract(), traced=None))
