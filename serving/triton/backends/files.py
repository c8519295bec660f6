"""What lies in the server's folder of each backend of ours: each must stand alone there."""

from pathlib import Path

from regard.contract import preprocess

HERE = Path(__file__).parent
SESSION = HERE / "regard_session.py"
FILES: dict[str, tuple[Path, ...]] = {
    "onnxruntime": (HERE / "onnxruntime" / "model.py", SESSION),
    "regard_image": (
        HERE / "regard_image" / "model.py",
        HERE / "regard_image" / "stages.py",
        SESSION,
        Path(preprocess.__file__),
    ),
}
