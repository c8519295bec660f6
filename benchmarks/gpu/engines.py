"""TensorRT, where it is installed: an engine of each network built on this GPU, certified, and timed. The
copies to the GPU and back are part of the times.
"""

import importlib.util
import shutil
import tempfile
from functools import partial
from pathlib import Path

from bench import Bench, Job, NotPresent
from figures import Figure
from networks import BATCHES, NAMES, agreement, artifact, by_the_clock, speed, subject

from regard.contract.names import IMAGE, VARIANTS
from regard.export.artifact import read_artifact
from regard.models.samples import sample_images


def jobs(folder: Path | None) -> list[Job]:
    """float32, and fp16 where the artifact has that variant."""
    return [
        Job(f"{name}, TensorRT, {precision}", partial(in_tensorrt, name, precision, folder))
        for name in NAMES
        for precision in ("float32", "fp16")
    ]


def in_tensorrt(name: str, precision: str, folder: Path | None, bench: Bench) -> list[Figure]:
    """Built in a copy of the artifact, which is left as it is."""
    if importlib.util.find_spec("tensorrt") is None:
        raise NotPresent("tensorrt is not installed")
    from regard.export.tensorrt.engine import add_engine
    from regard.export.tensorrt.runner import runner_here
    from regard.export.tensorrt.target import target_of

    seen, made = subject(name), artifact(name, folder)
    if precision != "float32" and not (made.folder / VARIANTS / precision).is_dir():
        raise NotPresent(f"the artifact has no variant {precision}")
    with tempfile.TemporaryDirectory(prefix="regard_gpu_") as place:
        copy = Path(place, name)
        shutil.copytree(made.folder, copy)
        target = target_of("local")
        engine = add_engine(read_artifact(copy), target, images=sample_images(seen.card), variant=precision)
        gpu = engine.plan.gpu or "the GPU"
        runner = runner_here(target.library, engine.file, gpu=gpu)
        title, tensor = f"{name}, TensorRT, {precision}", seen.card.answer.tensor
        figures = [
            Figure(f"{title}: built", engine.plan.seconds, "s", 1, "builds"),
            Figure(f"{title}: certificates", len(engine.plan.certificates), "passed", 1, "builds"),
            agreement(title, seen, runner.run({IMAGE: seen.pixels})[tensor]),
        ]
        for size in BATCHES:
            if size <= seen.card.input.max_batch:
                given = {IMAGE: seen.batch(size)}
                figures.append(speed(title, size, by_the_clock(partial(runner.run, given), bench), bench))
    return figures
