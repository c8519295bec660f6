"""What is malformed is so by construction, and the same in each run."""

from collections import Counter
from itertools import islice

from tests.faults.corpus import KINDS, malformed
from tests.faults.malformed import OverGrpc, OverHttp


def test_it_is_the_same_in_each_run_and_covers_every_kind() -> None:
    first = list(malformed(300))
    assert first == list(malformed(300))
    assert first != list(malformed(300, seed=1))
    assert list(islice(malformed(10_000), 300)) == first
    kinds = Counter((type(each).__name__, each.kind) for each in first)
    assert {kind for _, kind in kinds} == {
        *("JSON", "shapes", "values", "lengths", "image bytes", "path tricks", "no HTTP", "protobuf")
    }
    assert min(kinds.values()) >= 300 // len(KINDS)


def test_a_gateway_is_sent_what_a_server_alone_does_not_live_through() -> None:
    alone, more = (sum(each.kind == "shapes" for each in malformed(320, gateway=g)) for g in (False, True))
    assert more > alone + 15


def test_they_differ() -> None:
    many = list(malformed(3000))
    assert len({each.content for each in many if isinstance(each, OverHttp)}) > 800
    assert len({each.content for each in many if isinstance(each, OverGrpc)}) > 400


def test_no_answer_is_a_refusal() -> None:
    for each in malformed(300):
        assert not {"200", "OK"} & each.codes
