"""How the command line ends: a user's mistake in one line and exit code 1, wrong usage with 2."""

import subprocess
import sys

RUN = "from regard.serving.cli.app import main; main()"


def run(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", before + RUN, *arguments], capture_output=True, text=True, check=False
    )


def test_an_unknown_name_is_one_line_with_its_neighbours() -> None:
    done = run("export", "se_resnet51", "-o", "unwritten")
    assert done.returncode == 1
    message = done.stderr.strip()  # a progress line that was cleared may precede it
    assert message.startswith("regard: no network named 'se_resnet51'. Did you mean 'se_resnet50'")
    assert len(message.splitlines()) == 1


def test_wrong_usage() -> None:
    assert run("export").returncode == 2


def test_without_onnx_runtime(tmp_path) -> None:
    hidden = "import sys; sys.modules['onnxruntime'] = None; "
    done = run("export", "resnet18", "--weights", "random", "-o", str(tmp_path / "out"), before=hidden)
    assert done.returncode == 1
    assert "regard: ONNX Runtime is not installed" in done.stderr
    assert "Traceback" not in done.stderr
