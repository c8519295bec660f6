"""Docker with its Compose and its buildx, which build and run NVIDIA's own container of Triton."""

import json
from collections.abc import Iterator
from typing import Any

from regard.serving.deploy.stack.compose import BUILDX, PROGRAMS
from regard.serving.doctor.finding import Finding, note, ok
from regard.serving.machine.asking import Answer, ask
from regard.serving.machine.gpus import Gpus


def docker(gpus: Gpus) -> Iterator[Finding]:
    """Whether Docker answers, gives GPUs to containers where there are some, and has Compose."""
    answer = ask("docker", "info", "--format", "{{json .}}")
    if answer.missing:
        yield note("docker", "is not on PATH: NVIDIA's container cannot be started", "install Docker Engine")
        return
    server = _json(answer)
    version = server.get("ServerVersion")
    if not version:
        fault = answer.fault or "tells no version of its server"
        yield note("docker", fault, "start its service, and let this user talk to it (group docker)")
    elif gpus.found and "nvidia" not in (server.get("Runtimes") or {}):
        yield note(
            "docker",
            f"{version}, without NVIDIA's runtime: containers get no GPU",
            "install NVIDIA's container toolkit, then: nvidia-ctk runtime configure --runtime=docker",
            {"version": version},
        )
    else:
        yield ok("docker", version, {"version": version})
    yield _compose()
    yield _buildx()


def _compose() -> Finding:
    for program in PROGRAMS:
        answer = ask(*program, "version", "--short")
        if answer.fault is None and answer.output.strip():
            version = answer.output.strip()
            return ok("docker compose", f"{version} ({' '.join(program)})", {"version": version})
    return note(
        "docker compose",
        "is not there: the stack cannot be started",
        "install docker-compose-plugin",
    )


def _buildx() -> Finding:
    answer = ask("docker", "buildx", "version")
    if answer.fault is None:
        return ok("docker buildx", answer.output.strip())
    return note("docker buildx", "is not there: our image cannot be built", f"install {BUILDX}")


def _json(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.output)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
