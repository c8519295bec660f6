"""Which room of the house knows which: read from the import statements, those inside functions too.

A room is a folder, or a file that lies beside folders; the rooms inside a folder are judged in the same way.
Imports below `if TYPE_CHECKING` are for annotations and do not count.
"""

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
# each may import itself and those before it
LEVELS = ("errors", "contract", "models", "export", "serving", "__main__")
CONTRACT_MAY_IMPORT = {*sys.stdlib_module_names, "numpy", "PIL", "pydantic"}


def modules_in(source: Path) -> dict[str, Path]:
    """Module name -> file, of the package regard below `source`; a package's own is `<package>.__init__`."""
    return {
        ".".join((Path(folder) / file).relative_to(source).with_suffix("").parts): Path(folder) / file
        for folder, _, files in os.walk(source / "regard", followlinks=True)
        for file in files
        if file.endswith(".py")
    }


def imported_by(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """(module, name imported from it) of every import; the name is None for `import module`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((each.name, None) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, "relative imports are banned"
            yield from ((node.module, each.name) for each in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from imported_by(ast.Module(node.orelse, []))
        else:
            yield from imported_by(node)


def imports_in(source: Path) -> dict[str, set[str]]:
    """Module -> what it imports: modules of regard as `modules_in` names them, others by their first name."""
    modules = modules_in(source)

    def resolved(module: str, name: str | None) -> str:
        for known in (f"{module}.{name}", f"{module}.{name}.__init__", module, f"{module}.__init__"):
            if known in modules:
                return known
        assert not module.startswith("regard."), f"no module {module}"
        return module.partition(".")[0]

    return {
        module: {resolved(*each) for each in imported_by(ast.parse(path.read_text(encoding="utf-8")))}
        for module, path in modules.items()
    }


def rooms_in(package: str, imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Room of a package -> the other rooms of the same package that something in it imports."""
    prefix = f"{package}."
    rooms: dict[str, set[str]] = {}
    for module, others in imports.items():
        if module.startswith(prefix):
            room = module.removeprefix(prefix).split(".")[0]
            neighbours = {
                other.removeprefix(prefix).split(".")[0] for other in others if other.startswith(prefix)
            }
            rooms.setdefault(room, set()).update(neighbours - {room})
    return rooms


def reached_from(room: str, rooms: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [room]
    while ahead:
        new = rooms[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def cycles_in(source: Path) -> list[str]:
    """Rooms that import each other, directly or through others, at every level."""
    imports = imports_in(source)
    packages = {module.rpartition(".")[0] for module in imports}
    found = set()
    for package in packages:
        rooms = rooms_in(package, imports)
        reached = {room: reached_from(room, rooms) for room in rooms}
        for room in rooms:
            cycle = sorted(other for other in reached[room] if room in reached[other])
            if cycle:
                found.add(f"{package}: {' <-> '.join(cycle)}")
    return sorted(found)


def upward_in(source: Path) -> list[str]:
    """Imports from a level above the importer's own."""
    return sorted(
        f"{module} imports {other}"
        for module, others in imports_in(source).items()
        for other in others
        if (level := _level(module)) is not None and (theirs := _level(other)) is not None and theirs > level
    )


def _level(module: str) -> int | None:
    package, _, rest = module.partition(".")
    room = rest.split(".")[0]
    return LEVELS.index(room) if package == "regard" and room in LEVELS else None


def foreign_to_contract_in(source: Path) -> list[str]:
    """What the contract imports and may not."""
    return sorted(
        f"{module} imports {other}"
        for module, others in imports_in(source).items()
        if module.startswith("regard.contract.")
        for other in others
        if not (other.startswith(("regard.contract.", "regard.errors")) or other in CONTRACT_MAY_IMPORT)
    )


def test_every_room_has_a_level() -> None:
    rooms = {module.split(".")[1] for module in modules_in(SOURCE)}
    assert rooms - {"__init__"} == set(LEVELS)


def test_no_rooms_import_each_other() -> None:
    assert cycles_in(SOURCE) == []


def test_dependencies_point_one_way() -> None:
    assert upward_in(SOURCE) == []


def test_the_contract_knows_numpy_pillow_and_pydantic_only() -> None:
    assert foreign_to_contract_in(SOURCE) == []


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A small house in order: plant faults by writing over its files."""
    for file, text in {
        "__init__.py": "",
        "errors.py": "",
        "contract/__init__.py": "",
        "contract/card.py": "import json\nfrom PIL import Image\nfrom regard.errors import RegardError\n",
        "models/__init__.py": "",
        "models/heads/__init__.py": "from regard.models.heads.fcn import FCN\n",
        "models/heads/fcn.py": "from regard.models.parts.crop import crop\n",
        "models/parts/__init__.py": "",
        "models/parts/crop.py": "from regard.contract import card\n",
        "export/__init__.py": "",
        "serving/__init__.py": "",
        "serving/server.py": "def start():\n    from regard.export import nothing\n",
    }.items():
        path = tmp_path / "regard" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_house_in_order_passes(planted: Path) -> None:
    assert (cycles_in(planted), upward_in(planted), foreign_to_contract_in(planted)) == ([], [], [])


@pytest.mark.parametrize(
    "text",
    [
        "import regard.models.heads.fcn\n",
        "from regard.models.heads import fcn\n",
        "from regard.models.heads import FCN\n",
        "def crop():\n    from regard.models.heads.fcn import FCN\n",
        "if sys.version_info > (3, 11):\n    from regard.models.heads.fcn import FCN\n",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from regard.models.heads.fcn import FCN\n",
    ],
)
def test_a_cycle_of_folders_is_found(planted: Path, text: str) -> None:
    (planted / "regard" / "models" / "parts" / "crop.py").write_text(text)
    assert cycles_in(planted) == ["regard.models: heads <-> parts"]


def test_a_cycle_through_a_third_room_and_one_of_files_are_found(planted: Path) -> None:
    models = planted / "regard" / "models"
    (models / "parts" / "crop.py").write_text("import regard.models.catalog\n")
    (models / "catalog.py").write_text("import regard.models.heads\n")
    (models / "heads" / "fcn.py").write_text("import regard.models.heads\nimport regard.models.parts.crop\n")
    assert cycles_in(planted) == [
        "regard.models.heads: __init__ <-> fcn",
        "regard.models: catalog <-> heads <-> parts",
    ]


def test_imports_for_annotations_are_no_cycle(planted: Path) -> None:
    crop = planted / "regard" / "models" / "parts" / "crop.py"
    crop.write_text("if TYPE_CHECKING:\n    from regard.models.heads.fcn import FCN\n")
    assert cycles_in(planted) == []
    crop.write_text("if typing.TYPE_CHECKING:\n    from regard.models.heads.fcn import FCN\n")
    assert cycles_in(planted) == []


def test_an_import_upwards_is_found(planted: Path) -> None:
    (planted / "regard" / "models" / "parts" / "crop.py").write_text(
        "def f():\n    import regard.serving.server\n"
    )
    assert upward_in(planted) == ["regard.models.parts.crop imports regard.serving.server"]


@pytest.mark.parametrize("line", ["import torch", "from tritonclient.utils import np_to_triton_dtype"])
def test_a_library_in_the_contract_is_found(planted: Path, line: str) -> None:
    (planted / "regard" / "contract" / "card.py").write_text(line + "\n")
    (found,) = foreign_to_contract_in(planted)
    assert found == f"regard.contract.card imports {line.split()[1].split('.')[0]}"
