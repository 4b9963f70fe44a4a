"""PolicySourceArn, whose policies are simulated, and CallerArn, the simulated caller.

They may differ: "as if Bob had David's policies" (IAM API reference, SimulatePrincipalPolicy).
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
# The user id in AWS's simulator without CallerArn (measured).
_NO_CALLER = "STUB_PRINCIPAL_FOR_POLICY_SIMULATOR"


class SimulatedCaller(msgspec.Struct, frozen=True):
    """The simulated caller, and the condition keys of that principal."""

    principal: Principal
    account: str
    keys: Keys


def invalid_input(message: str, *, reason: str = "") -> Refusal:
    return Refusal("InvalidInput", message, reason=reason)


def found_source(field: str) -> Prepare[Any, Caller]:
    """Finds the user, group or role whose ARN is in `field`, by its name; the path in the ARN is ignored.

    The result is the caller whose policies are gathered: the user, a session of the role, or a user whose only
    policies are those of the group. Raises InvalidInput for other ARNs, and for entities of another account.
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
    """`_parts` of the ARN of an entity; raises InvalidInput unless it is one of the caller's account."""
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
    """The ARN, if it is that of a user, a group or a role."""
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
    """A user who is a member of the group and has no other policies; no real user's name can have brackets."""
    return UserRecord(
        account_id=group.account_id,
        user_name=f"(a member of {group.group_name})",
        user_id=group.arn,
        created_at=0,
        groups=(group.group_name,),
    )


async def get_subject(call: Call, source: Caller, source_arn: str, caller_arn: str | None) -> SimulatedCaller:
    """The caller in SimulatePrincipalPolicy: the source itself, or the principal that `caller_arn` names.

    Entities of this account have their ids and tags. Of any other principal, only the ARN is known.
    """
    if caller_arn is None:
        return _subject(source, source_arn, call.now)
    arn = _require_caller_arn(caller_arn)
    kind, _, name = _parts(arn)
    record = await call.store.find(_COLLECTIONS[kind], call.account, name)
    if arn.account != call.account or record is None or record.arn != caller_arn:
        return unknown_caller(caller_arn, call.now)
    return _subject(_caller_of(record, call.now), caller_arn, call.now)


def unknown_caller(caller_arn: str, now: float) -> SimulatedCaller:
    """A caller of whom only the ARN is known; raises InvalidInput for an ARN that no caller can have."""
    arn = _require_caller_arn(caller_arn)
    kind, path, name = _parts(arn)
    principal: Principal
    if kind == "role":
        principal = AssumedRole(arn.account, name, caller_arn, SESSION_NAME, path)
    else:
        principal = IamUser(
            arn.account, name if kind == "user" else f"(a member of {name})", caller_arn, path
        )
    issued_at = int(now) if kind == "role" else None
    caller = Caller(principal=principal, account=arn.account, token_issued_at=issued_at)
    return _subject(caller, caller_arn, now)


def unknown_user(account: str, now: float) -> SimulatedCaller:
    """A user of the account, of whom nothing is known."""
    caller = Caller(principal=IamUser(account, "(nobody)", _NO_CALLER), account=account)
    subject = _subject(caller, "", now)
    keys = {
        key: values for key, values in subject.keys.items() if key not in ("aws:username", "aws:principalarn")
    }
    return msgspec.structs.replace(subject, keys=keys)


def _subject(caller: Caller, arn: str, now: float) -> SimulatedCaller:
    """As in AWS's simulator, a member of a group has the group's ARN and no user name."""
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
