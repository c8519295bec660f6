"""The chart: what it renders is valid to the last field, for CPUs, GPUs and object storage, and values that
contradict each other are refused with what to do. No cluster is involved.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import jsonschema
    import kubernetes_validate

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="kubernetes-validate needs Python 3.11"),
]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "serving" / "deploy" / "helm" / "regard"
HELM = Path(sys.executable).with_name("helm")
OLDEST, NEWEST = "1.27", "1.37"  # of Kubernetes
MONITORING = json.loads(Path(__file__).with_name("prometheus_operator.json").read_text())
CPU = {
    "image": {"repository": "registry.example.com/regard/tritonserver", "tag": "26.10-py3"},
    "repository": {"claim": "models"},
    "gateway": {"secret": "regard-keys"},
}
OBJECT_STORAGE = CPU | {"repository": {"objectStorage": {"url": "s3://bucket/models", "secret": "s3"}}}
SCALED = CPU | {"autoscaling": {"enabled": True}, "monitoring": {"enabled": True, "labels": {"release": "p"}}}
CASES = {
    "cpu": (CPU, []),
    "gpu": (CPU, ["values-gpu.yaml"]),
    "object-storage": (OBJECT_STORAGE | {"monitoring": {"enabled": True}}, []),
    "scaled": (SCALED, []),
}


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert HELM.exists(), f"{HELM} is missing; install it with: python tests/stack/install_helm.py"
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, timeout=120, check=False)


def options(folder: Path, values: dict[str, Any], files: list[str]) -> list[str]:
    written = folder / "values.json"
    written.write_text(json.dumps(values))
    return [f"--values={path}" for path in (*(CHART / file for file in files), written)]


def rendered(folder: Path, values: dict[str, Any], files: list[str]) -> dict[tuple[str, str], Any]:
    """The objects, by kind and name."""
    done = helm("template", "house", CHART, *options(folder, values, files))
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    named = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert len(named) == len(objects)
    return named


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_valid(case: str, tmp_path: Path) -> None:
    values, files = CASES[case]
    done = helm("lint", "--strict", CHART, *options(tmp_path, values, files))
    assert done.returncode == 0, done.stdout
    for (kind, _), each in rendered(tmp_path, values, files).items():
        if kind in MONITORING:
            jsonschema.validate(each, MONITORING[kind])
        else:
            for version in (OLDEST, NEWEST):
                kubernetes_validate.validate(each, version, strict=True)


def test_a_field_that_does_not_exist_is_found(tmp_path: Path) -> None:
    objects = rendered(tmp_path, SCALED, [])
    deployment = objects["Deployment", "house-regard-triton"]
    deployment["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)
    monitor = objects["ServiceMonitor", "house-regard-triton"]
    monitor["spec"]["endpoints"][0]["ports"] = "metrics"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(monitor, MONITORING["ServiceMonitor"])


@pytest.mark.parametrize("case", CASES)
def test_nothing_in_a_pod_has_rights(case: str, tmp_path: Path) -> None:
    deployments = [
        each for (kind, _), each in rendered(tmp_path, *CASES[case]).items() if kind == "Deployment"
    ]
    assert len(deployments) == 2
    for each in deployments:
        pod = each["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_selectors_find_their_pods_and_ports(tmp_path: Path) -> None:
    objects = rendered(tmp_path, SCALED, [])
    pods = {name: each["spec"]["template"] for (kind, name), each in objects.items() if kind == "Deployment"}
    for (kind, name), each in objects.items():
        if kind == "Service":
            selector, wanted = (
                each["spec"]["selector"],
                {port["targetPort"] for port in each["spec"]["ports"]},
            )
        elif kind == "PodDisruptionBudget":
            selector, wanted = each["spec"]["selector"]["matchLabels"], set()
        elif kind == "NetworkPolicy":
            selector, wanted = each["spec"]["podSelector"]["matchLabels"], set()
        else:
            continue
        (found,) = [pod for pod in pods.values() if selector.items() <= pod["metadata"]["labels"].items()]
        ports = {port["name"] for box in found["spec"]["containers"] for port in box["ports"]}
        assert wanted <= ports, name
    services = [each for (kind, _), each in objects.items() if kind == "Service"]
    for (kind, name), each in objects.items():
        if kind == "ServiceMonitor":
            selector = each["spec"]["selector"]["matchLabels"]
            named = {
                port["name"]
                for service in services
                if selector.items() <= service["metadata"]["labels"].items()
                for port in service["spec"]["ports"]
            }
            assert {endpoint["port"] for endpoint in each["spec"]["endpoints"]} <= named, name
    scaler = objects["HorizontalPodAutoscaler", "house-regard-triton"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == "house-regard-triton"
    assert "replicas" not in objects["Deployment", "house-regard-triton"]["spec"]
    (recorded,) = objects["PrometheusRule", "house-regard"]["spec"]["groups"][0]["rules"]
    assert scaler["spec"]["metrics"][0]["pods"]["metric"]["name"] == recorded["record"]


def test_the_gateway_leads_to_tritons_service(tmp_path: Path) -> None:
    objects = rendered(tmp_path, CPU, [])
    files = objects["ConfigMap", "house-regard-gateway"]["data"]
    assert files.keys() >= {"envoy.yaml", "clusters.yaml", "routes.yaml"}
    assert "address: house-regard-triton," in files["clusters.yaml"]
    assert "address: triton-" not in "".join(files.values())
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["gateway"]["image"]
    (envoy,) = objects["Deployment", "house-regard-gateway"]["spec"]["template"]["spec"]["containers"]
    assert envoy["image"] in compose
    ((_, service),) = [item for item in objects.items() if item[0] == ("Service", "house-regard-triton")]
    assert service["spec"]["clusterIP"] == "None"
    assert [port["port"] for port in service["spec"]["ports"]] == [8000, 8001, 8002, 8003]


def test_a_gpu_and_object_storage(tmp_path: Path) -> None:
    (box,) = _triton(rendered(tmp_path, *CASES["gpu"]))["containers"]
    assert box["resources"]["limits"]["nvidia.com/gpu"] == 1
    pod = _triton(rendered(tmp_path, *CASES["object-storage"]))
    (box,) = pod["containers"]
    assert box["command"][:2] == ["tritonserver", "--model-repository=s3://bucket/models"]
    assert box["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert {volume["name"] for volume in pod["volumes"]} == {"tmp", "shared-memory"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (CPU | {"image": {"repository": ""}}, "image.repository: give the registry"),
        (CPU | {"image": {"repository": "r/x"}}, "image: give a tag or a digest"),
        (CPU | {"repository": {}}, "give the claim that holds the model repository"),
        (CPU | {"repository": {"claim": "m", "objectStorage": {"url": "s3://b"}}}, "not both"),
        (CPU | {"repository": {"objectStorage": {"url": "http://b"}}}, "/repository/objectStorage/url"),
        (CPU | {"gateway": {}}, "name the Secret that holds the gateway's keys"),
        (CPU | {"replica": 2}, "replica"),
        (CPU | {"drainSeconds": 1}, "/drainSeconds"),
        (CPU | {"autoscaling": {"enabled": True}}, "enable that too"),
        (
            SCALED | {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 2}},
            "maxReplicas must not be below",
        ),
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any], says: str, tmp_path: Path) -> None:
    done = helm("template", "house", CHART, *options(tmp_path, values, []))
    assert done.returncode
    assert says in done.stderr


def test_the_queue_is_measured_by_pod(tmp_path: Path) -> None:
    """promtool runs the rule: 10 requests in a second that waited 0.05 s each, and a pod without any."""
    rules = tmp_path / "rules.yaml"
    rules.write_text((CHART / "files" / "queue_rule.yaml").read_text())
    series = {
        'nv_inference_queue_duration_us{namespace="n",pod="busy"}': "0+5000000x20",
        'nv_inference_request_success{namespace="n",pod="busy"}': "0+100x20",
        'nv_inference_queue_duration_us{namespace="n",pod="idle"}': "0+0x20",
        'nv_inference_request_success{namespace="n",pod="idle"}': "0+0x20",
    }
    expected = [
        {"labels": f'regard_queue_seconds{{namespace="n", pod="{pod}"}}', "value": value}
        for pod, value in (("busy", 0.05), ("idle", 0))
    ]
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": "10s",
        "tests": [
            {
                "interval": "10s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {"expr": "regard_queue_seconds", "eval_time": "3m", "exp_samples": expected}
                ],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run(
        ["promtool", "test", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _triton(objects: dict[tuple[str, str], Any]) -> Any:
    return objects["Deployment", "house-regard-triton"]["spec"]["template"]["spec"]
