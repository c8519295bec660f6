"""The training loop: a recipe and data in; weights, a Card and a resumable checkpoint out."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regard.contract.answers import Classes
from regard.contract.card import Card, Origin
from regard.contract.whole_file import whole_file
from regard.errors import InvalidInput
from regard.models import catalog
from regard.models.backbones.backbone import Backbone, backbones
from regard.models.checkpoint import load_weights, read_state_dict
from regard.models.former_names import under_present_names
from regard.models.losses.criterion import UNLABELLED, Criterion, HasTrainingLoss, cross_entropy
from regard.models.losses.hard_pixels import hard_pixels
from regard.models.options import CLASSES, agreed, with_classes
from regard.models.training.augment import augment
from regard.models.training.before_epoch import before_epoch
from regard.models.training.data import LabelledImages, load
from regard.models.training.metrics import accuracy, confusion, intersection_over_union
from regard.models.training.normalize import as_floats, normalize
from regard.models.training.recipe import Recipe
from regard.models.training.ship import ship


@dataclass(frozen=True)
class Progress:
    """Where a run is: told after every step. `metrics` is filled at the end of an epoch."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    metrics: dict[str, float] | None = None


def train(
    recipe: Recipe,
    root: Path,
    out: Path,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Card:
    """Train a recipe and write `<name>.safetensors` (float16) and `<name>.json` (its Card) into `out`.

    Each epoch ends with a checkpoint in `out/<name>.checkpoint.pt`, from which `resume` goes on; it is
    removed at the end. On a GPU the forward pass runs in bfloat16.

    Raises:
        InvalidInput: the data does not fit the recipe, or there is no checkpoint to resume.
    """
    options = recipe.optimization
    torch.manual_seed(options.seed)
    random = torch.Generator().manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build_network(recipe)
    _check_task(recipe, network)
    training, held_out = load(recipe, root, "train"), load(recipe, root, "val")
    steps = len(training) // options.batch_size + (len(training) % options.batch_size > 1)
    if steps == 0:
        raise InvalidInput(f"{len(training)} training image is too few: BatchNorm needs two in a batch")
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch documents it, its stub lacks it
    optimizer = _optimizer(network, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _schedule(recipe, steps))
    class_weights = balance(training.targets, len(recipe.answer.labels), options.balance).to(device)
    criterion = criterion_of(recipe, class_weights)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{recipe.name}.checkpoint.pt"
    first, latest = 0, math.nan
    if resume:
        first = _restore(checkpoint, network, optimizer, schedule, random)

    for epoch in range(first, options.epochs):
        before_epoch(network, epoch, training, recipe)
        network.train()
        for step, (images, targets) in enumerate(_batches(training, recipe, random)):
            with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                loss = training_loss(network, images.to(device), targets.to(device), criterion)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            latest = loss.item()
            report(Progress(epoch, options.epochs, step + 1, steps, latest))
        metrics = evaluate(network, held_out, recipe)
        _save(checkpoint, network, optimizer, schedule, random, epoch + 1)
        report(Progress(epoch, options.epochs, steps, steps, latest, metrics))

    card = _write(recipe, network, held_out, out)
    checkpoint.unlink(missing_ok=True)
    return card


def training_loss(network: nn.Module, images: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
    """The network's own training loss where it has one, else the criterion of its answer."""
    if isinstance(network, HasTrainingLoss):
        return network.training_loss(images, targets, criterion)
    return criterion(network(images), targets)


def build_network(recipe: Recipe) -> nn.Module:
    """The recipe's network, its backbones pretrained where the recipe says so.

    Raises:
        InvalidInput: the network cannot be built, has no backbone of which the recipe speaks, or the weights
            are not there or of another backbone.
    """
    network = catalog.build(recipe.builder, **_options(recipe))
    speaks_of_one = recipe.pretrained_backbone is not None or recipe.optimization.backbone_factor != 1
    if speaks_of_one and not backbones(network):
        raise InvalidInput(
            f"{recipe.builder} has no backbone: leave pretrained_backbone and backbone_factor out of the "
            "recipe"
        )
    if recipe.pretrained_backbone is not None:
        package, _, name = recipe.pretrained_backbone.partition(":")
        try:
            path = Path(str(files(package) / name))
        except ModuleNotFoundError:
            raise InvalidInput(
                f"the recipe starts from weights in the package {package}, which is not installed"
            ) from None
        state = read_state_dict(path)
        for backbone in backbones(network):
            load_weights(backbone, _of_backbone(backbone, state), source=str(path))
    return network


def _of_backbone(backbone: Backbone, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a state dict holds for a backbone, be it of the backbone alone or of a network that has one.
    Attention that it does not hold stays as it is.
    """
    bare = under_present_names(backbone, {key.removeprefix("backbone."): state[key] for key in state})
    own = backbone.state_dict()
    placed = {id(module) for module in backbone.placed}
    attention = {
        f"{path}.{key}"
        for path, module in backbone.named_modules()
        if id(module) in placed
        for key in module.state_dict()
    }
    return {key: bare.get(key, own[key]) for key in own if key in bare or key in attention}


def _options(recipe: Recipe) -> dict[str, Any]:
    said = {CLASSES: len(recipe.answer.labels)}
    return agreed(said, with_classes(recipe.options), by=f"the answer of the recipe {recipe.name}")


def _check_task(recipe: Recipe, network: nn.Module) -> None:
    task = catalog.find(recipe.builder).task
    if recipe.data.layout == "mask_folders":
        suitable = task == "segmentation" or getattr(network, "learns_from_label_maps", False)
    else:
        suitable = task == "classification"
    if not suitable:
        raise InvalidInput(
            f"{recipe.builder} is for {task}, and {recipe.data.layout} holds the data of another task"
        )


def evaluate(network: nn.Module, held_out: LabelledImages, recipe: Recipe) -> dict[str, float]:
    """Metrics on a split, in 0..1: top1, or mean_iou with the IoU of each class; of a classifier on label
    maps top1_present, the fraction of images in which its answer occurs.
    """
    network.eval()
    device = next(network.parameters()).device
    num_classes = len(recipe.answer.labels)
    counts = torch.zeros((num_classes, num_classes), dtype=torch.int64)
    present = []
    with torch.inference_mode():
        for images, targets in zip(held_out.images.split(32), held_out.targets.split(32), strict=True):
            scores = network(normalize(as_floats(images), recipe).to(device))
            answers = scores.argmax(dim=1).cpu()
            if answers.ndim < targets.ndim:
                present.append((targets == answers[:, None, None]).flatten(1).any(dim=1))
            else:
                counts += confusion(answers, targets, num_classes)
    if present:
        return {"top1_present": torch.cat(present).double().mean().item()}
    if held_out.targets.ndim == 1:
        return {"top1": accuracy(counts)}
    iou = intersection_over_union(counts)
    per_class = {
        f"iou_{label}": value for label, value in zip(recipe.answer.labels, iou.tolist(), strict=True)
    }
    return {"mean_iou": iou.nanmean().item(), **per_class}


def balance(targets: Tensor, num_classes: int, power: float) -> Tensor:
    """Class weights proportional to frequency ** -power, scaled so that their mean over the labelled targets
    is 1: (K,).
    """
    counts = torch.bincount(targets.flatten().long(), minlength=num_classes)[:num_classes].double()
    frequency = counts / counts.sum()
    weights = frequency.clamp(min=1e-6) ** -power
    return (weights / (weights * frequency).sum()).float()


def criterion_of(recipe: Recipe, class_weights: Tensor) -> Criterion:
    """The loss of one supervised output that the recipe chooses."""
    options = recipe.optimization
    if options.hard_pixels:
        return hard_pixels(class_weights, options.label_smoothing, min_kept=options.hard_pixels)
    return cross_entropy(class_weights, options.label_smoothing)


def _batches(
    data: LabelledImages, recipe: Recipe, random: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled, augmented, normalized batches; a last batch of one image is dropped, as BatchNorm cannot
    train on it.
    """
    for indices in torch.randperm(len(data), generator=random).split(recipe.optimization.batch_size):
        if len(indices) == 1:
            continue
        images, targets = augment(
            as_floats(data.images[indices]), data.targets[indices], recipe.augmentation, random
        )
        targets = targets.long()
        if targets.ndim == 3 and recipe.ignore_index is not None:
            targets = targets.masked_fill(targets == recipe.ignore_index, UNLABELLED)
        yield normalize(images, recipe).contiguous(memory_format=torch.channels_last), targets


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    options = recipe.optimization
    slow = (
        {id(parameter) for backbone in backbones(network) for parameter in backbone.parameters()}
        if options.backbone_factor != 1
        else set()
    )
    groups: list[dict[str, Any]] = []
    for in_backbone in (False, True):
        for decayed in (False, True):
            parameters = [
                parameter
                for parameter in network.parameters()
                if (id(parameter) in slow) == in_backbone and (parameter.ndim > 1) == decayed
            ]
            rate = options.learning_rate * (options.backbone_factor if in_backbone else 1)
            if parameters:
                groups.append(
                    {
                        "params": parameters,
                        "lr": rate,
                        "weight_decay": options.weight_decay if decayed else 0.0,
                    }
                )
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups)
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True)


def _schedule(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at a step: linear warm-up, then cosine, or (1 - t) ** 0.9."""
    options = recipe.optimization
    total, warmup = steps * options.epochs, max(1, round(steps * options.warmup_epochs))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        t = min(1.0, (step - warmup) / max(1, total - warmup))
        return (1 + math.cos(math.pi * t)) / 2 if options.schedule == "cosine" else (1 - t) ** 0.9

    return factor


def _save(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    random: torch.Generator,
    epoch: int,
) -> None:
    state = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random": random.get_state(),
        "torch_random": torch.get_rng_state(),
        "epoch": epoch,
    }
    with whole_file(path) as draft:
        torch.save(state, draft)


def _restore(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    random: torch.Generator,
) -> int:
    """Load a checkpoint of `_save` and return the epoch to go on with."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        load_weights(network, state["network"], source=str(path))
        if len(state["optimizer"]["param_groups"]) != len(optimizer.param_groups):
            raise InvalidInput(
                f"{path} groups the parameters otherwise than this recipe: it was written by an earlier "
                "regard or with another backbone_factor; start anew, without resuming"
            )
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        random.set_state(state["random"])
        torch.set_rng_state(state["torch_random"])
        return int(state["epoch"])
    except FileNotFoundError:
        raise InvalidInput(f"there is no checkpoint {path} to resume; start anew") from None
    except InvalidInput:
        raise  # the network is another one, and the message says how
    # damaged bytes, or the state of another optimizer, lead PyTorch to any of a dozen exceptions
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"{path} is no checkpoint of this recipe ({reason}); start anew, without resuming"
        ) from None


def _write(recipe: Recipe, network: nn.Module, held_out: LabelledImages, out: Path) -> Card:
    """Write the weights and the Card."""
    task = catalog.find(recipe.builder).task
    card = Card(
        name=recipe.name,
        inputs=(recipe.input,),
        # a classifier that learns from label maps answers with their labels
        answer=recipe.answer if recipe.answer.task == task else Classes(labels=recipe.answer.labels),
        origin=Origin(
            builder=recipe.builder,
            options=_options(recipe),
            recipe=f"{recipe.name}.toml",
            data=recipe.data.source,
            licence=recipe.data.licence,
        ),
    )
    return ship(card, network, lambda stored: evaluate(stored, held_out, recipe), out)
