"""What Prometheus sees of a real stack: every panel of the dashboards has data, and every alert fires when
its fault is planted. The stack's processes run without containers here, by the same configuration.
"""

import json
import re
import shutil
from collections.abc import Iterator

import pytest
from tests.docker.grafana import queries
from tests.docker.test_alerts import ALERTS, PAGE
from tests.serving.conftest import mean_colour
from tests.serving.deploy.local_stack import local_stack
from tests.stack import faults
from tests.stack.faults import Monitored
from tests.stack.prometheus import prometheus, shortened
from tests.stack.traffic import inferences, png, refusals
from tests.stack.waiting import until

from regard.serving.deploy.routing import Routing, write_routing
from regard.serving.repository import add

pytestmark = pytest.mark.stack

FASTER = 30  # so much, that the rules' durations are
QUEUE = """dynamic_batching {
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 1000000
  }
"""

# in this order: the first one is for callers who have just asked, the last ones leave little behind
FAULTS: dict[str, tuple[faults.Fault, set[str]]] = {
    "nobody asks after a deploy": (faults.nobody_asks_after_a_deploy, {"NoTrafficAfterDeploy"}),
    "overload": (faults.overload, {"QueueTooLong", "ModelFails", "InferencesFail"}),
    "version with other answers": (faults.version_with_other_answers, {"GoldensFail", "ModelRefused"}),
    "certificate of five days": (faults.certificate_of_five_days, {"CertificateExpires"}),
    "memory": (faults.limit_near_what_is_used, {"MemoryNearLimit"}),
    "stub after stub": (faults.stub_after_stub("a"), {"RestartsAgainAndAgain"}),
    "stubs at once": (faults.stubs_at_once("b"), {"StubDead"}),
    "dead server": (faults.dead_server, {"ServerDown", "InferencesFail"}),
    "dead gateway": (faults.dead_gateway, {"GatewayDown"}),
}


def lower_limits(text: str) -> str:
    """1 MiB for a request, and a number of requests a second that a test can send."""
    text = text.replace("6710886", "104857")
    return text.replace("max_tokens: 4000, tokens_per_fill: 2000", "max_tokens: 300, tokens_per_fill: 150")


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    folder = tmp_path_factory.mktemp("monitored")
    artifact = mean_colour(folder / "artifact")
    repository, deployment = folder / "repository", folder / "deployment"
    add(artifact, repository, instances=1, batching=True)
    config = repository / "colour_image" / "config.pbtxt"
    text = config.read_text(encoding="utf-8")
    assert "dynamic_batching {\n" in text
    config.write_text(text.replace("dynamic_batching {\n", QUEUE), encoding="utf-8")
    shutil.copytree(repository, deployment / "snapshots" / "1")
    (deployment / "colours.json").write_text(json.dumps({"a": "repository", "b": "snapshots/1"}))
    with local_stack(repository, folder, deployment=deployment, edit=lower_limits) as stack:
        write_routing(deployment, Routing("a", canary=30))
        addresses = {"gateway:9902": stack.gateway.metrics_port}
        for colour, ports in stack.ports.items():
            addresses |= {f"triton-{colour}:8002": ports.metrics, f"triton-{colour}:8003": ports.status}
        there = {name: f"127.0.0.1:{port}" for name, port in addresses.items()}
        with prometheus(folder / "prometheus", there, factor=FASTER) as running:
            yield Monitored(stack, running, artifact)


def test_every_panel_has_data_and_no_alert_fires_on_a_stack_that_is_well(monitored: Monitored) -> None:
    prometheus, gateway = monitored.prometheus, monitored.stack.gateway
    asked = {
        place: query.replace("$__rate_interval", "20s")
        for place, query in queries()
        if not re.search("/ GPU ", place)  # there is none here
    }
    refused = {place: query for place, query in asked.items() if "/ Refused / 4" in place}
    assert len(asked) > 30
    assert len(refused) == 5

    def without_data() -> list[str]:
        return [place for place, query in asked.items() if not prometheus.query(query)]

    def unseen() -> list[str]:
        return [place for place, query in refused.items() if not prometheus.query(f"({query}) > 0")]

    with inferences(gateway, png(8)), refusals(gateway):
        until(lambda: not without_data(), what=lambda: f"no data for {without_data()}")
        until(lambda: not unseen(), what=lambda: f"{unseen()} are not seen")
    assert prometheus.firing() == {}


def test_every_query_of_the_page_has_data(monitored: Monitored) -> None:
    blocks = re.findall("```promql\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) > 8

    def without_data() -> list[str]:
        return [block for block in blocks if not monitored.prometheus.query(shortened(block, FASTER))]

    with inferences(monitored.stack.gateway, png(8)):
        until(lambda: not without_data(), what=lambda: f"no data for {without_data()}")


def test_each_metric_of_the_page_is_there(monitored: Monitored) -> None:
    table = PAGE.partition("## Metrics that matter")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
    # those of stages are of requests that ask for them, see tests/serving/triton/backends/test_stages.py
    named = [name for name in re.findall(r"\w+", " ".join(cells)) if not name.startswith("regard_image_")]
    assert len(named) > 25

    def absent() -> list[str]:
        return [name for name in named if not monitored.prometheus.query(f"count({name})")]

    with inferences(monitored.stack.gateway, png(8)):
        until(lambda: not absent(), what=lambda: f"there is no {absent()}")


@pytest.mark.parametrize("name", FAULTS)
def test_each_alert_fires_when_its_fault_is_planted(name: str, monitored: Monitored) -> None:
    plant, alerts = FAULTS[name]
    seen = monitored.prometheus
    until(lambda: not alerts & set(seen.firing()), what=lambda: f"{seen.firing()} fire before it")
    with plant(monitored):
        until(lambda: alerts <= set(seen.firing()), what=lambda: f"only {seen.firing()} fire")
        told = [alert for name in alerts for alert in seen.firing().get(name, ())]
    assert not [text for alert in told for text in alert["annotations"].values() if "<error" in text]


def test_each_alert_has_a_fault() -> None:
    assert set().union(*(alerts for _, alerts in FAULTS.values())) == set(ALERTS)
