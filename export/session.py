"""A graph in ONNX Runtime, on the CPU."""

import onnxruntime

from regard.errors import ExportError

NAME = f"ONNX Runtime {onnxruntime.__version__} on the CPU"  # for the record


def open_session(model: bytes | str, *, name: str, threads: int = 0) -> onnxruntime.InferenceSession:
    """A session on a serialized model, or on a file.

    threads: that compute one call; 0 leaves it to ONNX Runtime, 1 computes in the caller's thread.

    Raises:
        ExportError: ONNX Runtime does not take it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong comes as an exception
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no narrower base
        raise ExportError(f"ONNX Runtime does not take {name}: {error}") from None
