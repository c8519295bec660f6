"""The backend of a model's endpoint for image files: whole JPEG, PNG or WebP files in, the model's answers
out. JSON cannot hold a file's bytes; there a file is a data URI (RFC 2397), "data:image/jpeg;base64,...".

On a CPU one process decodes, fits and runs the graph in a session of its own, in the runtime that the
parameter `runtime` names. Where the instance is on a GPU, or where the parameter `compute` is "model", it
decodes and fits, and asks the model that the parameter `model` names, so that images of many requests are
still computed together.

It runs inside the server's Python stub and imports numpy, Pillow and the runtime only. Beside it lie
stages.py, regard_session.py, what opens graphs and regard's own preprocess.py; beside the graph lies the
Card.
"""

import asyncio
import importlib.util
import io
import json
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it
from PIL import Image

if TYPE_CHECKING:
    from regard.contract import preprocess
    from regard.serving.triton.backends.regard_image.stages import Stages
    from regard.serving.triton.backends.regard_session import (
        Array,
        Graph,
        GraphSession,
        Refused,
        check_request,
        failed,
    )
else:  # inside the server they lie beside this file
    from regard_session import GraphSession, Refused, check_request, failed
    from stages import Stages

    _spec = importlib.util.spec_from_file_location(
        "regard_preprocess", Path(__file__).with_name("preprocess.py")
    )
    preprocess = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(preprocess)

GRAPHS = {"onnxruntime": "OnnxRuntimeGraph", "openvino": "OpenVinoGraph"}  # the file of each is <name>_graph
FITTING = ("resize", "height", "width", "interpolation", "crop", "channels")


class TritonPythonModel:
    """One instance: images to pixels, and the pixels to a session or to the model's other endpoint."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Make ready, down to a first answer, so that no request pays for it."""
        config = json.loads(args["model_config"])
        self.stages = Stages(model=args["model_name"], version=args["model_version"])
        self.pixels = Pixels(
            json.loads((Path(pb_utils.get_model_dir()) / "card.json").read_bytes())["inputs"][0], self.stages
        )
        compute = parameter(config, "compute", ("process", "model"))
        calls = compute == "model" or args["model_instance_kind"] == "GPU"
        self.way: Call | Compute = (Call if calls else Compute)(args, config, self.pixels)

    def execute(self, requests: Sequence[Any]) -> list[Any] | Coroutine[Any, Any, list[Any]]:
        """Answer each request on its own: a bad image fails no other request."""
        return self.way.answer(requests)

    def finalize(self) -> None:
        """The instance is unloaded."""
        self.stages.close()


class Pixels:
    """From a request's image files to the pixels that the network takes.

    Args:
        contract: the Card's input.
        stages: told what each image took.
    """

    def __init__(self, contract: Mapping[str, Any], stages: Stages) -> None:
        self.contract, self.stages = contract, stages
        self.fitting = {name: contract[name] for name in FITTING}
        Image.init()  # else the first request pays for importing the codecs

    def of(self, request: Any) -> "Array":
        """uint8 (B, height, width, channels); INVALID_ARG names the image at fault."""
        encoded = pb_utils.get_input_tensor_by_name(request, "encoded_image").as_numpy().reshape(-1)
        if not len(encoded):
            raise Refused("the request holds no images", pb_utils.TritonError.INVALID_ARG)
        pixels = []
        for index, image in enumerate(encoded):
            try:
                pixels.append(self.fitted(image))
            except preprocess.BadImage as error:
                raise Refused(
                    f"image {index} of the request: {error}", pb_utils.TritonError.INVALID_ARG
                ) from None
        sizes = sorted({array.shape[:2] for array in pixels})
        if len(sizes) > 1:
            shown = ", ".join(f"{height} x {width}" for height, width in sizes)
            raise Refused(
                f"the images of one request must share a size, got {shown} (height x width); send them in "
                "requests of their own",
                pb_utils.TritonError.INVALID_ARG,
            )
        return pixels[0][None] if len(pixels) == 1 else np.stack(pixels)

    def fitted(self, encoded: bytes) -> "Array":
        """One image, decoded and fitted to the input contract."""
        contract = self.contract
        begin = time.perf_counter()
        image = preprocess.decode_image(preprocess.file_in(encoded))
        decoded = time.perf_counter()
        pixels = preprocess.fit_image(image, **self.fitting)
        self.stages.add(decode=decoded - begin, fit=time.perf_counter() - decoded)
        height, width = pixels.shape[:2]
        smallest, largest = contract["min_size"], contract["max_size"]
        if contract["dynamic_size"] and not smallest <= min(height, width) <= max(height, width) <= largest:
            raise preprocess.BadImage(
                f"it is {height} x {width} (height x width), and the model takes {smallest} to {largest} on "
                "a side; resize it first"
            )
        return pixels

    def of_black(self) -> "Array":
        """A black image of the Card's size, by way of a file."""
        file = io.BytesIO()
        Image.new("RGB", (self.contract["width"], self.contract["height"])).save(file, "JPEG")
        return self.fitted(file.getvalue())[None]


class Compute:
    """A session in this process."""

    def __init__(self, args: Mapping[str, str], config: Mapping[str, Any], pixels: Pixels) -> None:
        self.pixels = pixels
        self.session = GraphSession(config, open_graph(args, config))
        self.session.check("output")
        self.session.warm_up({"image": pixels.of_black()})

    def answer(self, requests: Sequence[Any]) -> list[Any]:
        """The answers in the requests' order."""
        with self.pixels.stages.counted(requests):
            return self.session.answer(requests, lambda request: {"image": self.pixels.of(request)})


class Call:
    """The model's endpoint for tensors, called inside the server.

    Where the server keeps one version at a time, the latest is called, since this one's own may be about to
    go; where the version policy keeps several, the same version.
    """

    def __init__(self, args: Mapping[str, str], config: Mapping[str, Any], pixels: Pixels) -> None:
        self.pixels, self.config = pixels, config
        self.model = config.get("parameters", {}).get("model", {}).get("string_value")
        if not self.model:
            raise pb_utils.TritonModelException(
                "parameter model must name the model that computes, and there is none"
            )
        latest = config.get("version_policy", {"latest": {}}).get("latest")
        alone = latest is not None and int(latest.get("num_versions", 1)) <= 1
        self.version = -1 if alone else int(args["model_version"])
        pixels.of_black()

    async def answer(self, requests: Sequence[Any]) -> list[Any]:
        """The answers in the requests' order; while one is computed, the next is decoded."""
        with self.pixels.stages.counted(requests):
            return await asyncio.gather(*(self.respond(request) for request in requests))

    async def respond(self, request: Any) -> Any:
        """The answer to one request, or why there is none."""
        try:
            check_request(request, self.config)
            pixels = self.pixels.of(request)
        except Refused as refused:
            return failed(str(refused), refused.code)
        response = await pb_utils.InferenceRequest(
            model_name=self.model,
            model_version=self.version,
            requested_output_names=list(request.requested_output_names()),
            inputs=[pb_utils.Tensor("image", np.ascontiguousarray(pixels))],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
        ).async_exec()
        if response.has_error():
            error = response.error()
            return failed(error.message(), error.code())
        return pb_utils.InferenceResponse(response.output_tensors())


def open_graph(args: Mapping[str, str], config: Mapping[str, Any]) -> "Graph":
    """The version's graph, in the runtime that the configuration names; the other is not imported."""
    runtime = parameter(config, "runtime", [*GRAPHS])
    graph: Graph = getattr(importlib.import_module(f"{runtime}_graph"), GRAPHS[runtime])(args, config)
    return graph


def parameter(config: Mapping[str, Any], key: str, values: Sequence[str]) -> str:
    """A parameter of the configuration that is one of some values, by default the first."""
    value: str = config.get("parameters", {}).get(key, {}).get("string_value", values[0])
    if value not in values:
        raise pb_utils.TritonModelException(
            f"parameter {key} must be {' or '.join(map(repr, values))}, got {value!r}"
        )
    return value
