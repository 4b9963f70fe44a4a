"""`broker policy check` with a solver: what it says, exit statuses, and what is missing without the extra."""

import pytest

from .conftest import Run
from .test_policy import allow, write


def test_new_access_is_shown_with_an_example_and_ends_with_1(run: Run) -> None:
    new, old = write("new.json", allow("s3:*")), write("old.json", allow("s3:Get*"))
    ended = run("policy", "check", new, "--no-new-access", old)
    assert ended.status == 1
    assert "new.json: The modified permissions grant new access" in ended.shown
    assert "  New access in the statement with index: 0. For example: s3:" in ended.shown
    assert run("policy", "check", old, "--no-new-access", new).status == 0


def test_several_checks_are_made_at_once(run: Run) -> None:
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    file = write("trust.json", everybody)
    options = ("--not-granted", "sts:TagSession", "--no-public-access")
    ended = run("policy", "check", file, "--kind", "trust", *options)
    assert ended.status == 1
    assert "trust.json: The policy document does not grant access" in ended.shown
    assert "trust.json: The resource policy grants public access" in ended.shown
    assert "sts:AssumeRole by anonymous" in ended.shown
    on = ("--not-granted-on", "arn:aws:s3:::b")
    assert run("policy", "check", write("p.json", allow("s3:*", "arn:aws:s3:::a")), *on).status == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--no-public-access",), "--no-public-access is for policies that name principals"),
        (("--not-granted", "GetObject"), '--not-granted: "GetObject" is no action'),
        (("--no-new-access", "missing.json"), "missing.json cannot be read"),
    ],
)
def test_wrong_use_ends_with_2(run: Run, options: tuple[str, ...], said: str) -> None:
    ended = run("policy", "check", write("p.json", allow("s3:*")), *options)
    assert ended.status == 2
    assert said in ended.said


def test_without_the_extra_it_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.commands.custom_checks.has_solver", lambda: False)
    ended = run("policy", "check", write("p.json", allow("s3:*")), "--not-granted", "s3:*")
    assert ended.status == 2
    assert "pip install 'broker[solver]'" in ended.said
