"""One build, in a process that a fault of the library may end: `python -m regard.export.tensorrt.worker`.

Reads a Job from stdin and writes messages to stdout, see job.py. What the library prints itself goes to
stderr, and ends up in the error where the process dies.
"""

import os
import resource
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from regard.contract.plan import Layer
from regard.errors import ExportError
from regard.export.tensorrt.cuda import Gpu, gpu_here
from regard.export.tensorrt.job import Built, Failed, Job, Progress
from regard.export.tensorrt.layer_list import layers_inspected, layers_logged
from regard.export.tensorrt.library import imported, listener_of, named
from regard.export.tensorrt.monitor import monitor_of
from regard.export.tensorrt.network import bindings_of, parsed

GRACE = 5  # seconds between the signal that a process may take and the one that it may not


def main() -> None:
    """Build one engine."""
    stdout = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    job = Job.model_validate_json(sys.stdin.readline())
    limit = job.processor_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + GRACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    message: Built | Failed
    try:
        message = build(job, stdout)
    except ExportError as error:
        message = Failed(reason=str(error))
    except OSError as error:
        message = Failed(reason=error.strerror or str(error), errno=error.errno)
    print(message.model_dump_json(), file=stdout)


def build(job: Job, stdout: TextIO) -> Built:
    """Build the engine of a job and write it.

    Raises:
        ExportError: the library is not there, there is no GPU for it, it does not take the graph, or it lists
            no layers.
        OSError: the engine cannot be written.
    """
    started = time.monotonic()
    trt = imported(job.library)
    gpu = None if job.compute_capabilities else _gpu(trt)
    listener = listener_of(trt)
    builder = trt.Builder(listener)
    network, _parser = parsed(trt, builder, listener, job.graph)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    workspace = trt.MemoryPoolType.WORKSPACE
    if job.workspace is not None:
        config.set_memory_pool_limit(workspace, job.workspace)
    config.clear_flag(trt.BuilderFlag.TF32)  # float32 is what is proven
    config.progress_monitor = monitor = monitor_of(
        trt, lambda phase, fraction: _tell(Progress(phase=phase, fraction=fraction), stdout)
    )
    for profile in job.profiles:
        shapes = builder.create_optimization_profile()
        shapes.set_shape(network.get_input(0).name, profile.least, profile.best, profile.most)
        config.add_optimization_profile(shapes)
    if job.compute_capabilities:
        config.num_compute_capabilities = len(job.compute_capabilities)
        for place, capability in enumerate(job.compute_capabilities):
            sm = getattr(trt.ComputeCapability, "SM" + capability.replace(".", ""))
            config.set_compute_capability(sm, place)
    engine = builder.build_serialized_network(network, config)
    del monitor
    if engine is None:
        said = "; ".join(listener.errors) or "it does not say why"
        raise ExportError(f"{named(trt)} cannot build an engine of {job.graph}: {said}")
    Path(job.engine).write_bytes(engine)
    return Built(
        version=trt.__version__,
        compute_capabilities=job.compute_capabilities if gpu is None else (gpu.compute_capability,),
        gpu=None if gpu is None else gpu.name,
        workspace=config.get_memory_pool_limit(workspace),
        bindings=bindings_of(network),
        layers=layers_logged(listener.layer_lists) if gpu is None else _inspected(trt, listener, engine),
        seconds=time.monotonic() - started,
    )


def _gpu(trt: ModuleType) -> Gpu:
    gpu = gpu_here()
    if gpu is None:
        raise ExportError(f"{named(trt)} builds for the GPU that it runs on, and no driver here shows it one")
    return gpu


def _inspected(trt: ModuleType, listener: Any, engine: Any) -> tuple[Layer, ...]:
    loaded = trt.Runtime(listener).deserialize_cuda_engine(engine)
    if loaded is None:
        raise ExportError(f"{named(trt)} does not load what it built: {'; '.join(listener.errors)}")
    inspector = loaded.create_engine_inspector()
    return layers_inspected(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _tell(message: Progress, stdout: TextIO) -> None:
    print(message.model_dump_json(), file=stdout)


if __name__ == "__main__":
    main()
