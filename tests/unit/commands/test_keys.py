"""`broker keys` and `broker root-key`: rings step by step, the master key, root's keys."""

import re
from pathlib import Path

import pytest

from broker.commands import master_key
from broker.sealing.master import parse_master_key

from .conftest import Run

A = "111111111111"


def states(run: Run, ring: str = "sessions") -> list[str]:
    return re.findall(rf"^{ring}\s+\w+\s+(\w+)", run("keys", "list").shown, re.MULTILINE)


@pytest.mark.parametrize("ring", ["sessions", "storage"])
def test_a_rotation_is_two_steps(run: Run, ring: str) -> None:
    assert states(run, ring) == ["primary"]
    assert " is staged; run this again in a minute" in run("keys", "rotate", "--ring", ring).shown
    assert states(run, ring) == ["primary", "staged"]
    early = run("keys", "rotate", "--ring", ring)
    assert (early.status, "not every node may know it" in early.said) == (1, True)
    assert " is primary" in run("keys", "rotate", "--ring", ring, "--at-once").shown
    assert states(run, ring) == ["retired", "primary"]


def test_a_retired_storage_key_opens_for_ever_and_a_sessions_key_does_not(run: Run) -> None:
    for ring in ("sessions", "storage"):
        run("keys", "rotate", "--ring", ring)
        run("keys", "rotate", "--ring", ring, "--at-once")
    lines = [line for line in run("keys", "list").shown.splitlines() if " retired " in line]
    assert [line.endswith("for ever") for line in lines] == [False, True]


def test_a_key_that_is_suspected_opens_nothing_any_more_from_the_moment_it_is_dropped(run: Run) -> None:
    run("root-key", A, "--create-account")
    suspected = re.findall(r"^sessions\s+(\w+)", run("keys", "list").shown, re.MULTILINE)[0]
    refused = run("keys", "drop", suspected)
    assert (refused.status, "rotate first" in refused.said) == (1, True)
    run("keys", "rotate")
    run("keys", "rotate", "--at-once")
    assert states(run) == ["retired", "primary"]
    assert "is dropped" in run("keys", "drop", suspected).shown
    assert states(run) == ["primary"]
    assert "broker:DropKey" in run("audit", "tail").shown
    assert "the sessions keyring has no key" in run("keys", "drop", suspected).said


def test_a_storage_key_is_never_dropped_for_records_are_sealed_by_it(run: Run) -> None:
    run("keys", "rotate", "--ring", "storage")
    (primary, staged) = re.findall(r"^storage\s+(\w+)", run("keys", "list").shown, re.MULTILINE)
    for key in (primary, staged):
        assert "the sessions keyring has no key" in run("keys", "drop", key).said
    assert states(run, "storage") == ["primary", "staged"]


def test_rotations_are_journalled(run: Run) -> None:
    run("keys", "rotate")
    run("keys", "master", "--rotate")
    shown = run("audit", "tail").shown
    assert "broker:RotateKeyring" in shown
    assert "broker:RotateMasterKey" in shown


def key_file() -> bytes:
    return Path("master.key").read_bytes()


def test_a_master_key_is_replaced_in_two_steps(run: Run) -> None:
    run("root-key", A, "--create-account")
    first = key_file()
    assert "restart every broker process" in run("keys", "master", "--rotate").shown
    assert Path("master.key.previous").read_bytes() == first
    assert "--finish comes first" in run("keys", "master", "--rotate").said
    assert run("keys", "master", "--finish").status == 0
    assert not Path("master.key.previous").exists()
    assert run("root-key", A, "--rotate").status == 0
    Path("master.key").write_bytes(first)
    said = run("keys", "list").said
    assert "does not open with this master key" in said and "keys.master_key_file" in said


def test_a_staged_master_key_is_the_one_that_is_taken(run: Run) -> None:
    run("keys", "list")
    first = key_file()
    assert run("keys", "master", "--stage").status == 0
    staged = Path("master.key.previous").read_bytes()
    assert (key_file(), staged != first) == (first, True)
    assert "a rotation is under way" in run("keys", "master", "--stage").said
    assert run("keys", "master", "--rotate").status == 0
    assert (key_file(), Path("master.key.previous").read_bytes()) == (staged, first)
    assert run("keys", "master", "--finish").status == 0
    assert sorted(path.name for path in Path().glob("master.key*")) == ["master.key"]


def test_master_keys_are_named_and_never_shown(run: Run) -> None:
    run("keys", "list")
    ended = run("keys", "master")
    assert f"master key    {parse_master_key(key_file()).id}" in ended.shown
    assert key_file().decode().strip() not in ended.shown
    assert ended.shown.count("sealed by the master key") == 2


def test_master_keys_are_readable_by_their_owner_only(run: Run) -> None:
    run("keys", "list")
    run("keys", "master", "--rotate")
    assert {path.stat().st_mode & 0o777 for path in Path().glob("master.key*")} == {0o600}


@pytest.mark.parametrize("crash_at", range(1, 5))
def test_a_rotation_that_is_cut_short_loses_no_key(
    run: Run, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """The files are moved in four steps; wherever it ends, the rings open, and the rotation can be done again."""
    run("keys", "list")
    steps = 0
    write, replace = master_key._write_private, Path.replace

    def count() -> None:
        nonlocal steps
        steps += 1
        if steps == crash_at:
            raise OSError("cut short")

    def write_until(file: Path, content: bytes) -> None:
        count()
        write(file, content)

    def replace_until(self: Path, target: Path) -> Path:
        if self.name.endswith(".retiring"):
            count()
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(master_key, "_write_private", write_until)
        patched.setattr(Path, "replace", replace_until)
        assert run("keys", "master", "--rotate").status == 3
    # As the next command finds it.
    assert run("keys", "master", "--finish").status == 0 or run("keys", "master", "--rotate").status == 0
    assert run("keys", "list").status == 0


def test_a_master_key_from_the_environment_is_replaced_there(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_KEYS_MASTER_KEY", "00112233445566778899aabbccddeeff" * 2)
    ended = run("keys", "master", "--rotate")
    assert (ended.status, "not a file here" in ended.said) == (1, True)


def test_a_root_key_is_made_once_and_rotated(run: Run) -> None:
    missing = run("root-key", A)
    assert (missing.status, "--create-account creates it" in missing.said) == (1, True)
    made = run("root-key", A, "--create-account")
    assert "export AWS_SECRET_ACCESS_KEY=" in made.shown
    again = run("root-key", A)
    assert (again.status, "--rotate replaces it" in again.said, again.shown) == (1, True, "")
    rotated = run("root-key", A, "--rotate")
    assert "is deleted and signs nothing any more" in rotated.said
    assert rotated.shown != made.shown
    assert "broker:CreateRootAccessKey" in run("audit", "tail").shown


def test_an_account_id_has_twelve_digits(run: Run) -> None:
    assert "it has twelve digits" in run("root-key", "1234", "--store", "sqlite:nowhere/broker.db").said
    assert "it has twelve digits" in run("root-key", "1234").said
    assert run("root-key", "1234").status == 2
