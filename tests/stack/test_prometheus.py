"""What Prometheus sees of the stack."""

import re
from typing import Any

import pytest
from tests.stack.compose import ROOT, Stack
from tests.stack.prometheus import asked
from tests.stack.waiting import until

pytestmark = pytest.mark.stack
URL = "http://127.0.0.1:9090"


def test_every_target_is_scraped(stack: Stack) -> None:
    """An idle colour has no Triton, and so no metrics of one."""

    def health() -> dict[tuple[str, str], str]:
        found = asked(URL, "targets")["activeTargets"]
        return {(each["labels"]["job"], each["labels"].get("colour", "")): each["health"] for each in found}

    expected = {
        ("triton", "a"): "up",
        ("triton", "b"): "down",
        ("supervisor", "a"): "up",
        ("supervisor", "b"): "up",
        ("gateway", ""): "up",
    }
    until(lambda: health() == expected, what=lambda: f"targets are {health()}")


def test_every_rule_is_loaded_and_well(stack: Stack) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in asked(URL, "rules")["groups"] for rule in group["rules"]]

    written = (ROOT / "docker" / "prometheus" / "rules" / "regard.yml").read_text()
    names = re.findall(r"- (?:alert|record): (\S+)", written)
    assert sorted(rule["name"] for rule in rules()) == sorted(names)
    until(lambda: {rule["health"] for rule in rules()} == {"ok"}, what=lambda: f"rules are {rules()}")
