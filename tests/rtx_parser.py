"""Whether TensorRT-RTX takes graphs: its parser in a process of its own, since it can end one.

`python -m tests.rtx_parser` reads paths, a line each, and answers each with a line of JSON: null, or why not.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from regard.errors import ExportError
from regard.export.tensorrt.library import imported, listener_of
from regard.export.tensorrt.network import parsed

ROOT = Path(__file__).parents[1]


class RtxParser:
    """A process that parses one file after the other; a new one after each that it died of."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def refusal(self, model: Path) -> str | None:
        """Why the library does not take an ONNX file; None where it does."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.rtx_parser"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):  # one that has died gives no answer
            stdin.write(f"{model.absolute()}\n")
            stdin.flush()
        answer = stdout.readline()
        if not answer:
            return f"the parser died with code {self._end()}"
        refusal: str | None = json.loads(answer)
        return refusal

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def _end(self) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):  # what it did not read
                pipe.close()  # type: ignore[union-attr] # both are pipes
        return process.wait()


def main() -> None:
    """Parse what is asked for."""
    stdout = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the library prints is no answer
    trt = imported("tensorrt_rtx")
    listener = listener_of(trt)
    builder = trt.Builder(listener)
    for line in sys.stdin:
        refusal = None
        try:
            parsed(trt, builder, listener, line.rstrip("\n"))
        except ExportError as error:
            refusal = str(error)
        print(json.dumps(refusal), file=stdout)


if __name__ == "__main__":
    main()
