"""The alert rules, as they are written; test_monitored.py fires them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
UNIT_TESTS = (Path(__file__).with_name("alerts.yml")).read_text(encoding="utf-8")
GROUPS = yaml.safe_load((ROOT / "docker/prometheus/rules/regard.yml").read_text(encoding="utf-8"))["groups"]
ALERTS: dict[str, Any] = {
    rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule
}

each_alert = pytest.mark.parametrize("name", ALERTS)


@each_alert
def test_each_alert_says_what_is_the_case_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert set(rule["annotations"]) == {"summary", "description", "action"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["action"].endswith((".", ")"))


@each_alert
def test_each_alert_is_tested_by_promtool(name: str) -> None:
    assert f'alertname="{name}"' in UNIT_TESTS


@each_alert
def test_each_alert_is_in_the_table_of_the_page(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", PAGE, re.MULTILINE)


def test_the_page_names_no_alert_that_is_gone() -> None:
    table = PAGE.partition("## Alerts")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(ALERTS)
