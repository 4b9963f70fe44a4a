"""`broker config`: settings checked before a server reads them, and profiles of clients."""

import configparser
from pathlib import Path

import pytest
from botocore.configloader import load_config

from broker.commands.profiles import Profile, config_text, endpoint_of, metadata_endpoint_of
from broker.config import load_settings

from .conftest import Run


def test_what_is_not_the_default_is_listed_and_secrets_are_not(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for listener in ("API", "METADATA", "OPERATIONS"):  # the default ports may be another broker's
        monkeypatch.setenv(f"BROKER_LISTEN_{listener}", "127.0.0.1:0")
    monkeypatch.setenv("BROKER_ROOT_ACCOUNT_ID", "111111111111")
    monkeypatch.setenv("BROKER_ROOT_ACCESS_KEY_ID", "AKIAEXAMPLE0000000")
    monkeypatch.setenv("BROKER_ROOT_SECRET_ACCESS_KEY", "hunter2hunter2")
    ended = run("config", "check")
    assert ended.status == 0
    assert "root.account_id         111111111111" in ended.shown
    assert "root.secret_access_key  ***" in ended.shown
    assert "hunter2" not in ended.shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[listen]\nworker = 2\n", "[listen] has no setting worker; did you mean workers?"),
        ('[tls]\ncertificate_file = "none"\nkey_file = "none"\n', "the certificate cannot be used"),
    ],
)
def test_settings_that_a_server_would_refuse_are_reported(run: Run, text: str, said: str) -> None:
    Path("b.toml").write_text(text)
    ended = run("config", "check", "--config", "b.toml")
    assert (ended.status, said in ended.said) == (2, True)


def test_an_invalid_master_key_is_reported(run: Run) -> None:
    Path("master.key").write_text("short")
    assert "/master.key: the master key is neither base64 nor hex" in run("config", "check").said


def test_the_file_may_be_named_by_a_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("b.toml").write_text("[listen]\nworkers = 3\n")
    monkeypatch.setenv("BROKER_CONFIG", "b.toml")
    assert "listen.workers        3" in run("config", "check").shown


def test_a_profile_that_assumes_a_role_names_its_source(run: Run) -> None:
    ended = run("config", "print", "--profile", "x", "--role-arn", "arn:aws:iam::111111111111:role/r",
                "--source-profile", "alice", "--external-id", "e", "--endpoint", "https://iam.example")  # fmt: skip
    parser = configparser.RawConfigParser()
    parser.read_string(ended.shown)
    assert dict(parser["profile x"]) == {
        "region": "us-east-1",
        "services": "broker-x",
        "role_arn": "arn:aws:iam::111111111111:role/r",
        "source_profile": "alice",
        "external_id": "e",
    }
    assert parser["services broker-x"]["sts"] == "\nendpoint_url = https://iam.example"


def test_one_file_can_have_the_blocks_of_two_profiles(run: Run) -> None:
    blocks = [
        run("config", "print", "--profile", name, "--endpoint", f"https://{name}.example").shown
        for name in ("default", "alice", "bob")
    ]
    Path("config").write_text("".join(blocks))
    read = load_config("config")
    assert set(read["profiles"]) == {"default", "alice", "bob"}
    for name, profile in read["profiles"].items():
        assert read["services"][profile["services"]]["iam"] == {"endpoint_url": f"https://{name}.example"}


def test_a_role_without_a_source_is_a_wrong_use(run: Run) -> None:
    assert run("config", "print", "--role-arn", "arn:aws:iam::111111111111:role/r").status == 2


def test_the_default_profile_has_no_prefix() -> None:
    assert config_text([Profile(name="default")], "http://h:1", "r").startswith("[default]\nregion = r\n")


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        ("[fd00::1]:8080", "http://[fd00::1]:8080"),
        ("broker.internal:80", "http://broker.internal:80"),
    ],
)
def test_an_endpoint_is_where_a_client_reaches_the_listener(address: str, endpoint: str) -> None:
    settings = load_settings(
        None,
        {
            "BROKER_LISTEN_API": address,
            "BROKER_LISTEN_METADATA": address,
            "BROKER_LISTEN_ALLOW_PLAIN_HTTP": "true",
        },
    )
    assert endpoint_of(settings) == metadata_endpoint_of(settings) == endpoint


def test_an_endpoint_with_a_certificate_is_https_and_profiles_trust_it() -> None:
    settings = load_settings(None, {"BROKER_TLS_CERTIFICATE_FILE": "c", "BROKER_TLS_KEY_FILE": "k"})
    assert endpoint_of(settings) == "https://127.0.0.1:8080"
    assert "ca_bundle = c\n" in config_text([Profile(name="a")], "https://h", "r", "c")


def test_the_password_in_the_stores_url_is_never_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "redis://broker:hunter2@127.0.0.1:1/0"
    monkeypatch.setenv("BROKER_STORE_URL", url)
    ended = [
        run("config", "check"),
        run("keys", "list"),
        run("keys", "list", "--store", url.replace("1/", "x/")),
    ]
    assert "redis://broker:***@127.0.0.1:1/0" in ended[0].shown
    assert "redis://broker:***@127.0.0.1:1/0 cannot be used" in ended[1].said
    assert "cannot be read" in ended[2].said
    assert "hunter2" not in "".join(one.shown + one.said for one in ended)


def test_profiles_are_written_once_and_a_file_that_cannot_be_says_why(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "config")
    assert run("config", "print", "--write", "--profile", "data").shown == "config: written\n"
    assert run("config", "print", "--write", "--profile", "data").shown == "config: nothing to change\n"
    assert "data" in load_config("config")["profiles"]
    Path("file").write_text("")
    monkeypatch.setenv("AWS_CONFIG_FILE", "file/config")
    ended = run("config", "print", "--write")
    assert ended.status == 3
    assert ended.said == (
        "broker config print: file/config cannot be written: File exists: something else has this name, "
        "move it away or name another path\n"
    )
