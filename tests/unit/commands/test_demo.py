"""The demo's page and files: what it says is what the README says, and two demos keep apart."""

import re
from pathlib import Path

from broker.commands.demo import demo_files, metadata_command, prepare_demo, what_to_paste
from broker.config import load_settings

README = Path(__file__).parents[3] / "README.md"


def lines_of(text: str) -> str:
    """Without indentation and line breaks: the words of a command."""
    return " ".join(text.replace("\\\n", " ").split())


def test_the_readme_and_the_page_show_the_same_command_without_keys():
    settings = load_settings(None, {})
    command = metadata_command(settings)
    assert command in what_to_paste(settings, Path("c"), Path("k"))
    assert lines_of(command) in lines_of(README.read_text("utf-8"))


def test_the_command_without_keys_reads_no_file_and_no_variable_of_who_calls_it():
    command = lines_of(metadata_command(load_settings(None, {})))
    assert command.startswith('env -i HOME="$HOME" PATH="$PATH" ')
    assert "AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null" in command


def test_the_command_without_keys_trusts_the_listeners_certificate():
    settings = load_settings(None, {"BROKER_TLS_CERTIFICATE_FILE": "/c", "BROKER_TLS_KEY_FILE": "/k"})
    assert "AWS_CA_BUNDLE=/c AWS_DEFAULT_REGION" in metadata_command(settings)
    assert "AWS_CA_BUNDLE" not in metadata_command(load_settings(None, {}))


async def test_the_demos_of_two_stores_keep_their_files_apart(tmp_path: Path):
    shown = []
    for name in ("one", "two"):
        variables = {
            "BROKER_STORE_URL": f"sqlite:{tmp_path}/{name}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/master.key",
            "BROKER_AUDIT_PATH": f"{tmp_path}/audit.jsonl",
        }
        shown.append(await prepare_demo(load_settings(None, variables)))
    for name, page in zip(("one", "two"), shown, strict=True):
        assert f"AWS_SHARED_CREDENTIALS_FILE={tmp_path}/{name}/demo-credentials" in page
    key_ids = [
        set(re.findall("AKIA\\w+", (tmp_path / name / "demo-credentials").read_text()))
        for name in ("one", "two")
    ]
    assert len(key_ids[0]) == len(key_ids[1]) == 4
    assert not key_ids[0] & key_ids[1]


def test_where_the_store_is_no_file_the_demos_files_lie_beside_the_master_key():
    variables = {
        "BROKER_STORE_URL": "redis://h:6379/0",
        "BROKER_KEYS_MASTER_KEY_FILE": "/somewhere/master.key",
    }
    settings = load_settings(None, variables)
    assert demo_files(settings) == (Path("/somewhere/demo-credentials"), Path("/somewhere/demo-config"))
