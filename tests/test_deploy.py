"""What deploy/ ships fits the broker: settings that exist, units that systemd takes, YAML that is YAML."""

import re
import shutil
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from broker.config import load_settings, parse_address, setting_names
from broker.config.settings import variable_of
from broker.web.connection import KEEP_ALIVE_SECONDS, LONGEST_TARGET

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
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
    for unsigned in (settings.listen.metadata, settings.listen.operations):
        address = ip_address(parse_address(unsigned, "listen")[0])
        assert address.is_loopback or address == ip_address("169.254.169.254")
    assert settings.metadata.loopback_instance == ""


def test_what_asks_for_no_signature_is_opened_on_purpose_only():
    containerfile = text_of("Containerfile")
    for listener, port in (("METADATA", 1338), ("OPERATIONS", 9464)):
        assert f"BROKER_LISTEN_{listener}=127.0.0.1:{port}" in containerfile
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
    for option in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"):
        assert option in command
    assert services["broker"]["read_only"] is True
    assert all(port.startswith("127.0.0.1:") for port in services["broker"]["ports"])


def test_the_master_key_of_compose_is_never_committed():
    secrets = yaml.safe_load(text_of("compose.yaml"))["secrets"]
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert f"/{(DEPLOY / secrets['master-key']['file']).relative_to(ROOT)}" in ignored


def test_systemd_takes_the_units(tmp_path: Path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not here")
    for unit in (DEPLOY / "systemd").glob("*.service"):
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
