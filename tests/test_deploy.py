"""What deploy/ ships fits the broker: settings that exist, units that systemd takes, YAML that is YAML."""

import json
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from broker.agent.settings import read_agent_settings
from broker.config import load_settings, parse_address, setting_names
from broker.config.settings import variable_of
from broker.web.connection import KEEP_ALIVE_SECONDS, LONGEST_TARGET
from broker.web.metrics import GAUGES, Metrics

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = ("1.25.0", "1.30.0", "1.37.0")  # as of the chart
TEMPLATES = sorted((DEPLOY / "helm" / "broker" / "templates").glob("*.yaml"))


def text_of(*parts: str) -> str:
    return DEPLOY.joinpath(*parts).read_text("utf-8")


@pytest.mark.parametrize(
    "file", ["Containerfile", "compose.yaml", "helm/broker/templates/statefulset.yaml", "README.md"]
)
def test_every_variable_is_a_setting(file: str):
    known = {variable_of(name) for name in setting_names()} | {"BROKER_CONFIG"}
    used = set(re.findall(r"\bBROKER_[A-Z_]*[A-Z]\b", text_of(file)))
    # Of secrets there are _FILE forms; the chart explains why it turns off what a Service would bring.
    strays = {name for name in used if name not in known and name.removesuffix("_FILE") not in known}
    assert strays <= {"BROKER_PORT"}
    assert used


def rendered(template: Path) -> list[Any]:
    """The template's documents with every value a text and every condition true: its bones, without Helm."""
    lines = [
        line
        for line in template.read_text("utf-8").splitlines()
        if not re.fullmatch(r"\s*\{\{-?.*\}\}\s*", line)
    ]
    bones = re.sub(r"\{\{.*?\}\}", "x", "\n".join(lines))
    # Both branches of an else stand there now; the second `value` of a variable does no harm.
    return [document for document in yaml.safe_load_all(bones) if document]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_every_template_of_the_chart_has_bones_of_yaml(template: Path):
    documents = rendered(template)
    assert documents
    assert all({"apiVersion", "kind", "metadata"} <= document.keys() for document in documents)


def test_the_chart_asks_only_for_values_that_it_explains():
    values = yaml.safe_load(text_of("helm", "broker", "values.yaml"))
    for template in TEMPLATES:
        for path in re.findall(r"\.Values\.([A-Za-z.]+)", template.read_text("utf-8")):
            found = values
            for step in path.split("."):
                assert step in found, f"{template.name}: values.yaml lacks {path}"
                found = found[step]


def test_the_charts_settings_are_settings(tmp_path: Path):
    file = tmp_path / "broker.toml"
    file.write_text(yaml.safe_load(text_of("helm", "broker", "values.yaml"))["settings"])
    assert load_settings(file, {}).requests.trusted_proxies == ()


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.toml")), ids=lambda path: path.name)
def test_an_example_that_listens_to_others_believes_no_proxy_and_has_tls(file: Path):
    """As it stands: in the reader's own network any address of an example may be somebody else's."""
    settings = load_settings(file, {})
    host, _ = parse_address(settings.listen.api, "listen.api")
    if not ip_address(host).is_loopback:
        assert settings.requests.trusted_proxies == ()
        assert settings.tls.certificate_file and settings.tls.key_file
    for unsigned in (*settings.listen.metadata, settings.listen.operations):
        address = ip_address(parse_address(unsigned, "listen")[0])
        assert address.is_loopback or address == ip_address("169.254.169.254")
    assert settings.metadata.loopback_instance == ""


def test_what_asks_for_no_signature_is_opened_on_purpose_only():
    containerfile = text_of("Containerfile")
    assert set(re.findall(r"BROKER_[A-Z_]+", containerfile)) >= {"BROKER_CONFIG"}
    image = load_settings(DEPLOY / "image.toml", {}).listen
    assert (image.metadata, image.operations) == (("127.0.0.1:1338",), "127.0.0.1:9464")
    assert re.findall(r"^EXPOSE (.*)$", containerfile, re.MULTILINE) == ["8080"]
    services = yaml.safe_load(text_of("compose.yaml"))
    assert "BROKER_LISTEN_METADATA" not in services["services"]["broker"]["environment"]
    assert services["services"]["redis"]["networks"] == ["store"]
    assert services["networks"]["store"]["internal"] is True
    stateful = text_of("helm", "broker", "templates", "statefulset.yaml")
    opened = (
        r"if \.Values\.metadata\.enabled \}\}\s+- name: BROKER_LISTEN_METADATA\s+value: 0\.0\.0\.0:1338\n"
    )
    assert re.search(opened, stateful) and stateful.count("BROKER_LISTEN_METADATA") == 1


def test_a_mounted_file_replaces_the_settings_of_the_image(tmp_path: Path):
    """No variable of the image but BROKER_CONFIG, for a variable counts more than the file."""
    variables = re.search(r"^ENV (.+?[^\\])$", text_of("Containerfile"), re.MULTILINE | re.DOTALL)
    assert variables is not None
    named = dict(one.split("=", 1) for one in variables[1].replace("\\\n", " ").split())
    assert {name for name in named if name.startswith("BROKER_")} == {"BROKER_CONFIG"}
    assert f"COPY deploy/image.toml {named['BROKER_CONFIG']}" in text_of("Containerfile")
    mounted = tmp_path / "broker.toml"
    mounted.write_text('[listen]\napi = "127.0.0.1:1"\n')
    assert load_settings(mounted, named).listen.api == "127.0.0.1:1"


def test_what_the_image_is_made_of_is_not_ignored_and_nothing_else_is_sent():
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sent = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert "*" in lines
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text_of("Containerfile"), re.MULTILINE)
    assert sorted(sent) == sorted(copied)


def test_the_commands_of_the_containerfile_run(tmp_path: Path):
    """The steps of the last stage, in a folder instead of an image: there is no engine here."""
    steps = re.findall(
        r"^RUN (.+?[^\\])$", text_of("Containerfile").rpartition("\nFROM ")[2], re.MULTILINE | re.DOTALL
    )
    (step,) = [one.replace("\\\n", " ") for one in steps]
    for name in ("/var/lib/broker", "/usr/local/bin/broker"):
        step = step.replace(name, f"{tmp_path}{name}")
    (tmp_path / "usr" / "local" / "bin").mkdir(parents=True)
    step = step.replace("-o 10001 -g 10001 ", "").replace("/opt/broker/venv/bin/python", sys.executable)
    subprocess.run(["/bin/sh", "-euc", step], check=True)
    command = [tmp_path / "usr" / "local" / "bin" / "broker", "--version"]
    shown = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert shown.stdout.startswith("broker "), shown.stderr


def chart_values() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(text_of("helm", "broker", "values.yaml"))
    return values


def undescribed(values: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """What of `values` the schema does not know."""
    if not isinstance(values, dict) or "properties" not in schema:
        return []
    found = [f"{path}.{name}" for name in values if name not in schema["properties"]]
    for name, one in schema["properties"].items():
        if name in values:
            found += undescribed(values[name], one, f"{path}.{name}")
    return found


def test_the_schema_of_the_chart_knows_its_values_and_no_others():
    schema = json.loads(text_of("helm", "broker", "values.schema.json"))
    assert undescribed(chart_values(), schema) == []
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) - {"global"} == set(chart_values())


def test_alerts_and_the_dashboard_ask_for_metrics_that_there_are():
    slot = Metrics()
    slot.count("sts", "AssumeRole", "", 0.1)
    slot.count_session("Role")
    slot.count_denial("identity")
    for name, (_, label) in GAUGES.items():
        slot.set_gauge(name, "sessions" if label else "", 1.0)
    known = set(re.findall(r"^(broker_\w+)", slot.exposition().decode(), re.MULTILINE))
    files = [text_of("helm", "broker", "files", name) for name in ("alerts.yaml", "dashboard.json")]
    asked = set(re.findall(r"\bbroker_\w+", "".join(files)))
    assert asked and asked - known == set()
    rules = yaml.safe_load(files[0])["groups"][0]["rules"]
    assert all({"alert", "expr", "labels", "annotations"} <= rule.keys() for rule in rules)
    panels = json.loads(files[1])["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_pods_run_with_as_few_rights_as_there_are():
    (stateful,) = rendered(DEPLOY / "helm" / "broker" / "templates" / "statefulset.yaml")
    pod = stateful["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["enableServiceLinks"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_compose_keeps_what_the_brokers_promise_rests_on():
    services = yaml.safe_load(text_of("compose.yaml"))["services"]
    command = " ".join(services["redis"]["command"])
    for option in (
        "--protected-mode no",
        "--appendonly yes",
        "--appendfsync always",
        "--maxmemory-policy noeviction",
    ):
        assert option in command
    assert services["broker"]["read_only"] is True
    assert all(port.startswith("127.0.0.1:") for port in services["broker"]["ports"])


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("read_only: true", "reed_only: true", "reed_only"),
        ("secrets: [master-key]", "secrets: [other]", "`other`"),
        ("networks: [store]", "networks: [stare]", "`stare`"),
        ("condition: service_healthy", "condition: fine", "fine"),
    ],
)
def test_the_compose_file_keeps_the_compose_specification(written: str, instead: str, said: str):
    """By a reader of the specification, which finds what is wrong in a changed one."""
    text = text_of("compose.yaml")
    PyCompose.from_yaml(text).validate()
    with pytest.raises(ValueError, match=said):
        PyCompose.from_yaml(text.replace(written, instead)).validate()


def test_the_master_key_of_compose_is_never_committed():
    secrets = yaml.safe_load(text_of("compose.yaml"))["secrets"]
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert f"/{(DEPLOY / secrets['master-key']['file']).relative_to(ROOT)}" in ignored


def test_systemd_takes_the_units(tmp_path: Path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not here")
    folder = DEPLOY / "systemd"
    for unit in (*folder.glob("*.service"), *folder.glob("*.socket")):
        here = unit.read_text("utf-8").replace("/opt/broker/.venv/bin/python", sys.executable)
        ip = shutil.which("ip") or sys.executable
        (tmp_path / unit.name).write_text(here.replace("/usr/sbin/ip", ip))
    units = sorted(map(str, tmp_path.iterdir()))
    verified = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True)
    ours = [line for line in verified.stderr.splitlines() if "broker" in line]
    assert (verified.returncode, ours) == (0, [])


@pytest.mark.parametrize(("checked", "status"), [(0, "served"), (2, "2"), (3, "3")])
def test_the_unit_serves_only_what_passed_the_check_and_ends_with_its_status_else(
    tmp_path: Path, checked: int, status: str
):
    """RestartPreventExitStatus= says nothing of an ExecStartPre=, so the main process has to end with the status."""
    unit = text_of("systemd", "broker.service")
    assert "\nExecStartPre=" not in unit
    assert "\nRestartPreventExitStatus=2\n" in unit
    command = re.search(r"^ExecStart=/bin/sh -c '(.+)'$", unit, re.MULTILINE)
    assert command is not None
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$3" = serve ] && echo served && exit 0\nexit {checked}\n')
    python.chmod(0o755)
    here = command[1].replace("$$", "$").replace("/opt/broker/.venv/bin/python", str(python))
    ended = subprocess.run(["/bin/sh", "-c", here], capture_output=True, text=True)
    assert (ended.stdout.strip() or str(ended.returncode)) == status


def test_the_unit_gives_the_broker_time_to_stop():
    stop = re.search(r"^TimeoutStopSec=(\d+)", text_of("systemd", "broker.service"), re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > load_settings(None, {}).requests.graceful_shutdown_seconds + 20


def test_nginx_closes_idle_connections_before_the_broker_and_takes_what_the_broker_takes():
    text = text_of("nginx", "broker.conf")
    idle = re.search(r"keepalive_timeout (\d+)s", text)
    assert idle is not None and int(idle[1]) < KEEP_ALIVE_SECONDS
    assert f"large_client_header_buffers 8 {LONGEST_TARGET >> 10}k" in text
    assert f"client_max_body_size {load_settings(None, {}).requests.maximum_body_bytes >> 10}k" in text


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_the_manifest_of_the_agent(version: str):
    documents = list(yaml.safe_load_all(text_of("kubernetes/agent.yaml")))
    assert [one["kind"] for one in documents] == ["Namespace", "ServiceAccount", "ConfigMap", "DaemonSet"]
    for one in documents:
        kubernetes_validate.validate(one, version, strict=True)
    misspelt = json.loads(json.dumps(documents[-1]).replace('"hostNetwork"', '"hostNetworking"'))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, version, strict=True)


def test_the_manifest_of_the_agent_has_settings_that_can_be_used_and_one_capability(tmp_path: Path):
    """What it changes of the machine is an address; the agent itself has what port 80 needs, and no more."""
    documents = {one["kind"]: one for one in yaml.safe_load_all(text_of("kubernetes/agent.yaml"))}
    file = tmp_path / "agent.toml"
    file.write_text(documents["ConfigMap"]["data"]["agent.toml"])
    settings = read_agent_settings(file, {"NODE_NAME": "node-1"})
    assert settings.pods is not None
    assert (settings.pods.node, settings.pods.listen) == ("node-1", ("169.254.170.23:80",))
    pod = documents["DaemonSet"]["spec"]["template"]["spec"]
    (agent,) = pod["containers"]
    context = agent["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
    assert settings.health.listen == f"127.0.0.1:{agent['livenessProbe']['httpGet']['port']}"
    names = {one["name"] for one in agent["env"]}
    assert names == {"NODE_NAME", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"}
