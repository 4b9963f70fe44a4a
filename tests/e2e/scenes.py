"""What most stories need: users with policies, roles that trust, refusals, and what the journal says of them."""

import json
import time
import urllib.error
import urllib.request
from base64 import b32decode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from broker.app import clock, open_broker
from broker.audit.following import tail_lines
from broker.config import load_settings
from broker.sealing.totp import STEP_SECONDS, totp
from broker.storage.last_accessed import operation_key
from broker.storage.organization_records import Organization
from broker.storage.records import Usage
from broker.storage.store import ORGANIZATION, ROLES, USAGE, Transaction
from tests.e2e.apart import run_apart
from tests.e2e.conftest import Account, Keys, Server

Statement = dict[str, Any]

# Prints the access key id of the default chain of AWS's Common Runtime, which stands behind several SDKs. For instance
# metadata it knows no endpoint but 169.254.169.254.
COMMON_RUNTIME_WHO = """
import json
from awscrt.auth import AwsCredentialsProvider
from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup
group = EventLoopGroup(1)
provider = AwsCredentialsProvider.new_default_chain(ClientBootstrap(group, DefaultHostResolver(group)))
print(json.dumps(provider.get_credentials().result(30).access_key_id))
"""


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


def refusal(operation: Any, **arguments: Any) -> tuple[str, str, int]:
    """Code, message and HTTP status with which the call is refused."""
    with pytest.raises(ClientError) as refused:
        operation(**arguments)
    response = refused.value.response
    return (
        response["Error"]["Code"],
        response["Error"]["Message"],
        response["ResponseMetadata"]["HTTPStatusCode"],
    )


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


@dataclass(frozen=True)
class Refusal:
    """What the client reads, what the journal says of it, and all that was written of the request."""

    code: str
    message: str
    reason: str
    written: str


def refused_by(server: Server, call: Callable[[], Any]) -> Refusal:
    with pytest.raises(ClientError) as error:
        call()
    answer = error.value.response
    (record,) = records_of(server, answer["ResponseMetadata"]["RequestId"])
    assert record["errorCode"] == answer["Error"]["Code"]
    return Refusal(
        answer["Error"]["Code"], answer["Error"]["Message"], record["errorMessage"], json.dumps(record)
    )


def sentence(message: str) -> str:
    """An AccessDenied message without its encoded half."""
    return message.partition(". Encoded authorization failure message: ")[0]


def encoded(message: str) -> str:
    """The encoded half."""
    return message.partition(". Encoded authorization failure message: ")[2]


def records(server: Server) -> list[dict[str, Any]]:
    """The whole journal, both files, oldest first."""
    return [json.loads(line) for line in tail_lines(Path(server.folder, "audit.jsonl"), 10**9, follow=False)]


def written_in(server: Server) -> str:
    """Whatever was written down of requests: the journal's files and the log."""
    return "".join(file.read_text() for file in server.folder.glob("audit.jsonl*")) + server.log


def records_of(server: Server, request_id: str) -> list[dict[str, Any]]:
    return [record for record in records(server) if record["requestID"] == request_id]


def ask(server: Server, path: str) -> tuple[int, str]:
    """What the operations listener answers."""
    try:
        with urllib.request.urlopen(f"http://{server.operations}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def who_am_i(server: Server, keys: Keys) -> tuple[int, str, str]:
    """The refusal of GetCallerIdentity, which nothing but a broken proof can bring about."""
    return refused(server.client("sts", keys).get_caller_identity)


def in_broker(server: Server, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """What `work` makes with the rooms of a second broker beside the server: its store, its keys."""

    async def run() -> Any:
        async with open_broker(load_settings(None, server.settings), {}) as broker:
            return await work(broker)

    return run_apart(run)


@contextmanager
def organization(server: Server, record: Organization) -> Iterator[None]:
    """The one organization record; what stood there before is back afterwards."""
    before = in_broker(server, _organization)
    put_organization(server, record)
    try:
        yield
    finally:
        put_organization(server, before)


async def _organization(broker: Any) -> Any:
    return await broker.store.transaction().find(ORGANIZATION, "", "")


def put_organization(server: Server, record: Organization | None) -> None:
    async def write(store: Transaction) -> None:
        if record is None:
            store.delete(ORGANIZATION, "", "")
        else:
            store.put(ORGANIZATION, "", record)

    in_broker(server, lambda broker: broker.store.transact(write))


def used_in_part(server: Server, account: Account, name: str) -> str:
    """A role that is old, and was used today for iam:GetUser alone of what it may do; its ARN."""
    trusts = trust(f"arn:aws:iam::{account.account_id}:root")
    arn = new_role(server, account, name, trusts, allow("iam:GetUser", "iam:ListUsers", "organizations:*"))

    async def work(store: Transaction) -> None:
        role = await store.find(ROLES, account.account_id, name)
        assert role is not None
        store.put(ROLES, account.account_id, replace(role, created_at=1))
        used = Usage(last_used_at=int(clock()), service="iam", action="GetUser")
        for key in (role.role_id, operation_key(role.role_id, "iam", "GetUser")):
            store.put(USAGE, account.account_id, used, key=key)

    in_broker(server, lambda broker: broker.store.transact(work))
    return arn


class Phone:
    """A user's virtual device, enabled; `code` shows what is on its display."""

    def __init__(self, root: Any, user: str) -> None:
        device = root.create_virtual_mfa_device(VirtualMFADeviceName=user)["VirtualMFADevice"]
        self.serial_number = device["SerialNumber"]
        self._seed = b32decode(device["Base32StringSeed"])
        self._now = int(time.time() // STEP_SECONDS)
        root.enable_mfa_device(
            UserName=user,
            SerialNumber=self.serial_number,
            AuthenticationCode1=self.code(-1),
            AuthenticationCode2=self.code(0),
        )

    def code(self, steps: int) -> str:
        return totp(self._seed, self._now + steps)

    def asked(self, code: str) -> dict[str, str]:
        return {"SerialNumber": self.serial_number, "TokenCode": code}
