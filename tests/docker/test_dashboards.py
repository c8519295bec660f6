"""The dashboards and Grafana's provisioning, by what Grafana expects. Grafana itself is not run."""

import json
import re
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docker.grafana import DASHBOARDS, FOLDER, panels_of
from tests.processes import run

DATASOURCE = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yaml").read_text())
PROVIDER = yaml.safe_load((FOLDER / "provisioning/dashboards/regard.yaml").read_text())

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def test_the_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    run(sys.executable, "-B", FOLDER / "generator", tmp_path, cwd=tmp_path)
    assert contents(FOLDER / "dashboards") == contents(tmp_path), "run `python docker/grafana/generator`"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def lost(given: Any, kept: Any, place: str = "") -> list[str]:
    """Where `kept` lacks or changes what `given` has."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [
            line
            for key, value in given.items()
            for line in (lost(value, kept[key], f"{place}.{key}") if key in kept else [f"{place}.{key}"])
        ]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [
            line
            for i, pair in enumerate(zip(given, kept, strict=True))
            for line in lost(*pair, f"{place}[{i}]")
        ]
    return [] if given == kept else [f"{place}: {given!r} is {kept!r}"]


def through_grafana(dashboard: Any) -> Any:
    """The dashboard as Grafana's own types keep it: of a field that they do not know nothing is left."""
    if sys.version_info < (3, 11):
        pytest.skip("Grafana's types need Python 3.11")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    return json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))


@each_dashboard
def test_grafana_knows_every_field(dashboard: Any) -> None:
    assert lost(dashboard, through_grafana(dashboard)) == []


def test_a_field_that_grafana_does_not_know_is_found() -> None:
    dashboard = json.loads(json.dumps(DASHBOARDS["models"]))
    dashboard["panels"][1]["fieldConfig"]["defaults"]["units"] = "s"
    assert lost(dashboard, through_grafana(dashboard)) == [".panels[1].fieldConfig.defaults.units"]


@each_dashboard
def test_grafana_knows_every_unit(dashboard: Any) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Grafana's types need Python 3.11")
    from grafana_foundation_sdk.models import units

    known = {value for value in vars(units).values() if isinstance(value, str)}
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in panels_of(dashboard)} <= known


@each_dashboard
def test_panels_have_numbers_of_their_own_and_do_not_overlap(dashboard: Any) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)

    def squares(panel: Any) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    for one, other in combinations(panels, 2):
        assert not squares(one) & squares(other), (one["title"], other["title"])


@each_dashboard
def test_each_panel_says_what_it_shows_and_asks_the_provisioned_source(dashboard: Any) -> None:
    for panel in panels_of(dashboard):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": DATASOURCE["datasources"][0]["uid"]}


@each_dashboard
def test_each_variable_is_used_and_each_that_is_used_is_there(dashboard: Any) -> None:
    there = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = {
        name
        for panel in panels_of(dashboard)
        for target in panel["targets"]
        for name in re.findall(r"\$(\w+)", target["expr"])
    }
    assert used - {"__rate_interval"} == there


def test_the_provisioning_names_what_compose_mounts() -> None:
    (source,) = DATASOURCE["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = PROVIDER["providers"]
    assert provider["type"] == "file"
    assert Path(provider["options"]["path"]) == Path("/var/lib/grafana/dashboards")
    assert DATASOURCE["apiVersion"] == PROVIDER["apiVersion"] == 1


def test_the_addresses_of_the_dashboards_differ() -> None:
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert all(len(dashboard["uid"]) <= 40 for dashboard in DASHBOARDS.values())  # Grafana's limit
