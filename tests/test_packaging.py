"""What an install of regard contains, from a wheel and editable, seen from a stranger's project that has its
own `models/`.
"""

import os
import re
import sys
import sysconfig
import venv
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.processes import run

import regard

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LOOK_AROUND = """
import models, regard, regard.contract.card, regard.export, regard.serving
print(models.__file__)
print(regard.contract.card.__file__)
"""


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The folder of somebody's project, with packages of the same bare names as ours."""
    for name in ("models", "export", "serving"):
        (tmp_path / "project" / name).mkdir(parents=True)
        (tmp_path / "project" / name / "__init__.py").touch()
    return tmp_path / "project"


def with_packages_from(*folders: Path | str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}


def tracked(pattern: str) -> set[str]:
    """Files of the source folders, as they are named in the wheel."""
    return {
        f"regard/{path.relative_to(ROOT)}"
        for path in ROOT.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_module_of_the_three_packages_and_their_data(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    for folder in ("models", "export", "serving"):
        modules = tracked(f"{folder}/**/*.py")
        assert modules
        assert modules <= names
    for pattern in (
        "models/catalog.json",
        "models/weights/*.safetensors",
        "models/weights/*.json",
        "models/weights/int8/*",
        "models/training/recipes/*.toml",
        "models/sample_images/**/*",
        "export/ops/**/*.cc",
        "export/ops/**/*.h",
    ):
        data = tracked(pattern)
        assert data, f"nothing matches {pattern}"
        assert data <= names
    assert {"regard/__init__.py", "regard/errors.py", "regard/py.typed"} <= names


def test_the_wheel_holds_nothing_outside_the_package(wheel: Path) -> None:
    assert {name.split("/")[0] for name in ZipFile(wheel).namelist()} == {
        "regard",
        f"regard-{regard.__version__}.dist-info",
    }


def test_every_package_folder_has_an_init_file() -> None:
    for folder in ("models", "export", "serving"):
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), f"{module} would be left out of the wheel"


def test_an_installed_wheel_leaves_the_bare_names_to_the_user(
    wheel: Path, stranger: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        wheel,
        cwd=tmp_path,
    )
    env = with_packages_from(site)
    theirs, ours = run(sys.executable, "-c", LOOK_AROUND, cwd=stranger, env=env).splitlines()
    assert Path(theirs).parent == stranger / "models"
    assert Path(ours) == site / "regard" / "contract" / "card.py"
    assert (
        run(site / "bin" / "regard", "--version", cwd=stranger, env=env).strip()
        == f"regard {regard.__version__}"
    )
    for name in ("models", "export", "serving"):
        assert not (site / name).exists()


def test_an_editable_install_leaves_the_bare_names_to_the_user(
    checkout: Path, stranger: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    # pip, setuptools and the dependencies
    env = with_packages_from(sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    run(
        python,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--editable",
        checkout,
        cwd=tmp_path,
        env=env,
    )
    theirs, ours = run(python, "-c", LOOK_AROUND, cwd=stranger, env=env).splitlines()
    assert Path(theirs).parent == stranger / "models"
    assert Path(ours).resolve() == checkout / "src" / "regard" / "contract" / "card.py"
    assert (
        run(tmp_path / "venv" / "bin" / "regard", "--version", cwd=stranger, env=env).strip()
        == f"regard {regard.__version__}"
    )
    with pytest.raises(AssertionError, match="No module named 'models'"):
        run(python, "-c", "import models", cwd=tmp_path, env=env)


def test_start_up_imports_nothing_heavy() -> None:
    heavy = ("torch", "onnx", "onnxruntime", "tensorrt", "tritonclient", "matplotlib")
    found = run(
        sys.executable,
        "-c",
        f"import sys, regard.serving.cli.app; print([n for n in {heavy} if n in sys.modules])",
        cwd=ROOT,
    )
    assert found.strip() == "[]"


def test_no_extra_brings_both_onnx_runtimes() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    groups = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
    having = {
        name: {need.split(">")[0] for need in needs} & {"onnxruntime", "onnxruntime-gpu"}
        for name, needs in groups.items()
    }
    assert {name: runtimes for name, runtimes in having.items() if runtimes} == {
        "cpu": {"onnxruntime"},
        "gpu": {"onnxruntime-gpu"},
    }


def test_every_requirement_is_pinned_once_for_each_python() -> None:
    pins: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition("==")
            pins.setdefault(name, []).append(rest.partition(";")[2].strip())
    assert all(len(set(markers)) == len(markers) for markers in pins.values())
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    installed = {name: needs for name, needs in extras.items() if name != "gpu"}
    for need in (*project["dependencies"], *chain.from_iterable(installed.values())):
        name = re.split(r"[;\[<>=]", need)[0].strip()
        assert name in pins or name == "regard", f"{need} is not in constraints.txt"
