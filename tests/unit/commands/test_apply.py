"""`broker apply` as a command: what it shows, what it keeps, and when it changes nothing."""

import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from broker.commands.pruning import deletions_of, require_agreed
from broker.commands.refusing import CommandRefused
from broker.declaration.attempt import Change

from .conftest import Run

A = "111111111111"


def write(users: dict[str, Any], name: str = "d.yaml") -> str:
    Path(name).write_text(json.dumps({"accounts": {A: {"users": users}}}))
    return name


def test_changes_are_shown_by_account_and_new_keys_once(run: Run) -> None:
    file = write({"alice": {"access_keys": 1}})
    ended = run("apply", file)
    assert ended.status == 0
    assert ended.shown.startswith(
        f"account {A}\n  + account {A}\n  + user alice\n  + user alice: access key\n3 changes\n"
    )
    assert "[alice]\naws_access_key_id = AKIA" in ended.shown
    assert run("apply", file).shown == "no changes\n"


def test_a_dry_run_leaves_neither_change_nor_record(run: Run) -> None:
    file = write({"alice": {"access_keys": 1}})
    ended = run("apply", file, "--dry-run", "--credentials", "credentials")
    assert ended.shown.endswith("3 changes: a dry run, nothing was written\n")
    assert not Path("audit.jsonl").exists()
    assert not Path("credentials").exists()
    assert "3 changes\n" in run("apply", file).shown


def test_new_keys_go_to_a_private_file_where_one_is_named(run: Run) -> None:
    Path("credentials").write_text("[mine]\naws_access_key_id = AKIAMINE\n")
    ended = run("apply", write({"alice": {"access_keys": 2}}), "--credentials", "credentials")
    assert "aws_secret_access_key" not in ended.shown
    text = Path("credentials").read_text()
    assert Path("credentials").stat().st_mode & 0o777 == 0o600
    assert [line for line in text.splitlines() if line.startswith("[")] == ["[mine]", "[alice]", "[alice-2]"]
    assert "AKIAMINE" in text
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("content", ["no section\n", None])
def test_no_key_is_created_where_the_credentials_file_cannot_be_written(
    run: Run, content: str | None
) -> None:
    place = Path("place")
    if content is None:
        place.mkdir()
    else:
        place.write_text(content)
    file = write({"alice": {"access_keys": 1}})
    ended = run("apply", file, "--credentials", str(place))
    assert ended.status == 2
    assert ended.said.startswith("broker apply: ")
    assert "+ user alice: access key" in run("apply", file).shown


def test_without_a_journal_nothing_is_changed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("journal").mkdir()
    monkeypatch.setenv("BROKER_AUDIT_PATH", "journal")
    file = write({"alice": {}})
    assert run("apply", file).status == 3
    assert "+ user alice" in run("apply", file, "--dry-run").shown


def test_an_error_in_the_file_names_its_line(run: Run) -> None:
    Path("d.yaml").write_text(f'accounts:\n  "{A}":\n    users:\n      alice:\n        tag: {{}}\n')
    ended = run("apply", "d.yaml")
    assert (ended.status, ended.shown) == (1, "")
    assert ended.said.startswith(
        f"broker apply: d.yaml:5: accounts.{A}.users.alice.tag: there is no tag here"
    )


def test_a_refused_change_says_that_nothing_was_changed(run: Run) -> None:
    ended = run("apply", write({"alice": {}, "bob": {"groups": ["none"]}}))
    assert (ended.status, ended.shown) == (1, "")
    assert "AddUserToGroup was refused: NoSuchEntity" in ended.said
    assert ended.said.endswith("nothing was changed\n")
    assert "+ user alice" in run("apply", write({"alice": {}})).shown


def test_every_change_is_journalled_as_roots_with_who_ran_the_command(run: Run) -> None:
    run("apply", write({"alice": {"access_keys": 1}}))
    records = [json.loads(line) for line in Path("audit.jsonl").read_text().splitlines()]
    assert [record["eventName"] for record in records] == ["PutAccount", "CreateUser", "CreateAccessKey"]
    assert {record["userIdentity"]["arn"] for record in records} == {f"arn:aws:iam::{A}:root"}
    assert records[1]["requestParameters"] == {"userName": "alice"}
    assert records[1]["additionalEventData"]["command"] == "apply d.yaml"
    assert records[1]["additionalEventData"]["operatingSystemUser"]


def test_users_of_one_name_in_two_accounts_have_profiles_that_say_which(run: Run) -> None:
    users = {"users": {"alice": {"access_keys": 1}}}
    Path("d.yaml").write_text(json.dumps({"accounts": {A: users, "222222222222": users}}))
    shown = run("apply", "d.yaml").shown
    assert f"[{A}-alice]" in shown
    assert "[222222222222-alice]" in shown


def test_keys_that_do_not_fit_on_the_disk_are_deleted_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write({"alice": {"access_keys": 1}})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        ended = run("apply", file, "--credentials", "credentials")
    assert ended.status == 3
    assert (
        "could not be written to credentials (No space left on device: make room, then try again) and was taken back"
        in ended.said
    )
    assert [path.name for path in Path().iterdir() if "credentials" in path.name] == []
    assert "+ user alice: access key" in run("apply", file, "--credentials", "credentials").shown


def test_one_time_passwords_are_shown_once_also_where_keys_go_to_a_file(run: Run) -> None:
    file = write({"alice": {"access_keys": 1, "console_password": "generate"}})
    ended = run("apply", file, "--credentials", "credentials")
    assert ended.status == 0, ended.said
    assert "aws_secret_access_key" not in ended.shown
    assert (
        f"# One-time passwords, to be changed at sign-in. They are shown only once.\nalice of account {A}: "
        in (ended.shown)
    )
    assert run("apply", file, "--credentials", "credentials").shown == "no changes\n"


def test_passwords_that_could_not_be_shown_are_taken_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write({"alice": {"console_password": "generate"}})

    def full(text: str) -> None:
        if "One-time" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("broker.commands.showing.deliver", full)
        patched.setattr("broker.commands.showing.discard_output", lambda: None)
        ended = run("apply", file)
    assert ended.status == 3
    assert "the one-time password of alice could not be shown" in ended.said
    assert "was taken back" in ended.said
    assert "+ user alice: console password" in run("apply", file).shown


STORE = """
accounts:
  "111111111111":
    open_id_connect_providers: {login.example.com: {client_ids: [web]}}
    identity_stores:
      "arn:aws:iam::111111111111:oidc-provider/login.example.com": {bearer_tokens: 1}
"""


def test_bearer_tokens_are_shown_once(run: Run) -> None:
    Path("store.yaml").write_text(STORE)
    ended = run("apply", "store.yaml", "--dry-run")
    assert "bearer token" in ended.shown and "scim." not in ended.shown
    ended = run("apply", "store.yaml")
    provider = f"arn:aws:iam::{A}:oidc-provider/login.example.com"
    assert f"They are shown only once.\n{provider} (d-" in ended.shown
    assert f"): scim.{A}.d-" in ended.shown
    assert run("apply", "store.yaml").shown == "no changes\n"
    exported = run("export")
    assert "scim." not in exported.shown
    assert exported.said == "# not in the declaration: 1 bearer tokens of identity stores\n"


def test_bearer_tokens_that_could_not_be_shown_are_taken_back(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("store.yaml").write_text(STORE)

    def full(text: str) -> None:
        if "Bearer" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("broker.commands.showing.deliver", full)
        patched.setattr("broker.commands.showing.discard_output", lambda: None)
        ended = run("apply", "store.yaml")
    assert ended.status == 3
    assert "the bearer token of d-" in ended.said and "was taken back" in ended.said
    again = run("apply", "store.yaml").shown
    assert again.count("bearer token") == 1 and "scim." in again


class Terminal(io.StringIO):
    """Standard input in which a person types."""

    def isatty(self) -> bool:
        return True


def pruned(run: Run, *arguments: str) -> Any:
    run("apply", write({"alice": {}, "bob": {}, "carol": {}}))
    return run("apply", write({"alice": {}}), "--prune", *arguments)


def users(run: Run) -> int:
    return 1 + run("apply", write({"alice": {}}), "--dry-run", "--prune").shown.count("  - user ")


def test_prune_deletes_nothing_that_nobody_agreed_to(run: Run) -> None:
    ended = pruned(run)
    assert (ended.status, users(run)) == (1, 3)
    assert "2 deletions, and there is no terminal to ask in: nothing was changed." in ended.said


def test_prune_lists_and_asks_in_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    ended = pruned(run)
    assert (ended.status, users(run)) == (1, 3)
    assert f"2 deletions:\n  - {A}: user bob\n  - {A}: user carol\n" in ended.said
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    assert (pruned(run).status, users(run)) == (0, 1)


def test_more_deletions_than_allowed_change_nothing(run: Run) -> None:
    ended = pruned(run, "--yes", "--max-deletions", "1")
    assert (ended.status, users(run)) == (1, 3)
    assert "2 deletions, and 1 are allowed at a time" in ended.said
    assert pruned(run, "--yes", "--max-deletions", "2").status == 0


def test_only_what_was_agreed_to_is_deleted() -> None:
    agreed = deletions_of([Change(A, "-", "user bob"), Change(A, "+", "user dave")])
    require_agreed([Change(A, "-", "user bob"), Change(A, "+", "user erin")], agreed)
    with pytest.raises(CommandRefused, match="user carol would be deleted as well"):
        require_agreed([Change(A, "-", "user bob"), Change(A, "-", "user carol")], agreed)


def test_a_strict_run_changes_nothing_where_a_policy_has_errors_or_security_warnings(run: Run) -> None:
    def policy(action: str, resource: str) -> dict[str, Any]:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        return {"Version": "2012-10-17", "Statement": [statement]}

    inline = {"typo": policy("s3:GetObjekt", "*"), "pass": policy("iam:PassRole", "*")}
    file = write({"alice": {"inline_policies": inline}})
    ended = run("apply", file, "--strict")
    assert ended.status == 1
    assert "Statement[0].Action: error INVALID_ACTION: No action is called s3:GetObjekt" in ended.said
    assert "Statement[0].Resource: security warning PASS_ROLE_WITH_STAR_IN_RESOURCE: " in ended.said
    assert run("apply", file, "--dry-run").shown.count("+ user alice") > 0
    good = write({"alice": {"inline_policies": {"read": policy("s3:GetObject", "arn:aws:s3:::reports/*")}}})
    assert run("apply", good, "--strict").status == 0
