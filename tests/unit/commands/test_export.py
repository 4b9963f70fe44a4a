"""`broker export`: a declaration on standard output, and what it leaves out on standard error."""

from pathlib import Path

from .conftest import Run


def test_what_is_there_is_printed_and_what_is_left_out_is_counted(run: Run) -> None:
    Path("d.yaml").write_text('accounts: {"111111111111": {users: {alice: {access_keys: 1}}}}')
    assert run("export").shown == "accounts: {}\n"
    run("apply", "d.yaml")
    ended = run("export", "--account", "111111111111")
    assert ended.shown == "accounts:\n  '111111111111':\n    users:\n      alice: {}\n"
    assert ended.said == "# not in the declaration: 1 access keys\n"
    Path("again.yaml").write_text(ended.shown)
    assert run("apply", "again.yaml").shown == "no changes\n"


def test_an_account_that_is_not_there_is_refused(run: Run) -> None:
    ended = run("export", "--account", "222222222222")
    assert (ended.status, ended.shown) == (1, "")
    assert "there is no account 222222222222" in ended.said
