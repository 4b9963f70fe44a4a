"""What most stories need: users with policies, roles that trust, refusals, and what the journal says of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Account, Keys, Server

Statement = dict[str, Any]


def document(*statements: Statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, on: str = "*", **more: Any) -> Statement:
    """An Allow of `actions`; `more` are further elements, `Condition` mostly."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def deny(*actions: str, on: str = "*", **more: Any) -> Statement:
    return {**allow(*actions, on=on, **more), "Effect": "Deny"}


def trust(principal: str, *actions: str, **more: Any) -> Statement:
    """A trust policy's statement; AssumeRole unless `actions` say otherwise."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": list(actions) or ["sts:AssumeRole"],
        **more,
    }


def new_user(server: Server, account: Account, name: str, *statements: Statement) -> Keys:
    """A user of `account` who may what `statements` say; its keys."""
    iam = server.client("iam", account.root)
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="scene", PolicyDocument=document(*statements))
    return Keys.of(iam.create_access_key(UserName=name)["AccessKey"])


def new_role(
    server: Server, account: Account, name: str, trusts: Statement, *statements: Statement, **options: Any
) -> str:
    """A role of `account`; its ARN."""
    iam = server.client("iam", account.root)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trusts), **options)["Role"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="scene", PolicyDocument=document(*statements))
    return str(role["Arn"])


def assume(server: Server, keys: Keys, role_arn: str, **options: Any) -> Keys:
    """A session of the role, called `session` unless told otherwise."""
    request = {"RoleArn": role_arn, "RoleSessionName": "session", **options}
    return Keys.of(server.client("sts", keys).assume_role(**request)["Credentials"])


def refused(call: Any, **arguments: Any) -> tuple[int, str, str]:
    """HTTP status, code and message of a refusal."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response
    assert answer["ResponseMetadata"]["RequestId"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def sentence(message: str) -> str:
    """An AccessDenied message without its encoded half."""
    return message.partition(" Encoded authorization failure message: ")[0]


def encoded(message: str) -> str:
    """The encoded half."""
    return message.partition(" Encoded authorization failure message: ")[2]


def records(server: Server) -> list[dict[str, Any]]:
    """The whole journal, oldest first."""
    return [json.loads(line) for line in Path(server.folder, "audit.jsonl").read_text().splitlines()]


def records_of(server: Server, request_id: str) -> list[dict[str, Any]]:
    return [record for record in records(server) if record["requestID"] == request_id]
