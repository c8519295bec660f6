"""The release of NVIDIA's Triton that the stack of this folder would run."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from regard.errors import InvalidInput
from regard.serving.deploy.published_faults import READ_ON, warning_of
from regard.serving.deploy.stack.compose import FILE
from regard.serving.doctor.finding import Finding, note, ok, problem

VARIABLE = "TRITON_RELEASE"


def release(folder: Path) -> Iterator[Finding]:
    """Whether it has faults that are known; nothing where the folder holds no stack.

    folder: that of docker-compose.yml and .env.
    """
    if not (folder / FILE).is_file():
        return
    about = "Triton's image"
    found = os.environ.get(VARIABLE) or _default(folder / ".env")
    if found is None:
        return
    facts = {"release": found}
    try:
        warning = warning_of(found)
    except InvalidInput as error:
        yield problem(about, f"{VARIABLE}: {error}", f"set {VARIABLE} in .env", facts)
        return
    if warning is None:
        yield ok(about, f"{found}, which has no critical fault that was known on {READ_ON}", facts)
        return
    what, _, step = warning.partition("; ")
    yield note(about, what, f"{step}: {VARIABLE} in .env", facts)


def _default(settings: Path) -> str | None:
    """What Compose takes where the environment has none."""
    try:
        lines = settings.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    values = [
        found[1] for line in lines if (found := re.match(rf"\s*{VARIABLE}\s*=\s*['\"]?([^'\"#\s]*)", line))
    ]
    return values[-1] if values else None
