"""`broker policy`: documents in AWS's words, decisions with their reasons, exit statuses."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import Ended, Run

DEMO = Path(__file__).parents[3] / "config" / "demo.yaml"
A = "111111111111"
ROLE = "arn:aws:iam::222222222222:role/data-reader"
EXTERNAL_ID = ("--context", "sts:ExternalId=demo-external-id")


def write(name: str, *statements: dict[str, Any]) -> str:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    Path(name).write_text(text)
    return name


def allow(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def test_a_document_is_checked_in_awss_words(run: Run) -> None:
    file = write("p.json", allow("s3:*"))
    assert run("policy", "check", file).shown == "p.json: good, 1 statement, 88 characters\n"
    ended = run("policy", "check", file, "--kind", "trust")
    said = (
        "p.json: Has prohibited field Resource\n  line 1: Resource is not allowed in a policy of this kind\n"
    )
    assert (ended.status, ended.said) == (1, said)


SYNTAX = "p.json: Syntax errors in policy.\n  "
STATEMENT = '{\n "Version": "2012-10-17",\n "Statement": [\n  %s\n ]\n}\n'
GOOD = '{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STATEMENT % '{"Effect": "Allow"', SYNTAX + "line 5, column 2: Expecting ',' delimiter"),
        (STATEMENT % (GOOD + ",\n  " + GOOD.replace("Allow", "Alow")), SYNTAX + 'line 5: Effect is "Alow", not Allow'),
        (STATEMENT % GOOD.replace("Action", "Acton"), SYNTAX + 'line 4: there is no element "Acton" here, but Action,'),
        (STATEMENT % GOOD.replace('"s3:*"', "[7]"), SYNTAX + "line 4: Action holds 7, which is no text"),
        (STATEMENT % GOOD.replace('"Effect"', '"Action"'), SYNTAX + '"Action" appears twice in one object'),
        (
            STATEMENT % GOOD.replace("}", ', "Condition": {"StringEqual": {"a:b": "c"}}}'),
            SYNTAX + 'line 4: "StringEqual" is no condition operator',
        ),
        (
            STATEMENT % GOOD.replace("s3:*", "GetObject"),
            "prefaced by a vendor, e.g., iam, sdb, ec2, etc.\n  line 4: the action \"GetObject\" names no service",
        ),
        (
            STATEMENT % GOOD.replace('"*"', '"arn:aws:s3:::"'),
            'p.json: The policy failed legacy parsing\n  line 4: "arn:aws:s3:::" is no whole ARN',
        ),
    ],
)  # fmt: skip
def test_the_fault_and_its_line_follow_awss_message(run: Run, text: str, said: str) -> None:
    Path("p.json").write_text(text)
    for arguments in (("check", "p.json"), ("simulate", "--action", "s3:GetObject", "--policy", "p.json")):
        ended = run("policy", *arguments)
        assert ended.status == (1 if arguments[0] == "check" else 2)
        assert said in ended.said


def test_findings_name_line_column_and_what_to_write(run: Run) -> None:
    Path("p.json").write_text(STATEMENT % GOOD.replace("s3:*", "s3:GetObjekt"))
    ended = run("policy", "check", "p.json")
    finding = "p.json:4:33: error INVALID_ACTION: No action is called s3:GetObjekt: this has no effect. "
    assert (ended.status, ended.shown) == (1, finding + "Write: s3:GetObject\n")


def test_a_warning_is_an_error_only_where_the_check_is_strict(run: Run) -> None:
    file = write("p.json", allow("iam:PassRole"))
    ended = run("policy", "check", file)
    assert "security warning PASS_ROLE_WITH_STAR_IN_RESOURCE: " in ended.shown
    assert (ended.status, "good, 1 statement" in ended.shown) == (0, True)
    assert run("policy", "check", file, "--strict").status == 1


def test_a_trust_policy_is_checked_with_the_operators_own_services(run: Run) -> None:
    trusted = {"Service": "scheduler.corp.example"}
    file = write("p.json", {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"})
    ended = run("policy", "check", file, "--kind", "trust")
    assert ended.status == 1
    assert 'Invalid principal in policy: "SERVICE":"scheduler.corp.example"\n  line 1: ' in ended.said
    own = ("--service-principal", "scheduler.corp.example")
    assert run("policy", "check", file, "--kind", "trust", *own).status == 0


def test_a_document_says_nothing_to_the_terminal(run: Run) -> None:
    Path("p.json").write_text('{"Version": "2012-10-17", "\\u001b[31m": 1, "Statement": []}')
    for kind in ("identity", "trust"):
        assert "\x1b" not in run("policy", "check", "p.json", "--kind", kind).said


def test_a_document_may_come_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("{}"))
    ended = run("policy", "check", "-")
    assert (ended.status, ended.said.startswith("-: ")) == (1, True)


def test_an_old_version_is_good_inline_and_refused_as_a_managed_policy(run: Run) -> None:
    Path("p.json").write_text(json.dumps({"Version": "2008-10-17", "Statement": [allow("s3:*")]}))
    assert run("policy", "check", "p.json").status == 0
    assert "2012-10-17 or greater" in run("policy", "check", "p.json", "--kind", "managed").said


@pytest.mark.parametrize(
    "arguments", [("check", "none.json"), ("simulate", "--action", "a:B", "--policy", "none.json")]
)
def test_a_file_that_cannot_be_read_is_a_wrong_use(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run("policy", *arguments)
    assert (ended.status, "none.json cannot be read: No such file" in ended.said) == (2, True)


def test_files_are_simulated_without_a_store(run: Run) -> None:
    for file in Path().glob("broker.db*"):
        file.unlink()
    write("p.json", allow("s3:Get*", "arn:aws:s3:::x/${aws:username}/*"))
    ended = run("policy", "simulate", "--policy", "p.json", "--action", "s3:GetObject", "--action", "s3:PutObject",
                "--resource", "arn:aws:s3:::x/simulated/1")  # fmt: skip
    lines = ended.shown.splitlines()
    assert [line.split()[0] for line in lines] == ["ACTION", "s3:GetObject", "s3:PutObject"]
    assert "allowed       Allow (line 1) of inline p.json" in lines[1]
    assert "implicitDeny  no identity policy allows it" in lines[2]
    assert ended.status == 1
    assert not Path("broker.db").exists()


@pytest.mark.parametrize("action", ["GetObject", "s3:", ":GetObject"])
def test_an_action_without_its_service_cannot_be_asked_for(run: Run, action: str) -> None:
    write("p.json", allow("*"))
    ended = run("policy", "simulate", "--policy", "p.json", "--action", action)
    assert (ended.status, ended.shown) == (2, "")
    assert f"--action: '{action}' names no service; write it as in s3:GetObject" in ended.said


def test_a_condition_that_nearly_matched_is_shown(run: Run) -> None:
    write("p.json", allow("s3:Get*", Sid="Mine", Condition={"StringEquals": {"aws:SourceVpc": ["a", "b"]}}))
    asking = ("--policy", "p.json", "--action", "s3:GetObject", "--resource", "arn:aws:s3:::x/1")
    shown = run("policy", "explain", *asking).shown
    assert (
        'almost: Allow "Mine" (line 1) of inline p.json, but StringEquals on aws:SourceVpc wants "a" or "b"'
        in shown
    )
    assert "not in the request: aws:SourceVpc" in shown
    wrong = run("policy", "explain", *asking, "--context", "aws:SourceVpc=c")
    assert 'and the request has "c"' in wrong.shown
    assert run("policy", "explain", *asking, "--context", "aws:SourceVpc=b").status == 0


def test_every_layer_is_explained(run: Run) -> None:
    write("all.json", allow("*"))
    write("reads.json", allow("s3:Get*"))
    write("denies.json", {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}, allow("*"))
    asking = ("--policy", "all.json", "--action", "s3:PutObject", "--resource", "arn:aws:s3:::x/1")
    for option, layer in (("--boundary", "boundary"), ("--session", "session"), ("--scp", "scp")):
        ended = run("policy", "explain", *asking, option, "reads.json")
        assert f"{layer:<9} does not allow   <- decides" in ended.shown
    ended = run("policy", "explain", *asking, "--scp", "denies.json")
    assert "with an explicit deny in a service control policy" in ended.shown
    assert "scp       denies   <- decides" in ended.shown


def test_a_context_key_may_have_several_values(run: Run) -> None:
    condition = {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}
    write("p.json", allow("iam:TagUser", Condition=condition))
    asking = [
        "policy",
        "simulate",
        "--policy",
        "p.json",
        "--action",
        "iam:TagUser",
        "--context",
        "aws:TagKeys=a",
    ]
    assert run(*asking, "--context", "aws:TagKeys=b").status == 0
    assert run(*asking, "--context", "aws:TagKeys=c").status == 1


def test_a_context_that_is_no_pair_is_a_wrong_use(run: Run) -> None:
    ended = run("policy", "simulate", "--action", "a:B", "--context", "aws:TagKeys")
    assert (ended.status, "'aws:TagKeys' is not KEY=VALUE" in ended.said) == (2, True)


@pytest.fixture
def ask(run: Run) -> Any:
    """`ask(who, …)`: may who of the demo assume the demo's role? As `broker policy explain` answers."""
    shutil.copy(DEMO, "demo.yaml")
    assert run("apply", "demo.yaml").status == 0

    def ask(who: str, *more: str) -> Ended:
        asking = ("--principal", f"arn:aws:iam::{A}:{who}", "--action", "sts:AssumeRole", "--resource", ROLE)
        return run("policy", "explain", *asking, *more)

    return ask


def test_a_user_of_the_store_is_allowed_where_both_sides_allow(ask: Any) -> None:
    ended = ask("user/alice", *EXTERNAL_ID)
    assert (ended.status, ended.shown.startswith(f"ALLOWED  sts:AssumeRole on {ROLE}\n")) == (0, True)
    assert '"ReadersWithTheExternalId"' in ended.shown
    assert '"TakeOnDataReader"' in ended.shown


def test_a_key_that_a_trust_policy_misses_is_shown(ask: Any) -> None:
    ended = ask("user/alice")
    assert (ended.status, "not in the request: sts:ExternalId" in ended.shown) == (1, True)


@pytest.mark.parametrize(("who", "layer"), [("user/bob", "resource"), ("user/carol", "identity")])
def test_the_side_that_does_not_allow_is_named(ask: Any, who: str, layer: str) -> None:
    ended = ask(who, *EXTERNAL_ID)
    assert (ended.status, f"{layer:<9} does not allow   <- decides" in ended.shown) == (1, True)


def test_more_policies_answer_what_if(ask: Any) -> None:
    write("all.json", allow("*"))
    assert ask("user/carol", *EXTERNAL_ID, "--policy", "all.json").status == 0


def test_roles_sessions_and_root_can_be_the_principal(run: Run, ask: Any) -> None:
    asking = ("--action", "iam:ListRoles", "--action", "iam:DeleteRole")
    for principal in (
        f"arn:aws:iam::{A}:role/web-server",
        f"arn:aws:sts::{A}:assumed-role/web-server/i-1",
    ):
        lines = run("policy", "simulate", "--principal", principal, *asking).shown.splitlines()
        assert (" allowed " in lines[1], " implicitDeny " in lines[2]) == (True, True)
    assert run("policy", "simulate", "--principal", f"arn:aws:iam::{A}:root", *asking).status == 0


@pytest.mark.parametrize("who", ["user/nobody", "user/path/alice", "role/none", "group/developers"])
def test_an_unknown_principal_is_refused(ask: Any, who: str) -> None:
    ended = ask(who)
    assert (ended.status, "the store has no" in ended.said) == (2, True)
