"""Hard pixel mining, against sorting every pixel of the batch."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from regard.models.losses.criterion import UNLABELLED, cross_entropy
from regard.models.losses.hard_pixels import hard_pixels
from regard.models.training.loop import criterion_of
from regard.models.training.recipe import Recipe, find_recipe, recipe_from_file


@pytest.fixture
def batch():
    """Logits in float64, and labels of which some are missing."""
    random = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 5, 6, 7, generator=random, dtype=torch.float64)
    labels = torch.randint(0, 5, (2, 6, 7), generator=random)
    labels[torch.rand(2, 6, 7, generator=random) < 0.2] = UNLABELLED
    return logits, labels


def hardest(logits, labels, threshold, min_kept):
    """Mean cross entropy of the pixels up to the threshold or among the min_kept least sure, one by one."""
    pixels = [
        (
            torch.softmax(logits[b, :, i, j].float(), 0)[label].item(),
            F.cross_entropy(logits[b, :, i, j].float(), torch.tensor(label)),
        )
        for b, rows in enumerate(labels.tolist())
        for i, row in enumerate(rows)
        for j, label in enumerate(row)
        if label != UNLABELLED
    ]
    pixels.sort(key=lambda pixel: pixel[0])
    kept = [loss for rank, (right, loss) in enumerate(pixels) if right <= threshold or rank < min_kept]
    return len(kept), torch.stack(kept).mean().item()


@pytest.mark.parametrize(
    ("threshold", "min_kept"), [(0.7, 1), (0.1, 20), (0.0, 3), (0.3, 30), (0.7, 1000), (1.0, 1)]
)
def test_keeps_the_unsure_and_the_hardest(batch, threshold, min_kept):
    count, expected = hardest(*batch, threshold, min_kept)
    assert count >= min(min_kept, int((batch[1] != UNLABELLED).sum()))
    assert hard_pixels(threshold=threshold, min_kept=min_kept)(*batch).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_all_pixels_are_plain_cross_entropy(batch):
    assert torch.equal(hard_pixels(min_kept=10**6)(*batch), cross_entropy()(*batch))
    assert hard_pixels(threshold=0.2, min_kept=1)(*batch) > cross_entropy()(*batch)


def test_easy_pixels_get_no_gradient(batch):
    logits, labels = batch[0].requires_grad_(), batch[1]
    hard_pixels(threshold=0.1, min_kept=10)(logits, labels).backward()
    touched = logits.grad.abs().sum(dim=1) > 0
    right = logits.softmax(dim=1).gather(1, labels.masked_fill(labels == UNLABELLED, 0)[:, None])[:, 0]
    count, _ = hardest(logits.detach(), labels, 0.1, 10)
    assert int(touched.sum()) == count
    assert not touched[labels == UNLABELLED].any()
    assert right[touched].max() <= right[~touched & (labels != UNLABELLED)].min()


def test_class_weights_and_smoothing_reach_what_is_kept(batch):
    logits, labels = batch
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0])
    right = (
        logits.float().softmax(dim=1).gather(1, labels.masked_fill(labels == UNLABELLED, 0)[:, None])[:, 0]
    )
    kept = labels.masked_fill(right > 0.4, UNLABELLED)
    expected = F.cross_entropy(logits.float(), kept, weights, ignore_index=UNLABELLED, label_smoothing=0.1)
    assert torch.allclose(hard_pixels(weights, 0.1, threshold=0.4, min_kept=1)(logits, labels), expected)


def test_leaves_the_labels_alone(batch):
    kept = batch[1].clone()
    hard_pixels(threshold=0.1, min_kept=1)(*batch)
    assert torch.equal(batch[1], kept)


def test_recipes_for_whole_images_refuse_it():
    recipe = recipe_from_file(find_recipe(Path("se_resnet18_fashion_mnist"))).model_dump()
    Recipe.model_validate(recipe)
    recipe["optimization"]["hard_pixels"] = 7
    with pytest.raises(ValueError, match="hard_pixels is for mask_folders"):
        Recipe.model_validate(recipe)


def test_the_recipe_chooses_it(batch):
    recipe = recipe_from_file(find_recipe(Path("danet_mobilenet_v2_camvid_short")))
    mined = recipe.model_copy(
        update={"optimization": recipe.optimization.model_copy(update={"hard_pixels": 7})}
    )
    weights = torch.ones(5)
    assert torch.equal(criterion_of(recipe, weights)(*batch), cross_entropy(weights)(*batch))
    assert torch.equal(criterion_of(mined, weights)(*batch), hard_pixels(weights, min_kept=7)(*batch))
    assert not torch.equal(criterion_of(mined, weights)(*batch), criterion_of(recipe, weights)(*batch))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "probability.*1.5"),
        ({"threshold": -0.1}, "probability"),
        ({"min_kept": 0}, "min_kept.*0"),
    ],
)
def test_refuses_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        hard_pixels(**options)
