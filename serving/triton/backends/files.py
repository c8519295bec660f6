"""What lies in the server's folder of each backend of ours: each must stand alone there."""

import shutil
from pathlib import Path

from regard.contract import openvino_settings, preprocess, tokenizer
from regard.serving.repository.engine_choice import Server

HERE = Path(__file__).parent
SESSION = tuple(HERE / name for name in ("regard_session.py", "session_state.py", "request_checks.py"))
ONNX_RUNTIME = (HERE / "onnxruntime_graph.py", HERE / "onnxruntime_providers.py")
OPENVINO = (HERE / "openvino_graph.py", Path(openvino_settings.__file__))
RAW = (
    HERE / "raw_inputs.py",
    HERE / "spoken_graph.py",
    Path(preprocess.__file__),
    Path(tokenizer.__file__),
)
FILES: dict[str, tuple[Path, ...]] = {
    "onnxruntime": (HERE / "onnxruntime" / "model.py", *SESSION, *ONNX_RUNTIME),
    "openvino": (HERE / "openvino" / "model.py", *SESSION, *OPENVINO),
    "regard_image": (
        HERE / "regard_image" / "model.py",
        HERE / "regard_image" / "stages.py",
        *SESSION,
        *RAW,
        *ONNX_RUNTIME,
        *OPENVINO,
    ),
    "regard_stream": (HERE / "regard_stream" / "model.py", *SESSION, *RAW, *ONNX_RUNTIME),
}
OWN = (
    "regard_image",
    "regard_stream",
)  # that NVIDIA has none of; docker/Dockerfile adds them to its backends
# NVIDIA's `tensorrt` backend is in no package; whatever GPU there is, an engine cannot be loaded
EMBEDDED = Server(backends=frozenset(FILES))


def copy_backend(name: str, folder: Path) -> None:
    """Make a backend of ours in a server's folder of backends."""
    (folder / name).mkdir()
    for file in FILES[name]:
        shutil.copy(file, folder / name)
