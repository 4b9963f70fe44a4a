"""Operations that are ours: part of the models, and read, hidden and rendered as AWS's own."""

import json
from pathlib import Path

import pytest
from botocore.loaders import Loader

from broker.errors import Refusal
from broker.protocol import extensions
from broker.protocol.extensions import merged
from broker.protocol.model import load_service
from broker.protocol.redaction import HIDDEN, audit_parameters
from broker.protocol.request import read_request
from broker.protocol.shapes.sts import AssumedRoleUser, AssumeRoleWithLDAPIdentityResponse, Credentials
from broker.protocol.xml import render_result

STS = load_service("sts")
MODELS = Path(__file__).parents[3] / "config" / "aws-models"
LDAP = "AssumeRoleWithLDAPIdentity"
ASKED = {"LDAPUsername": "alice", "LDAPPassword": "s e c r e t"}


def refused(parameters: dict[str, str]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_request(STS, LDAP, parameters)
    return caught.value


def test_a_password_is_in_no_record_and_no_repr() -> None:
    request = read_request(STS, LDAP, ASKED)
    assert audit_parameters(STS, LDAP, request) == {"lDAPUsername": "alice", "lDAPPassword": HIDDEN}
    assert "s e c r e t" not in repr(request)


@pytest.mark.parametrize("password", ["", "x" * 2049, "s e c r e t\0"])
def test_a_password_that_breaks_a_constraint_is_quoted_nowhere(password: str) -> None:
    refusal = refused({**ASKED, "LDAPPassword": password})
    assert refusal.code == "ValidationError"
    assert "'lDAPPassword'" in refusal.message
    for text in (refusal.message, refusal.reason):
        assert not password or password not in text


@pytest.mark.parametrize("missing", ["LDAPUsername", "LDAPPassword"])
def test_name_and_password_are_required(missing: str) -> None:
    refusal = refused({name: value for name, value in ASKED.items() if name != missing})
    assert refusal.code == "ValidationError"
    assert "Member must not be null" in refusal.message


def test_the_answer_has_minios_elements() -> None:
    answer = AssumeRoleWithLDAPIdentityResponse(
        credentials=Credentials(
            access_key_id="ASIA1", secret_access_key="k", session_token="t", expiration=1_800_000_000
        ),
        assumed_role_user=AssumedRoleUser(assumed_role_id="AROA1:alice", arn="arn:x"),
    )
    text = render_result(STS, LDAP, answer, "id").decode()
    assert text.startswith(
        '<AssumeRoleWithLDAPIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        "<AssumeRoleWithLDAPIdentityResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>"
    )


def test_a_name_that_the_model_gets_itself_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="the model has B itself"):
        merged({"A": 1, "B": 2}, {"B": 3})
    added = {"sts": {"operations": {"AssumeRole": {"name": "AssumeRole"}}, "shapes": {}}}
    monkeypatch.setattr("broker.protocol.model.EXTENSIONS", added)
    with pytest.raises(ValueError, match="the model has AssumeRole itself"):
        load_service("sts")
    assert LDAP in extensions.EXTENSIONS["sts"]["operations"]


def test_the_folder_adds_every_operation_and_changes_none_of_awss() -> None:
    """What boto3 and the AWS CLI are told of our operations is what the broker speaks."""
    own, extended = Loader(), Loader(extra_search_paths=[str(MODELS)])
    plain, known = (one.load_service_model("sts", "service-2") for one in (own, extended))
    for part in ("operations", "shapes"):
        added = extensions.EXTENSIONS["sts"][part]
        assert {name: known[part][name] for name in added} == json.loads(json.dumps(added))
        assert {name: one for name, one in known[part].items() if name not in added} == plain[part]


@pytest.mark.parametrize("file", sorted(MODELS.rglob("*.json")), ids=lambda file: file.parts[-3])
def test_an_older_model_that_lacks_what_members_are_added_to_is_still_a_model(file: Path) -> None:
    """botocore reads all shapes of a service before it raises an error of it: one without a type would hide it."""
    shapes = json.loads(file.read_text())["merge"]["shapes"]
    assert shapes
    assert [name for name, shape in shapes.items() if "type" not in shape] == []
