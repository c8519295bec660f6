"""An engine on the GPU here, as a Runner."""

from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import numpy as np

from regard.contract.digest import sha256
from regard.contract.plan import Library
from regard.errors import ExportError
from regard.export.proof.runner import Arrays, CannotRun
from regard.export.tensorrt.cuda import Cuda, driver_here
from regard.export.tensorrt.library import imported, listener_of, named


class TensorRtRunner:
    """See `regard.export.proof.runner.Runner`.

    Args:
        trt: the library that built the engine, of the same version.
        engine: the file.
        cuda: of the GPU that it was built for.
        gpu: what that is, for the record.

    Raises:
        ExportError: the library does not load it, or has no room for its largest batch.
    """

    def __init__(self, trt: ModuleType, engine: Path, cuda: Cuda, *, gpu: str) -> None:
        self.name = f"{named(trt)} on {gpu}"
        self.sha256 = sha256(engine)
        self._trt, self._cuda = trt, cuda
        self._listener = listener_of(trt)
        self._runtime = trt.Runtime(self._listener)  # outlives what it loads
        loaded = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        if loaded is None:
            raise ExportError(f"{self.name} does not load {engine}: {self._said()}")
        self._context = loaded.create_execution_context()
        if self._context is None:
            raise ExportError(
                f"{self.name} has no room for the largest batch that {engine} is for; lower max_batch or "
                f"max_size in the Card: {self._said()}"
            )
        tensors = [loaded.get_tensor_name(place) for place in range(loaded.num_io_tensors)]
        self.outputs = {
            name: np.dtype(trt.nptype(loaded.get_tensor_dtype(name)))
            for name in tensors
            if loaded.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT
        }

    def run(self, inputs: Arrays) -> Arrays:
        """What the engine gives, by its tensors' names.

        Raises:
            CannotRun: it is not built for this shape, or stops.
        """
        context, cuda = self._context, self._cuda
        for name, array in inputs.items():
            if not context.set_input_shape(name, array.shape):
                raise CannotRun(f"the engine takes no {name} of {array.shape}: {self._said()}")
        results = {
            name: np.empty(tuple(context.get_tensor_shape(name)), dtype)
            for name, dtype in self.outputs.items()
        }
        with ExitStack() as held:
            addresses = {
                name: held.enter_context(cuda.memory(array.nbytes))
                for name, array in [*inputs.items(), *results.items()]
            }
            for name, address in addresses.items():
                context.set_tensor_address(name, address)
            for name, array in inputs.items():
                cuda.to_gpu(array, addresses[name])
            if not context.execute_async_v3(cuda.stream):
                raise CannotRun(f"the engine stops: {self._said()}")
            cuda.synchronize()
            for name, array in results.items():
                cuda.from_gpu(addresses[name], array)
        return results

    def _said(self) -> str:
        said = "; ".join(self._listener.errors) or "it does not say why"
        self._listener.errors.clear()
        return said


def runner_here(library: Library, engine: Path, *, gpu: str) -> TensorRtRunner:
    """An engine that was built a moment ago, on the GPU that built it.

    Raises:
        ExportError: the driver or the library is gone, or as of TensorRtRunner.
    """
    driver = driver_here()
    if driver is None:
        raise ExportError("the GPU's driver is gone that built the engine; look at nvidia-smi")
    return TensorRtRunner(imported(library), engine, Cuda(driver), gpu=gpu)
