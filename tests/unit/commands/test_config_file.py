"""Sections merged into a file in which a person has lines of their own."""

import os
import stat
from pathlib import Path

import pytest
from botocore.configloader import load_config
from hypothesis import given
from hypothesis import strategies as st

from broker.commands.config_file import merged, write_sections
from broker.commands.credentials_file import CredentialsFile

BLOCK = """\
[profile data]
region = us-east-1
services = broker-data

[services broker-data]
iam =
  endpoint_url = http://127.0.0.1:8080
sts =
  endpoint_url = http://127.0.0.1:8080
"""


def test_an_empty_file_becomes_the_block() -> None:
    assert merged("", BLOCK) == BLOCK


def test_lines_of_the_person_stay_where_they_were() -> None:
    own = (
        "# mine\n[default]\nregion = eu-west-1\n\n[profile data] ; of the team\n# why\noutput = json\n"
        "region = eu-west-1\ns3 =\n  max_queue_size = 1\n\n\n[profile other]\nregion = x"
    )
    after = merged(own, BLOCK)
    assert after == (
        "# mine\n[default]\nregion = eu-west-1\n\n[profile data] ; of the team\n# why\noutput = json\n"
        "region = us-east-1\ns3 =\n  max_queue_size = 1\nservices = broker-data\n\n\n"
        "[profile other]\nregion = x\n\n" + BLOCK.partition("\n\n")[2]
    )


def test_a_section_of_services_is_replaced_as_a_whole() -> None:
    moved = BLOCK.replace("127.0.0.1:8080", "broker:443").replace(
        "iam =\n  endpoint_url = http://broker:443\n", ""
    )
    after = merged(BLOCK, moved)
    assert after == moved


_LINES = st.sampled_from(
    [
        "",
        "# note",
        "region = a",
        "output=json",
        "s3 =",
        "  max = 1",
        "[default]",
        "[profile data]",
        "[services broker-data]",
        "noise",
    ]
)


@given(st.lists(_LINES, max_size=12).map("\n".join))
def test_a_second_time_changes_nothing_and_no_line_of_another_section_is_lost(text: str) -> None:
    once = merged(text, BLOCK)
    assert merged(once, BLOCK) == once
    assert [line for line in text.splitlines() if line in ("# note", "noise")] == [
        line for line in once.splitlines() if line in ("# note", "noise")
    ] or "[services broker-data]" in text


def test_the_file_is_made_for_its_owner_and_read_by_botocore(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    assert write_sections(path, BLOCK)
    assert not write_sections(path, BLOCK)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_config(str(path))["profiles"]["data"]["services"] == "broker-data"


def test_a_link_stays_a_link_and_a_mode_stays(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles"
    target.write_text("[default]\nregion = a\n")
    target.chmod(0o644)
    (tmp_path / "config").symlink_to(target)
    assert write_sections(tmp_path / "config", BLOCK)
    assert (tmp_path / "config").is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert sorted(os.listdir(tmp_path)) == ["config", "dotfiles"]


def test_a_device_or_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    """As AWS_CONFIG_FILE=/dev/null has it: root would replace the machine's device by a file."""
    pipe = tmp_path / "config"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="no regular file"):
        write_sections(pipe, BLOCK)
    with pytest.raises(OSError, match="no regular file"):
        CredentialsFile(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["config"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_ones_own_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        write_sections(tmp_path / "config", BLOCK)
