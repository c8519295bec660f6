"""The table of Triton's releases: what it says is known from somewhere; the default has no known fault."""

from itertools import pairwise
from pathlib import Path

import pytest

from regard.errors import InvalidInput
from regard.serving.deploy.published_faults import FAULTS, READ_ON, faults_of, warning_of
from regard.serving.deploy.tags import PRODUCTION, TAGS
from regard.serving.repository.releases import RELEASE, TENSORRT


def test_what_is_said_of_a_release_is_known_from_somewhere():
    for release, tag in TAGS.items():
        for name, fact in tag.facts().items():
            where = (release, name)
            assert (fact.value is None) == (fact.how == "unknown"), where
            assert (fact.source is not None) == (fact.how == "read"), where


def test_what_was_run_is_said_of_the_release_that_the_tests_run():
    """NVIDIA's images are not run here: of one release alone the server was, as a package."""
    run = {
        (release, name)
        for release, tag in TAGS.items()
        for name, fact in tag.facts().items()
        if fact.how == "run"
    }
    assert run == {(RELEASE, "server")}
    assert TAGS[RELEASE].tensorrt.value == TENSORRT[RELEASE]


def test_the_default_is_the_newest_and_has_no_known_fault():
    assert max(TAGS) == PRODUCTION
    assert faults_of(PRODUCTION) == ()
    assert warning_of(PRODUCTION) is None


def test_bulletins_are_in_order_and_were_out_when_they_were_read():
    published = [fault.published for fault in FAULTS]
    assert published == sorted(published)
    assert published[-1] <= READ_ON
    assert all(earlier.fixed < later.fixed for earlier, later in pairwise(FAULTS))


def test_a_release_has_a_fault_until_the_one_that_mends_it():
    shared_memory = FAULTS[0]
    assert shared_memory.fixed == "25.07"
    assert shared_memory in faults_of("25.06")
    assert shared_memory not in faults_of("25.07")


@pytest.mark.parametrize(
    ("release", "said"),
    [
        (RELEASE, ["CVE-2025-23319", "CVE-2026-47627", "take 26.06 or newer, as 26.10"]),
        ("26.05", ["CVE-2026-47627"]),
    ],
)
def test_a_warning_names_the_faults_and_the_way_out(release, said):
    warning = warning_of(release)
    assert warning is not None
    assert all(part in warning for part in [f"Triton {release}", *said])


def test_faults_that_only_end_the_server_are_known_and_no_warning():
    assert [fault.fixed for fault in faults_of("26.06")] == ["26.07"]
    assert warning_of("26.06") is None


@pytest.mark.parametrize("release", ["", "latest", "26.13", "26.10-py3", "2.51.0"])
def test_what_is_no_release_is_refused(release):
    with pytest.raises(InvalidInput, match="a year and a month"):
        faults_of(release)


def test_the_documentation_has_the_table():
    page = (Path(__file__).parents[3] / "docs" / "compose.md").read_text()
    for release, tag in TAGS.items():
        faults = faults_of(release)
        critical = sum(fault.critical for fault in faults)
        known = f"{len(faults)} bulletins, {critical} critical" if faults else "none"
        assert f"| {release} | {' | '.join(map(str, tag.facts().values()))} | {known} |" in page
    assert READ_ON in page
    assert FAULTS[-1].published in page
