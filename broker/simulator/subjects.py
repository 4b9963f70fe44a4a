"""Whose policies are simulated, and who is simulated to ask: named by ARN, the one as PolicySourceArn, the other as
CallerArn ("as if Bob had David's policies", IAM API reference, SimulatePrincipalPolicy).
"""

from typing import Any

import msgspec

from broker.access.caller import Caller, Keys, user_caller
from broker.access.conditions import principal_keys
from broker.access.resource import resource_of
from broker.access.simulation import SESSION_NAME, role_caller
from broker.errors import Refusal
from broker.names.arn import Arn, iam_arn, is_account_id, parse_arn
from broker.names.principal import AssumedRole, IamUser, Principal
from broker.operation import Absent, Call, Prepare, Prepared
from broker.storage.records import Group, Role
from broker.storage.records import User as UserRecord
from broker.storage.store import GROUPS, ROLES, USERS, Collection

# By the word for each in ARNs.
_COLLECTIONS: dict[str, Collection[Any]] = {"user": USERS, "group": GROUPS, "role": ROLES}
# What AWS's simulator says where it is told no caller (measured).
_NOBODY = "STUB_PRINCIPAL_FOR_POLICY_SIMULATOR"


class SimulatedCaller(msgspec.Struct, frozen=True):
    """Who is simulated to ask, and what conditions read of them."""

    principal: Principal
    account: str
    keys: Keys


def invalid_input(message: str, *, reason: str = "") -> Refusal:
    return Refusal("InvalidInput", message, reason=reason)


def found_source(field: str) -> Prepare[Any, Caller]:
    """The user, group or role whose ARN stands in `field`; it is found by its name, whatever path is given.

    What is found is whom the gatherer gathers for: the user, a session of the role, or a member of the group and of
    nothing else. Raises InvalidInput for what is none of the three, and for those of another account.
    """

    async def prepare(call: Call, request: Any) -> Prepared[Caller] | Absent:
        kind, path, name = _source_parts(call, getattr(request, field))
        record = await call.store.find(_COLLECTIONS[kind], call.account, name)
        resource = resource_of(iam_arn(call.account, f"{kind}{path}{name}"), record)
        if record is None:
            return Absent(resource, Refusal("NoSuchEntity", "Unable to retrieve specified IAM entity."))
        return Prepared(resource, _caller_of(record, call.now))

    return prepare


def _source_parts(call: Call, text: str) -> tuple[str, str, str]:
    """As `_parts`, of the ARN of an entity of the caller's account."""
    arn = _find_entity_arn(text)
    if arn is None:
        raise invalid_input(f"Invalid ARN provided in the request: {text}")
    if arn.account != call.account:
        raise invalid_input(
            f"Invalid Policy Source Arn: caller's account {call.account} does not have access to policies in "
            f"account {arn.account}."
        )
    return _parts(arn)


def _find_entity_arn(text: str) -> Arn | None:
    """The ARN, where it is that of a user, a group or a role."""
    try:
        arn = parse_arn(text)
    except ValueError:
        return None
    kind, _, name = _parts(arn)
    is_entity = arn.service == "iam" and kind in _COLLECTIONS and bool(name) and is_account_id(arn.account)
    return arn if is_entity else None


def _parts(arn: Arn) -> tuple[str, str, str]:
    """Kind, path and name: `("user", "/a/", "bob")` of `…:user/a/bob`."""
    kind, _, path_and_name = arn.resource.partition("/")
    path, _, name = path_and_name.rpartition("/")
    return kind, f"/{path}/" if path else "/", name


def _caller_of(record: Any, now: float) -> Caller:
    if isinstance(record, Role):
        return role_caller(record, now)
    if isinstance(record, Group):
        return user_caller(_member_of(record))
    return user_caller(record)


def _member_of(group: Group) -> UserRecord:
    """Somebody who is in the group and has nothing else; brackets stand in no user's name."""
    return UserRecord(
        account_id=group.account_id,
        user_name=f"(a member of {group.group_name})",
        user_id=group.arn,
        created_at=0,
        groups=(group.group_name,),
    )


async def get_subject(call: Call, source: Caller, source_arn: str, caller_arn: str | None) -> SimulatedCaller:
    """Who asks in SimulatePrincipalPolicy: the source itself, or whom `caller_arn` names.

    Somebody of this account is who they are, with id and tags; anybody else is no more than their ARN.
    """
    if caller_arn is None:
        return _subject(source, source_arn, call.now)
    arn = _require_caller_arn(caller_arn)
    kind, _, name = _parts(arn)
    record = await call.store.find(_COLLECTIONS[kind], call.account, name)
    if arn.account != call.account or record is None or record.arn != caller_arn:
        return stranger(caller_arn, call.now)
    return _subject(_caller_of(record, call.now), caller_arn, call.now)


def stranger(caller_arn: str, now: float) -> SimulatedCaller:
    """Somebody of whom nothing is known but the ARN; raises InvalidInput where it is nobody's who could ask."""
    arn = _require_caller_arn(caller_arn)
    kind, path, name = _parts(arn)
    who: Principal
    if kind == "role":
        who = AssumedRole(arn.account, name, caller_arn, SESSION_NAME, path)
    else:
        who = IamUser(arn.account, name if kind == "user" else f"(a member of {name})", caller_arn, path)
    issued_at = int(now) if kind == "role" else None
    caller = Caller(principal=who, account=arn.account, token_issued_at=issued_at)
    return _subject(caller, caller_arn, now)


def nobody(account: str, now: float) -> SimulatedCaller:
    """A user of the account, and nothing known of them."""
    caller = Caller(principal=IamUser(account, "(nobody)", _NOBODY), account=account)
    subject = _subject(caller, "", now)
    keys = {
        key: values for key, values in subject.keys.items() if key not in ("aws:username", "aws:principalarn")
    }
    return msgspec.structs.replace(subject, keys=keys)


def _subject(caller: Caller, arn: str, now: float) -> SimulatedCaller:
    """A member of a group has the group's ARN, as AWS's simulator has it, and no name."""
    keys = principal_keys(caller, now)
    if ":group/" in arn:
        keys["aws:principalarn"] = (arn,)
        del keys["aws:username"]
    return SimulatedCaller(caller.principal, caller.account, keys)


def _require_caller_arn(text: str) -> Arn:
    arn = _find_entity_arn(text)
    if arn is None:
        raise invalid_input("Invalid caller - Caller must be an IAM user, role or group in this context.")
    return arn
