"""Exports of MinIO and SeaweedFS as declarations: nobody may more than before."""

import json
from pathlib import Path
from typing import Any

import pytest

from broker.declaration.import_minio import import_minio, texts_of
from broker.declaration.import_seaweedfs import import_seaweedfs
from broker.declaration.imported import NoExport
from broker.policy import PolicyKind, parse_policy
from broker.yaml_text import as_yaml
from tests.unit.commands.conftest import Declare

A = "111111111111"
# What real servers wrote on 30 November 2026: MinIO's `mc admin cluster iam export` (February 2026, unpacked), and the
# `s3.configure` of SeaweedFS 4.48.
REAL = Path(__file__).parents[2] / "cases" / "imports"
SECRET = "minio-secret-of-forty-characters-length!"
READWRITE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}],
}
ADMIN = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["admin:*"]},
        {"Effect": "Allow", "Action": ["kms:*"]},
        *READWRITE["Statement"],
    ],
}
MINIO: dict[str, Any] = {
    "policies.json": {
        "readwrite": READWRITE,
        "consoleAdmin": ADMIN,
        "diagnostics": {**ADMIN, "Statement": ADMIN["Statement"][:1]},
    },
    "users.json": {
        "application-of-team": {"secretKey": SECRET, "status": "enabled"},
        "left": {"secretKey": SECRET, "status": "disabled"},
    },
    "groups.json": {
        "writers": {"version": 1, "status": "enabled", "members": ["application-of-team", "left"]},
        "closed": {"version": 1, "status": "disabled", "members": ["left"]},
    },
    "svcaccts.json": {
        "SERVICEACCOUNTKEY1": {
            "parent": "application-of-team",
            "accessKey": "SERVICEACCOUNTKEY1",
            "secretKey": SECRET,
            "status": "on",
        },
        "SERVICEACCOUNTKEY2": {
            "parent": "application-of-team",
            "secretKey": SECRET,
            "status": "on",
            "sessionPolicy": READWRITE,
        },
        "SERVICEACCOUNTKEY3": {"parent": "application-of-team", "secretKey": SECRET, "status": "off"},
    },
    "user_mappings.json": {"application-of-team": {"version": 1, "policy": "consoleAdmin,diagnostics"}},
    "group_mappings.json": {
        "writers": {"version": 1, "policy": "readwrite"},
        "closed": {"version": 1, "policy": "readwrite"},
    },
    "stsuser_mappings.json": {"cn=alice": {"version": 1, "policy": "readwrite"}},
    "stsgroup_mappings.json": {},
}


def archive(**more: Any) -> dict[str, str]:
    files = {
        f"iam-assets/{name}": json.dumps(content).encode() for name, content in {**MINIO, **more}.items()
    }
    return texts_of({**files, "readme.txt": b"\xff"})


async def test_a_clusters_users_groups_and_policies_are_applied(declare: Declare, tmp_path: Path) -> None:
    imported = import_minio(archive(), A)
    for key_id, secret in imported.secrets.items():
        (tmp_path / key_id).write_text(secret.reveal())
    changes = await declare(as_yaml(imported.values))
    assert {"+ policy readwrite", "+ policy consoleAdmin", "+ user left", "+ group closed"} <= set(changes)
    assert "+ user application-of-team: access key SERVICEACCOUNTKEY1" in changes
    assert not any("closed: attached" in change for change in changes)
    assert imported.secrets.keys() == {"SERVICEACCOUNTKEY1"}
    assert SECRET not in as_yaml(imported.values) + repr(imported)


def test_what_a_cluster_has_and_the_broker_has_not_is_said() -> None:
    said = import_minio(archive(), A).no_counterpart
    assert said == (
        "stsuser_mappings.json: what it maps has no counterpart; trust policies of roles do that here",
        "policy consoleAdmin: 2 statements on MinIO's administration",
        "policy diagnostics: 1 statements on MinIO's administration",
        "group closed: it is disabled, and has no policies here",
        "access key SERVICEACCOUNTKEY2 of application-of-team: it has a policy of its own; assume a role",
        "access key SERVICEACCOUNTKEY3 of application-of-team: it is switched off",
        "user application-of-team: there is no policy diagnostics here",
        "user left: it is disabled, and has no access key here",
        "access key application-of-team of application-of-team: an id has 16 to 128 letters and digits; create another",
    )


async def test_the_export_of_a_real_cluster_is_applied(declare: Declare, tmp_path: Path) -> None:
    files = {f"iam-assets/{path.name}": path.read_bytes() for path in (REAL / "minio").iterdir()}
    imported = import_minio(texts_of(files), A)
    assert imported.secrets.keys() == {"applicationofteam1", "SERVICEACCOUNTKEY1"}
    for key_id, secret in imported.secrets.items():
        (tmp_path / key_id).write_text(secret.reveal())
    changes = await declare(as_yaml(imported.values))
    assert {
        "+ user applicationofteam1: access key SERVICEACCOUNTKEY1",
        "+ user applicationofteam1: group writers",
        f"+ group writers: attached policy arn:aws:iam::{A}:policy/readonly",
        f"+ user applicationofteam1: attached policy arn:aws:iam::{A}:policy/own",
    } <= set(changes)
    said = imported.no_counterpart
    for sentence in (
        "access key SERVICEACCOUNTKEY2 of applicationofteam1: it has a policy of its own; assume a role",
        "access key SERVICEACCOUNTKEY3 of applicationofteam1: it ends at 2027-06-01T00:00:00Z; assume a role",
        "access key SERVICEACCOUNTKEY4 of applicationofteam1: it is switched off",
        "access key SERVICEACCOUNTKEY5 of rootrootroot: its owner is not among the users",
        "user left-user-1: it is disabled, and has no access key here",
        "group closed: it is disabled, and has no policies here",
    ):
        assert sentence in said
    assert not any("stsuser" in sentence for sentence in said), "it is empty"


def test_an_archive_of_something_else_is_refused() -> None:
    with pytest.raises(NoExport, match=r"neither iam-assets/users\.json"):
        import_minio(texts_of({"other.json": b"{}"}), A)


def seaweedfs(*actions: str, **more: Any) -> Any:
    identity = {
        "name": "app",
        "credentials": [{"accessKey": "SEAWEEDKEY000000001", "secretKey": SECRET}],
        "actions": actions,
    }
    return import_seaweedfs(json.dumps({"identities": [identity], **more}), A)


def statements(*actions: str) -> list[dict[str, Any]]:
    text = seaweedfs(*actions).values["accounts"][A]["users"]["app"]["inline_policies"]["seaweedfs"]
    parse_policy(text, PolicyKind.IDENTITY)
    found: list[dict[str, Any]] = json.loads(text)["Statement"]
    return found


@pytest.mark.parametrize(
    ("word", "resources"),
    [
        ("Admin", [["*"]]),
        ("Admin:photos", [["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]]),
        ("Read", [["arn:aws:s3:::*/*"]]),
        ("Read:photos", [["arn:aws:s3:::photos/*"]]),
        ("Read:photos/2026/*", [["arn:aws:s3:::photos/2026/*"]]),
        ("Write:photos/2026", [["arn:aws:s3:::photos/2026*"]]),
        ("List:photos", [["arn:aws:s3:::photos/*"], ["arn:aws:s3:::photos"]]),
    ],
)
def test_a_word_allows_what_it_says_and_no_more(word: str, resources: list[list[str]]) -> None:
    assert [one["Resource"] for one in statements(word)] == resources


def test_a_list_of_a_prefix_is_one_of_that_prefix() -> None:
    assert statements("List:photos/2026")[1]["Condition"] == {"StringLike": {"s3:prefix": "2026*"}}


def test_what_seaweedfs_has_and_the_broker_has_not_is_said() -> None:
    assert seaweedfs("Fly", accounts=[{"id": "1"}], serviceAccounts=[]).no_counterpart == (
        "accounts: has no counterpart",
        "identity app: action Fly",
    )
    anonymous = import_seaweedfs(json.dumps({"identities": [{"name": "anonymous", "actions": ["Read"]}]}), A)
    assert anonymous.values == {"accounts": {A: {}}}
    assert len(anonymous.no_counterpart) == 1


async def test_an_identity_keeps_its_key(declare: Declare, tmp_path: Path) -> None:
    imported = seaweedfs("Read:photos", "List")
    (tmp_path / "SEAWEEDKEY000000001").write_text(imported.secrets["SEAWEEDKEY000000001"].reveal())
    assert "+ user app: access key SEAWEEDKEY000000001" in await declare(as_yaml(imported.values))


async def test_the_identities_of_a_real_seaweedfs_are_applied(declare: Declare, tmp_path: Path) -> None:
    imported = import_seaweedfs((REAL / "seaweedfs.json").read_text(), A)
    for key_id, secret in imported.secrets.items():
        (tmp_path / key_id).write_text(secret.reveal())
    changes = await declare(as_yaml(imported.values))
    assert {
        "+ user admin: access key SEAWEEDKEY000000002",
        "+ user app: inline policy seaweedfs",
        "+ user left",
    } <= set(changes)
    assert not any("carol: inline" in change or "carol: attached" in change for change in changes)
    assert not any("SEAWEEDKEY000000003" in change for change in changes)
    assert set(imported.no_counterpart) == {
        "identity anonymous: nothing is allowed to those who prove nothing",
        "identity carol: policy ro is not in the file, so nothing is allowed",
        "identity left: it is disabled, and has no access key here",
        "group g: its members have its policies themselves here",
    }


def test_a_policy_of_seaweedfs_is_attached_to_its_user_and_to_the_members_of_its_groups() -> None:
    policies = [{"name": "read", "content": json.dumps(READWRITE)}]
    groups = [
        {"name": "g", "members": ["app"], "policyNames": ["read"]},
        {"name": "closed", "members": ["app"], "policyNames": ["none"], "disabled": True},
    ]
    declared = seaweedfs("List:photos", policies=policies, groups=groups).values["accounts"][A]
    assert declared["policies"]["read"]["document"] == json.dumps(READWRITE)
    assert declared["users"]["app"]["attached_policies"] == ["read"]
    unknown = seaweedfs("List:photos", groups=[{"name": "g", "members": ["app"], "policyNames": ["none"]}])
    assert "inline_policies" not in unknown.values["accounts"][A]["users"]["app"]


def test_a_key_of_seaweedfs_that_is_switched_off_is_none_here() -> None:
    credentials = [{"accessKey": "SEAWEEDKEY000000001", "secretKey": SECRET, "status": "Inactive"}]
    identity = {"name": "app", "credentials": credentials, "actions": ["Read"]}
    imported = import_seaweedfs(json.dumps({"identities": [identity]}), A)
    assert imported.secrets == {}
    assert "access key SEAWEEDKEY000000001 of app: it is switched off" in imported.no_counterpart
