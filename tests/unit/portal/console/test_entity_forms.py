"""An entity as a declaration: applied to an empty account it makes the same entity, whatever its texts are."""

import json
import shlex
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.caller import root_caller
from broker.app import Broker, open_broker
from broker.commands.applying import apply_declaration
from broker.config import load_settings
from broker.declaration.reading import read_declaration
from broker.declaration.source import read_source
from broker.errors import Refusal
from broker.operation import model
from broker.performing import Tools, perform_recorded
from broker.portal.console.entity_forms import (
    as_yaml,
    forms_of_group,
    forms_of_policy,
    forms_of_role,
    forms_of_user,
)
from broker.protocol.request import read_request
from broker.storage.store import Transaction
from tests.unit.portal.conftest import ACCOUNT, World, facts

POLICY = f"arn:aws:iam::{ACCOUNT}:policy/team/reports"
STRANGE = "a: b # c 'd' \"e\" ${x} = +-@"


def document(action: str = "s3:GetObject", **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(principal: Mapping[str, str]) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Api:
    """Performs operations of IAM as the account's root, for a broker."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def __call__(self, operation: str, parameters: Mapping[str, str]) -> Any:
        async def root(store: Transaction) -> Any:
            return root_caller(ACCOUNT)

        typed = read_request(model("iam"), operation, parameters)
        return await perform_recorded(self._tools, facts(service="iam"), root, operation, typed)


@pytest.fixture
async def api(world: World) -> Api:
    return Api(world.portal.tools)


@pytest.fixture
async def entities(api: Api) -> Api:
    """A policy, a group, a user and a role with some of everything."""
    condition = {"StringEquals": {"aws:PrincipalTag/team": "ü: #1 '\"", "aws:username": "yes"}}
    await api(
        "CreatePolicy",
        {
            "PolicyName": "reports",
            "Path": "/team/",
            "Description": STRANGE,
            "PolicyDocument": document(Condition=condition),
        },
    )
    await api("CreateGroup", {"GroupName": "operators", "Path": "/x/"})
    await api("AttachGroupPolicy", {"GroupName": "operators", "PolicyArn": POLICY})
    await api("PutGroupPolicy", {"GroupName": "operators", "PolicyName": "own", "PolicyDocument": document()})
    await api(
        "CreateUser",
        {
            "UserName": "erika",
            "Path": "/people/",
            "PermissionsBoundary": POLICY,
            "Tags.member.1.Key": "null",
            "Tags.member.1.Value": "012",
            "Tags.member.2.Key": "a b",
            "Tags.member.2.Value": "",
        },
    )
    await api("AddUserToGroup", {"UserName": "erika", "GroupName": "operators"})
    await api("PutUserPolicy", {"UserName": "erika", "PolicyName": "own", "PolicyDocument": document("s3:*")})
    managed = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    await api("AttachUserPolicy", {"UserName": "erika", "PolicyArn": managed})
    await api(
        "CreateRole",
        {
            "RoleName": "machine",
            "Description": STRANGE.replace("$", ""),
            "MaxSessionDuration": "7200",
            "AssumeRolePolicyDocument": trust({"Service": "ec2.amazonaws.com"}),
        },
    )
    await api("AttachRolePolicy", {"RoleName": "machine", "PolicyArn": POLICY})
    return api


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Broker]:
    """Another broker, with nothing in it."""
    names = {
        "BROKER_STORE_URL": f"sqlite:{tmp_path}/empty.db",
        "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/empty.key",
        "BROKER_AUDIT_PATH": f"{tmp_path}/empty.jsonl",
    }
    async with open_broker(load_settings(None, names), {}) as opened:
        yield opened


FORMS = {
    "user": (forms_of_user, "erika"),
    "group": (forms_of_group, "operators"),
    "role": (forms_of_role, "machine"),
    "policy": (forms_of_policy, POLICY),
}


@pytest.mark.parametrize("kind", FORMS)
async def test_the_declaration_applied_to_an_empty_account_makes_the_same_entity(
    entities: Api, empty: Broker, tmp_path: Path, kind: str
) -> None:
    forms_of, name = FORMS[kind]
    shown = await forms_of(entities, name)
    file = tmp_path / "shown.yaml"
    file.write_text(shown.declaration)
    await apply_declaration(empty, read_declaration(file), "apply", tmp_path)
    again = await forms_of(Api(tools_of(empty, tmp_path)), name)
    assert again == shown


def tools_of(broker: Broker, folder: Path) -> Tools:
    return World(folder, broker, folder / "again.jsonl").portal.tools


async def test_commands_name_every_part_and_survive_a_shell(entities: Api) -> None:
    lines = [shlex.split(line) for line in (await forms_of_user(entities, "erika")).commands.splitlines()]
    assert [line[2] for line in lines] == [
        "create-user",
        "put-user-policy",
        "attach-user-policy",
        "add-user-to-group",
    ]
    options = dict(zip(lines[0][3::2], lines[0][4::2], strict=True))
    assert options["--permissions-boundary"] == POLICY
    assert json.loads(options["--tags"]) == [{"Key": "a b", "Value": ""}, {"Key": "null", "Value": "012"}]
    role = shlex.split((await forms_of_role(entities, "machine")).commands.splitlines()[0])
    assert role[role.index("--description") + 1] == STRANGE.replace("$", "")


async def test_what_may_not_be_read_in_part_is_not_shown_at_all(entities: Api) -> None:
    async def refusing(operation: str, parameters: Mapping[str, str]) -> Any:
        if operation == "GetUserPolicy":
            raise Refusal("AccessDenied", "no")
        return await entities(operation, parameters)

    with pytest.raises(Refusal, match="AccessDenied"):
        await forms_of_user(refusing, "erika")


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)


@given(
    st.dictionaries(texts.filter(lambda text: text.strip()), texts | st.lists(texts, max_size=3), max_size=4)
)
def test_every_text_reads_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    if not values:
        return
    file = tmp_path_factory.mktemp("yaml") / "values.yaml"
    file.write_text(as_yaml(values), "utf-8")
    assert read_source(file).value == values
