"""The chart as Helm renders it: Kubernetes' schemas take every manifest, and the broker the settings in it.

`scripts/helm` fetches Helm for the tests. Of the two kinds of the Prometheus operator there are no schemas here: what
they refer to is looked up in the other manifests.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from broker.config import load_settings

ROOT = Path(__file__).parents[1]
HELM = ROOT / ".tools" / "helm-4" / "helm"
CHART = ROOT / "deploy" / "helm" / "broker"
OPERATORS_KINDS = ("ServiceMonitor", "PrometheusRule")
KUBERNETES = ("1.25.0", "1.30.0", "1.37.0")  # the oldest that the chart says, and newer ones

EVERYTHING = (
    "portal.enabled=true",
    "portal.url=https://access.example.com",
    "networkPolicy.enabled=true",
    "networkPolicy.clients[0].podSelector.matchLabels.app=client",
    "prometheusRule.enabled=true",
    "prometheusRule.labels.release=prometheus",
    "dashboard.enabled=true",
    "serviceMonitor.enabled=true",
    "metadata.enabled=true",
    "metadata.hostNames[0]=metadata.internal",
    "root.existingSecret=root",
    "store.existingSecret=store",
    "tls.existingSecret=tls",
    "ingress.enabled=true",
    "ingress.className=nginx",
    "ingress.annotations.one=two",
    "ingress.tlsSecret=tls",
    "ingress.portalHost=access.example.com",
    "imagePullSecrets[0].name=pull",
    "persistence.storageClassName=fast",
    "nodeSelector.disk=ssd",
    "tolerations[0].key=one",
    "tolerations[0].operator=Exists",
    "podAnnotations.one=two",
    "extraEnv[0].name=TZ",
    "extraEnv[0].value=UTC",
)
CHOICES: dict[str, tuple[str, ...]] = {
    "as it stands": (),
    "with everything": EVERYTHING,
    "one replica with SQLite": ("replicas=1", "store.url=sqlite:/var/lib/broker/broker.db"),
    "an ingress with TLS of its own": ("ingress.enabled=true", "ingress.tlsByController=true"),
    "without spreading": ("topologySpreadConstraints=null",),
}


@pytest.fixture(scope="module", autouse=True)
def _helm() -> None:
    if not HELM.exists():
        message = "no Helm: scripts/helm could not fetch it (is npm there, and the registry? is this x86_64?)"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, timeout=60)


def render(choice: tuple[str, ...], version: str = KUBERNETES[1]) -> subprocess.CompletedProcess[str]:
    sets = [argument for one in choice for argument in ("--set", one)]
    return helm("template", "mine", CHART, "--namespace", "here", "--kube-version", version, *sets)


def manifests(choice: tuple[str, ...], version: str = KUBERNETES[1]) -> list[dict[str, Any]]:
    rendered = render(choice, version)
    assert rendered.returncode == 0, rendered.stderr
    return [one for one in yaml.safe_load_all(rendered.stdout) if one]


def of_kind(all_of_them: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (one for one in all_of_them if one["kind"] == kind)


def test_helm_finds_nothing_to_complain_of():
    linted = helm("lint", "--strict", CHART, *(part for one in EVERYTHING for part in ("--set", one)))
    assert (linted.returncode, "0 chart(s) failed" in linted.stdout) == (0, True), linted.stdout


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("choice", CHOICES)
def test_kubernetes_takes_every_manifest(choice: str, version: str):
    rendered = manifests(CHOICES[choice], version)
    assert len(rendered) >= 4
    for one in rendered:
        if one["kind"] not in OPERATORS_KINDS:
            kubernetes_validate.validate(one, version, strict=True)


def test_the_schemas_refuse_a_manifest_that_is_wrong():
    (pods,) = of_kind(manifests(()), "StatefulSet")
    pods["spec"]["template"]["spec"]["containers"][0]["readonly"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="readonly"):
        kubernetes_validate.validate(pods, KUBERNETES[1], strict=True)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_broker_takes_the_settings_of_its_pod(choice: str, tmp_path: Path):
    rendered = manifests(CHOICES[choice])
    (pods,) = of_kind(rendered, "StatefulSet")
    settings = next(one for one in of_kind(rendered, "ConfigMap") if "broker.toml" in one["data"])
    file = tmp_path / "broker.toml"
    file.write_text(settings["data"]["broker.toml"])
    variables = {one["name"]: one.get("value") for one in environment_of(pods)}
    secrets = {
        "BROKER_STORE_URL": "rediss://redis:6379/0",
        "BROKER_ROOT_ACCOUNT_ID": "123456789012",
        "BROKER_ROOT_ACCESS_KEY_ID": "AKIA0123456789ABCDEF",
        "BROKER_ROOT_SECRET_ACCESS_KEY": "x" * 40,
    }
    given = {name: secrets[name] if value is None else value for name, value in variables.items()}
    # The master key's file is the Secret's: it is looked for when the broker starts.
    loaded = load_settings(file, given)
    assert loaded.listen.api == "0.0.0.0:8080" and loaded.keys.create_master_key is False
    mounts = {one["mountPath"] for one in container_of(pods)["volumeMounts"]}
    assert str(Path(loaded.keys.master_key_file).parent) in mounts
    assert str(Path(loaded.audit.path).parent) in mounts


def container_of(pods: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = pods["spec"]["template"]["spec"]["containers"][0]
    return container


def environment_of(pods: dict[str, Any]) -> list[dict[str, Any]]:
    environment: list[dict[str, Any]] = container_of(pods)["env"]
    return environment


def test_what_refers_to_another_part_finds_it():
    rendered = manifests(EVERYTHING)
    (pods,) = of_kind(rendered, "StatefulSet")
    labels = pods["spec"]["template"]["metadata"]["labels"]
    ports = {one["name"] for one in container_of(pods)["ports"]}
    services = {one["metadata"]["name"]: one for one in of_kind(rendered, "Service")}
    assert pods["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for service in services.values():
        assert service["spec"]["selector"].items() <= labels.items()
        assert {one["targetPort"] for one in service["spec"]["ports"]} <= ports
    assert pods["spec"]["serviceName"] in services
    (ingress,) = of_kind(rendered, "Ingress")
    for rule in ingress["spec"]["rules"]:
        asked = rule["http"]["paths"][0]["backend"]["service"]
        assert asked["port"]["name"] in [one["name"] for one in services[asked["name"]]["spec"]["ports"]]
    for policy in of_kind(rendered, "NetworkPolicy"):
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        assert {one["port"] for rule in policy["spec"]["ingress"] for one in rule["ports"]} == ports


def test_the_prometheus_operator_finds_the_operations_service_and_the_rules():
    rendered = manifests(EVERYTHING)
    (monitor,) = of_kind(rendered, "ServiceMonitor")
    chosen = [
        one
        for one in of_kind(rendered, "Service")
        if monitor["spec"]["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()
    ]
    (operations,) = chosen
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [one["name"] for one in operations["spec"]["ports"]]
    (rule,) = of_kind(rendered, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    (dashboard,) = (one for one in of_kind(rendered, "ConfigMap") if "broker.json" in one["data"])
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["broker.json"]) == json.loads(
        (CHART / "files" / "dashboard.json").read_text()
    )


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (("workers=0",), "workers"),
        (("replica=3",), "replica"),
        (("replicas=2", "store.url=sqlite:/var/lib/broker/broker.db"), "SQLite belongs to one machine"),
        (("portal.enabled=true",), "portal.url is the https address"),
        (("ingress.enabled=true",), "an ingress without TLS"),
        (("masterKey.existingSecret=",), "masterKey"),
    ],
)
def test_values_that_would_not_work_are_refused_in_a_sentence(choice: tuple[str, ...], said: str):
    rendered = render(choice)
    assert rendered.returncode != 0
    assert said in rendered.stderr


def test_the_notes_say_what_comes_next():
    rendered = helm("install", "mine", CHART, "--dry-run=client")
    assert "root-key" in rendered.stdout, rendered.stderr
