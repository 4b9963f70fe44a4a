"""`broker import`: a declaration on standard output, secrets in files of their owner, the rest on standard error."""

import json
from pathlib import Path
from zipfile import ZipFile

from .conftest import Run

A = "111111111111"
IDENTITY = {
    "name": "app",
    "credentials": [{"accessKey": "SEAWEEDKEY000000001", "secretKey": "s" * 40}],
    "actions": ["Read"],
}


def test_secrets_are_files_of_their_owner_and_the_declaration_is_applied(run: Run) -> None:
    Path("iam.json").write_text(json.dumps({"identities": [IDENTITY]}))
    ended = run("import", "seaweedfs", "iam.json", "--account", A, "--secrets", "secrets")
    assert ended.status == 0
    assert Path("secrets/SEAWEEDKEY000000001").stat().st_mode & 0o777 == 0o600
    assert Path("secrets").stat().st_mode & 0o777 == 0o700
    assert "s" * 40 not in ended.shown + ended.said
    Path("d.yaml").write_text(ended.shown)
    assert "access key SEAWEEDKEY000000001" in run("apply", "d.yaml").shown
    assert run("apply", "d.yaml").shown == "no changes\n"
    again = run("import", "seaweedfs", "iam.json", "--account", A, "--secrets", "secrets")
    assert (again.status, "cannot be written" in again.said) == (2, True)


def test_without_a_folder_for_secrets_no_keys_are_declared(run: Run) -> None:
    Path("iam.json").write_text(json.dumps({"identities": [IDENTITY]}))
    ended = run("import", "seaweedfs", "iam.json", "--account", A)
    assert "access_keys" not in ended.shown
    assert "# 1 access keys: left out without --secrets" in ended.said


def test_an_archive_is_read_and_another_file_is_wrong_use(run: Run) -> None:
    with ZipFile("minio.zip", "w") as archive:
        archive.writestr("iam-assets/users.json", '{"app": {"status": "enabled"}}')
    assert "app: {}" in run("import", "minio", "minio.zip", "--account", A).shown
    Path("not.zip").write_text("no")
    for arguments, said in (
        (("minio", "not.zip", "--account", A), "no zip archive"),
        (("minio", "none.zip", "--account", A), "none.zip cannot be read"),
        (("aws", "not.zip"), "no JSON"),
        (("aws", "not.zip", "--account", "1"), "twelve digits"),
        (("seaweedfs", "list.json", "--account", A), "has not the form of such an export"),
    ):
        Path("list.json").write_text('{"identities": ["app"]}')
        ended = run("import", *arguments)
        assert (ended.status, ended.shown) == (2, "")
        assert said in ended.said
