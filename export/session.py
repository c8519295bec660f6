"""A graph in ONNX Runtime, on the CPU."""

from pathlib import Path

import onnxruntime

from regard.errors import ExportError

NAME = f"ONNX Runtime {onnxruntime.__version__} on the CPU"  # for the record


def open_session(
    model: bytes | str, *, name: str, threads: int = 0, operators: Path | None = None
) -> onnxruntime.InferenceSession:
    """A session on a serialized model, or on a file.

    Args:
        model: the ONNX file, or what is in it.
        name: of it, for messages.
        threads: that compute one call; 0 leaves it to ONNX Runtime, 1 computes in the caller's thread.
        operators: a library with kernels of operators that are not ONNX's.

    Raises:
        ExportError: ONNX Runtime does not take it, or the library.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong comes as an exception
    if operators is not None:
        register_operators(options, operators)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no narrower base
        raise ExportError(f"ONNX Runtime does not take {name}: {error}") from None


def register_operators(options: onnxruntime.SessionOptions, library: Path) -> None:
    """Load a library of operators, for the sessions that are opened with these options.

    Raises:
        ExportError: ONNX Runtime does not take it.
    """
    try:
        options.register_custom_ops_library(str(library))
    except Exception as error:  # as above
        raise ExportError(
            f"ONNX Runtime does not take {library} as a library of operators: {str(error).strip()}. Build it "
            "for this machine, with an exported function RegisterCustomOps, as ONNX Runtime's C API has it"
        ) from None
