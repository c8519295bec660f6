"""Every test is in one suite that `make` runs, no suite has lost tests, and the shards hold the catalog."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from tests.shards import ALL, COMMIT, COUNT, OPTIONS, choose, shard_of
from tests.suites import COLLECTED, LEAST, UNMARKED, Collected

from regard.models.catalog import CATALOG

ROOT = Path(__file__).parents[1]


@pytest.fixture
def everything(pytestconfig: pytest.Config) -> list[Collected]:
    """All tests that there are, of every suite."""
    if pytestconfig.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        pytest.skip("only a part of the tests was collected; `make test` collects all")
    return pytestconfig.stash[COLLECTED]


def defined(folder: Path) -> Iterator[str]:
    """The node ids, without parameters, of all functions below a folder that are named like tests."""
    for path in sorted(folder.rglob("*.py")):
        file = path.relative_to(folder.parent).as_posix()
        for node in ast.parse(path.read_text()).body:
            inside = node.body if isinstance(node, ast.ClassDef) else [node]
            prefix = f"{file}::{node.name}" if isinstance(node, ast.ClassDef) else file
            for each in inside:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
                    yield f"{prefix}::{each.name}"


def outside(tests: Sequence[Collected], functions: Collection[str]) -> list[str]:
    """What is in no suite, or in two."""
    faults = [f"{name} is not collected" for name in functions if name not in {t.function for t in tests}]
    twice = dict.fromkeys((test.function, test.suites) for test in tests if len(test.suites) != 1)
    return faults + [f"{function} is in the suites {', '.join(suites)}" for function, suites in twice]


def lost(tests: Sequence[Collected], least: Mapping[str, int]) -> list[str]:
    """The suites that collect fewer tests than they should."""
    found = Counter(suite for test in tests for suite in test.suites)
    return [
        f"{suite} collects {found[suite]} tests, and suites.toml says at least {number}"
        for suite, number in least.items()
        if found[suite] < number
    ]


def misplaced(tests: Sequence[Collected], networks: Collection[str]) -> list[str]:
    """What keeps the sharded tests from trying each network once between them, and their shards from being
    full.
    """
    tried = Counter(test.network for test in tests if test.network)
    if not tried:
        return ["no test is sharded"]
    faults = [f"{name} is in no shard" for name in networks if not tried[name]]
    faults += [f"{name} is tried {count} times" for name, count in tried.items() if count > 1]
    for function in dict.fromkeys(test.function for test in tests if test.network):
        shards = {shard_of(test.network) for test in tests if test.function == function and test.network}
        faults += [f"{function} has nothing in shard {each}" for each in range(COUNT) if each not in shards]
    return faults


def test_every_test_is_in_one_suite(everything: list[Collected]) -> None:
    assert outside(everything, [*defined(ROOT / "tests")]) == []


def test_no_suite_has_lost_tests(everything: list[Collected]) -> None:
    assert lost(everything, LEAST) == []


def test_the_shards_hold_the_catalog(everything: list[Collected]) -> None:
    assert misplaced(everything, CATALOG) == []


def test_make_runs_every_suite() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert [suite for suite in LEAST if f"--suite {suite}" not in makefile] == []


def test_ci_runs_the_checks_and_every_suite_in_65_minutes() -> None:
    steps = re.findall(r"^step (\d+) (\S+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert [target for _, target in steps] == ["lint", "test-stack", "test-slow", "test"]
    assert sum(int(minutes) for minutes, _ in steps) <= 65


# the checks can fail


def test_a_test_in_no_suite_or_in_two_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_good.py").write_text("def test_a(): ...\nclass TestB:\n    async def test_c(self): ...\n")
    (folder / "bad.py").write_text("def helper():\n    def test_d(): ...\ndef test_e(): ...\n")
    functions = [*defined(folder)]
    assert functions == [
        "tests/bad.py::test_e",
        "tests/test_good.py::test_a",
        "tests/test_good.py::TestB::test_c",
    ]
    tests = [Collected(functions[1], ("test",), None), Collected(functions[2], ("slow", "oracles"), None)]
    assert outside(tests, functions) == [
        "tests/bad.py::test_e is not collected",
        "tests/test_good.py::TestB::test_c is in the suites slow, oracles",
    ]
    assert outside(tests[:1], functions[1:2]) == []


def test_a_lost_test_is_seen() -> None:
    tests = [Collected("a", ("test",), None), Collected("b", ("slow",), None)]
    assert lost(tests, {"test": 1, "slow": 1}) == []
    assert lost(tests, {"test": 2, "slow": 1, "stack": 1}) == [
        "test collects 1 tests, and suites.toml says at least 2",
        "stack collects 0 tests, and suites.toml says at least 1",
    ]


def test_a_network_in_no_shard_or_twice_is_seen() -> None:
    tests = [Collected("a", ("slow",), name) for name in CATALOG]
    assert misplaced(tests, CATALOG) == []
    assert misplaced([*tests[1:], Collected("a", ("slow",), tests[1].network)], CATALOG) == [
        f"{tests[0].network} is in no shard",
        f"{tests[1].network} is tried 2 times",
    ]
    first = [test for test in tests if shard_of(test.network or "") == 0]
    assert misplaced(first, [test.network or "" for test in first]) == [
        f"a has nothing in shard {each}" for each in (1, 2, 3)
    ]
    assert misplaced([Collected("a", ("slow",), None)], CATALOG) == ["no test is sharded"]


def test_the_commit_chooses_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
        return subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert choose(COMMIT, tmp_path).shards == [0]
    assert "no commit: fatal: not a git repository" in str(choose(COMMIT, tmp_path))
    git("init")
    git("commit", "--allow-empty", "--message", "Begin")
    commit = git("rev-parse", "HEAD")
    assert choose(COMMIT, tmp_path).shards == [int(commit, 16) % COUNT]
    assert (
        str(choose(COMMIT, tmp_path))
        == f"shard {int(commit, 16) % COUNT} of the catalog's 4 (commit {commit})"
    )
    monkeypatch.setenv("PATH", "")
    assert choose(COMMIT, tmp_path).shards == [0]
    assert [[*choose(option, tmp_path).shards] for option in OPTIONS[1:]] == [
        [0, 1, 2, 3],
        [0],
        [1],
        [2],
        [3],
    ]


NETWORKS = ["resnet18", "resnet34", "resnet50", "resnet101", "fcan", "vit_tiny"]
PLANTED = f"""
import pytest
def test_quick(): ...
@pytest.mark.slow
def test_long(): ...
@pytest.mark.slow
@pytest.mark.sharded("name")
@pytest.mark.parametrize("name", {NETWORKS})
def test_network(name): ...
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    (folder / "test_planted.py").write_text(PLANTED)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: \n    sharded: \n")
    return folder


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"quick", "long", *NETWORKS}),
        (["--suite", UNMARKED], {"quick"}),
        (["--suite", "slow", "--shard", ALL], {"long", *NETWORKS}),
        (["--suite", "slow", "--shard", "1"], {"long", *(n for n in NETWORKS if shard_of(n) == 1)}),
    ],
)
def test_a_run_is_of_one_suite(planted: Path, options: list[str], expected: set[str]) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.suites", "--collect-only", "-q", *options]
    found = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(planted)],
        cwd=planted,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    names = [line.rpartition("::")[2] for line in found.stdout.splitlines() if "::" in line]
    assert {
        name.removeprefix("test_network[").removeprefix("test_").removesuffix("]") for name in names
    } == expected
