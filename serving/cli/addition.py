"""The options of every verb that adds a model to a repository: by what name and how it is served."""

from enum import Enum
from typing import Annotated, Any

import typer


class Backend(str, Enum):
    """What computes the answers."""

    onnxruntime = "onnxruntime"
    tensorrt = "tensorrt"


class Accelerator(str, Enum):
    """What ONNX Runtime hands the graph to on a GPU."""

    tensorrt = "tensorrt"


class Endpoints(str, Enum):
    """How a model is called."""

    image = "image"
    tensor = "tensor"
    both = "both"


Name = Annotated[str | None, typer.Option(help="The served name; the model's own by default.")]
Instances = Annotated[
    int | None,
    typer.Option(help="Batches that an endpoint works on at the same time; by default one per core."),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Threads that each of them computes with; by default they share out the cores."),
]
EndpointsOption = Annotated[
    Endpoints | None,
    typer.Option(
        "--endpoints",
        help="What the model takes: image files, tensors, or both, the default. Each endpoint holds the "
        "weights in memory, once for each instance: both take twice the memory of one.",
        show_default=False,
    ),
]
Batching = Annotated[
    bool | None,
    typer.Option(
        "--batching/--no-batching",
        help="Whether requests that wait are worked on together; by default with an NVIDIA GPU.",
        show_default=False,
    ),
]
BackendOption = Annotated[
    Backend | None,
    typer.Option(
        "--backend",
        help="What computes: onnxruntime, the default, or tensorrt by the engine that `regard build` put "
        "beside the graph; where that cannot be loaded, the graph serves still.",
        show_default=False,
    ),
]
AcceleratorOption = Annotated[
    Accelerator | None,
    typer.Option(
        "--accelerator",
        help="Let ONNX Runtime hand the graph to TensorRT on a GPU, which builds an engine as it loads.",
        show_default=False,
    ),
]
Expect = Annotated[
    str | None, typer.Option(metavar="SHA256", help="What its manifest.json must have for SHA-256.")
]


def serving_options(
    instances: int | None,
    threads: int | None,
    endpoints: Endpoints | None,
    batching: bool | None,
    backend: Backend | None,
    accelerator: Accelerator | None,
) -> dict[str, Any]:
    """A command's options, under their names, as `regard.serving.repository.add` takes them."""
    return {
        "instances": instances,
        "threads": threads,
        "endpoints": endpoints and endpoints.value,
        "batching": batching,
        "backend": backend and backend.value,
        "accelerator": accelerator and accelerator.value,
    }
