"""Which tests run together. Each test is in one suite of suites.toml: in the one whose marker it has, or in
`test` without one.

A pytest plugin: `--suite NAME` runs a suite alone; without it every test runs. In the suite `slow` a test
that is marked `sharded`, for a parameter that names networks of the catalog, runs for a part of them
(shards.py); `--shard` chooses another part, or all of them.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.shards import COMMIT, OPTIONS, choose, shard_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UNMARKED, SLOW = "test", "slow"
LEAST: Mapping[str, int] = tomllib.loads((Path(__file__).parent / "suites.toml").read_text())


@dataclass(frozen=True)
class Collected:
    """A test that was collected.

    Attributes:
        function: its node id without parameters.
        suites: those that it is in.
        network: what it tries of the catalog, where it is sharded.
    """

    function: str
    suites: tuple[str, ...]
    network: str | None


COLLECTED = pytest.StashKey[list[Collected]]()  # of every suite, whichever runs


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("regard")
    group.addoption("--suite", choices=[*LEAST], help="run the tests of this suite alone")
    group.addoption(
        "--shard", choices=OPTIONS, default=COMMIT, help="the part of the catalog that the suite slow tries"
    )


def pytest_report_header(config: pytest.Config) -> str:
    suite = config.getoption("suite")
    if suite != SLOW:
        return f"suite: {suite or 'all'}"
    return f"suite: {suite}, {choose(config.getoption('shard'), config.rootpath)}"


@pytest.hookimpl(tryfirst=True)  # before -k and -m take tests away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    every = [(item, collected(item)) for item in items]
    config.stash[COLLECTED] = [test for _, test in every]
    suite = config.getoption("suite")
    if suite is None:
        return
    shards = choose(config.getoption("shard"), config.rootpath).shards if suite == SLOW else ()
    chosen = [
        item
        for item, test in every
        if suite in test.suites
        and (suite != SLOW or test.network is None or shard_of(test.network) in shards)
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


def collected(item: pytest.Item) -> Collected:
    sharded = item.get_closest_marker("sharded")
    return Collected(
        function=item.nodeid.partition("[")[0],
        suites=tuple(suite for suite in LEAST if item.get_closest_marker(suite)) or (UNMARKED,),
        network=item.callspec.params[sharded.args[0]] if sharded else None,  # type: ignore[attr-defined]
    )
