"""What is wrong with the settings of the collector; none of it is quoted where it may be a secret."""

import subprocess
import sys
from pathlib import Path

import pytest

from broker.config import ConfigurationError, load_settings
from broker.config.otlp_faults import headers_of

ROOT = Path(__file__).parents[3]
HERE = "http://127.0.0.1:4318"


def faults(**variables: str) -> str:
    named = {f"BROKER_OTLP_{name.upper()}": value for name, value in variables.items()}
    try:
        load_settings(None, named)
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "endpoint", [HERE, "https://collector.example.com/otlp/", "http://collector:4318", "http://[::1]:4318"]
)
def test_a_collector_has_a_url(endpoint: str) -> None:
    assert faults(endpoint=endpoint) == ""


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:4318", "grpc://h:1", "http://", "http://u:p@h", "http://h?x", "http://h#x", "http://h:99999"],
)
def test_what_is_no_url_of_a_collector_is_refused(endpoint: str) -> None:
    assert faults(endpoint=endpoint).startswith("otlp.endpoint is the URL of a collector")


@pytest.mark.parametrize(
    "headers", ["secret-1", "=secret-1", "a=b,secret-1", "a=%0asecret-1", "a=%ffsecret-1"]
)
def test_headers_that_are_none_are_refused_and_not_quoted(headers: str) -> None:
    found = faults(endpoint=HERE, headers=headers)
    assert found == "otlp.headers is NAME=VALUE, separated by commas"


def test_headers_are_percent_decoded() -> None:
    settings = load_settings(None, {"BROKER_OTLP_HEADERS": "Authorization=Basic%20YQ==, x-b = 1%2C2 ,"})
    assert headers_of(settings.otlp) == {"authorization": "Basic YQ==", "x-b": "1,2"}
    assert "YQ" not in repr(settings)


def test_headers_go_over_plain_http_to_this_machine_alone() -> None:
    assert faults(endpoint=HERE, headers="a=b") == faults(endpoint="http://localhost:1", headers="a=b") == ""
    assert faults(endpoint="https://collector.example.com", headers="a=b") == ""
    assert "over https alone" in faults(endpoint="http://collector.example.com", headers="a=b")


def test_the_file_of_authorities_has_to_be_there() -> None:
    found = faults(endpoint="https://c.example.com", certificate_authorities="/nowhere.pem")
    assert found == "otlp.certificate_authorities: there is no file /nowhere.pem"


@pytest.mark.parametrize(("name", "value"), [("sampled_percent", "101"), ("metrics_seconds", "-1")])
def test_numbers_have_ranges(name: str, value: str) -> None:
    assert faults(**{name: value}).startswith(f"otlp.{name} is a number from 0 to")


def test_without_the_extra_the_configuration_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """A package of that name without the exporter, found first: as in an environment that lacks the extra."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "BROKER_OTLP_ENDPOINT": HERE}
    command = [sys.executable, "-m", "broker", "config", "check"]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert "otlp.endpoint needs packages that are not installed: pip install 'broker[otlp]'" in ended.stderr
    assert ended.returncode == 2 and "Traceback" not in ended.stderr


def test_a_broker_that_tells_no_collector_loads_nothing_of_opentelemetry() -> None:
    program = (
        "import sys, broker.app.serving as serving, broker.app.telemetry as telemetry\n"
        "from broker.config import load_settings\n"
        "from broker.web.metrics import Metrics, WorkerSlot\n"
        "made = telemetry.make_metrics(WorkerSlot(), load_settings(None, {}).otlp)\n"
        "assert type(made) is Metrics\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests', 'google'))])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout == "[]\n", ended.stderr
