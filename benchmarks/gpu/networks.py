"""Both trained networks on the GPU: images a second, and agreement with float32 on the CPU.

PyTorch computes in channels-last memory; pixels are normalized before the clock starts. ONNX Runtime takes
uint8 pixels that lie on the GPU already.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from bench import Bench, Job, NotPresent
from figures import Figure
from torch import Tensor, nn

from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.names import IMAGE, MODEL_FILE, VARIANTS
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact, read_artifact
from regard.export.ops.gpu_kernels import LEAST, use_gpu_kernels
from regard.export.ops.replacement import replacing
from regard.export.proof.network_runner import normalized
from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.load import resolve
from regard.models.samples import sample_images

NAMES = {"garments": ("se_resnet18", "fashion_mnist"), "streets": ("ccnet_mobilenet_v2", "camvid")}
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
BATCHES = (1, 8, 64)


@dataclass(frozen=True)
class Subject:
    """A trained network, a batch of real images for it, and what it answers to them on the CPU."""

    network: nn.Module
    card: Card
    pixels: npt.NDArray[np.uint8]  # (B, H, W, C)
    expected: Array

    def batch(self, size: int) -> Pixels:
        """So many images, repeated where there are fewer."""
        return self.pixels[np.arange(size) % len(self.pixels)]

    def agreement(self, found: Array) -> float:
        """Fraction of equal answers to `pixels`."""
        return self.card.answer.agreement(self.expected, found)


@cache
def subject(name: str) -> Subject:
    """By its name in NAMES."""
    network, card = resolve(NAMES[name][0], weights=NAMES[name][1])
    images = sample_images(card)
    pixels = np.stack([image for image in images if image.shape == images[0].shape])
    with torch.inference_mode():
        expected = card.answer.append(network.eval()(normalized(pixels, card))).numpy()
    return Subject(network, card, pixels, expected)


@cache
def artifact(name: str, folder: Path | None) -> Artifact:
    """The network's artifact: read from folder/<name>, or exported now to a temporary folder."""
    if folder is not None:
        return read_artifact(folder / name)
    from regard.export.onnx_export import export_onnx

    seen = subject(name)
    made = Path(tempfile.mkdtemp(prefix="regard_gpu_"), name)
    return export_onnx(
        seen.network, seen.card, made, images=sample_images(seen.card), images_from="sample_images"
    )


def eager_jobs() -> list[Job]:
    """Eager PyTorch, and with our kernels where the network has an operator of ours."""
    made = [
        Job(f"{name}, eager, {_name(dtype)}", partial(in_torch, name, dtype, "eager"))
        for name in NAMES
        for dtype in DTYPES
    ]
    return made + [
        Job(f"streets, eager with our kernel, {_name(dtype)}", partial(in_torch, "streets", dtype, KERNEL))
        for dtype in DTYPES
    ]


KERNEL = "eager with our kernel"


def compile_jobs() -> list[Job]:
    """The same compiled: the longest jobs."""
    return [
        Job(f"{name}, torch.compile, {_name(dtype)}", partial(in_torch, name, dtype, "torch.compile"))
        for dtype in (torch.float16, torch.bfloat16, torch.float32)
        for name in NAMES
    ]


def onnxruntime_jobs(folder: Path | None) -> list[Job]:
    """ONNX Runtime's CUDA provider: the artifact's graph, and its fp16 variant where the artifact has one."""
    return [
        Job(f"{name}, ONNX Runtime, {precision}", partial(in_onnxruntime, name, precision, folder))
        for name in NAMES
        for precision in ("float32", "fp16")
    ]


def in_torch(name: str, dtype: torch.dtype, form: str, bench: Bench) -> list[Figure]:
    """In PyTorch; batches of one shape at a time, since torch.compile makes code for each."""
    seen = subject(name)
    network = seen.network
    if form == KERNEL:
        if not bench.rehearsing and not use_gpu_kernels():
            raise NotPresent(f"no kernels without triton and compute capability {'.'.join(map(str, LEAST))}")
        if not any(isinstance(module, CrissCrossAttention) for module in network.modules()):
            raise RuntimeError("the network computes no operator of ours")
    with torch.inference_mode(), _on(network, dtype, bench), replacing() if form == KERNEL else nullcontext():
        run: Any = bench.compiled(network) if form == "torch.compile" else network

        def given(size: int) -> Tensor:
            x = normalized(seen.batch(size), seen.card).to(bench.device, dtype)
            return x.contiguous(memory_format=torch.channels_last)

        answered = seen.card.answer.append(run(given(len(seen.pixels))).float()).cpu().numpy()
        title = f"{name}, {form}, {_name(dtype)}"
        figures = [agreement(title, seen, answered)]
        for size in _batches(bench, compiled=form == "torch.compile"):
            x = given(size)
            seconds = bench.in_turns({"run": lambda x=x: run(x)}, captured=False)["run"]
            figures.append(speed(title, size, seconds, bench))
    return figures


@contextmanager
def _on(network: nn.Module, dtype: torch.dtype, bench: Bench) -> Iterator[None]:
    """The network on the GPU in a type for the time of a block; its weights come back unrounded."""
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    try:
        network.to(bench.device, dtype, memory_format=torch.channels_last)
        yield
    finally:
        network.to("cpu", torch.float32)
        network.load_state_dict(kept)


def in_onnxruntime(name: str, precision: str, folder: Path | None, bench: Bench) -> list[Figure]:
    """In ONNX Runtime, refused where the session is not on the GPU."""
    import onnxruntime

    made = artifact(name, folder)
    graph = made.model if precision == "float32" else made.folder / VARIANTS / precision / MODEL_FILE
    if not graph.is_file():
        raise NotPresent(f"the artifact has no variant {precision}")
    wanted = "CPUExecutionProvider" if bench.rehearsing else "CUDAExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise NotPresent(f"this onnxruntime has no {wanted}")
    session = onnxruntime.InferenceSession(str(graph), providers=[wanted])
    if session.get_providers()[0] != wanted:
        raise RuntimeError(f"the session fell back to {session.get_providers()[0]}")
    place = "cpu" if bench.rehearsing else "cuda"
    seen, tensor = subject(name), made.card.answer.tensor
    title = f"{name}, ONNX Runtime, {precision}"
    figures = [agreement(title, seen, session.run([tensor], {IMAGE: seen.pixels})[0])]
    for size in _batches(bench):
        binding = session.io_binding()
        given = onnxruntime.OrtValue.ortvalue_from_numpy(seen.batch(size), place, 0)
        binding.bind_ortvalue_input(IMAGE, given)
        binding.bind_output(tensor, place)
        seconds = by_the_clock(lambda bound=binding: session.run_with_iobinding(bound), bench)
        figures.append(speed(title, size, seconds, bench))
    return figures


def by_the_clock(call: Any, bench: Bench) -> float:
    """Median seconds of a call that returns when its answer is there."""
    seconds = []
    for turn in range(3 + bench.rounds):
        started = time.perf_counter()
        call()
        if turn >= 3:
            seconds.append(time.perf_counter() - started)
    return median(seconds)


def agreement(title: str, seen: Subject, found: Array) -> Figure:
    """With float32 on the CPU."""
    images = len(seen.pixels)
    return Figure(f"{title}: agreement with float32 on the CPU", seen.agreement(found), "", images, "images")


def speed(title: str, size: int, seconds: float, bench: Bench) -> Figure:
    """Images a second."""
    return Figure(
        f"{title}, batch {size}",
        *(size / seconds, "images/s", bench.rounds, "runs"),
        details={"seconds": seconds},
    )


def _batches(bench: Bench, *, compiled: bool = False) -> tuple[int, ...]:
    if bench.rehearsing:
        return BATCHES[:1]
    return BATCHES[:1] if bench.quick else (BATCHES[0], BATCHES[-1]) if compiled else BATCHES


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
