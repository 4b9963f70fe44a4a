"""From the subject of a question to the caller that the gate judges.

A principal's ARN says who it is and not what limits a session of it, so the ARN of a session is refused: its token has
to be shown. Then policies, tags and source identity of the session count, and its revocation.
"""

from collections.abc import Awaitable, Callable

import msgspec

from broker.access.caller import Caller, root_caller, user_caller
from broker.access.sessions import opened_caller
from broker.access.simulation import role_caller
from broker.access.trust import find_role, is_known_account
from broker.authorize.questions import PRINCIPAL, SESSION, AskedSubject
from broker.errors import Refusal, validation_error
from broker.names.arn import Arn, parse_arn
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.session import SessionExpired, open_session, require_current
from broker.storage.store import USERS, Transaction

# The caller that a web identity token becomes by taking a role: token, ARN of the role, name of the session.
TakeRole = Callable[[Transaction, str, str, str], Awaitable[Caller]]


class NoSubject(Exception):
    """There is no such subject, or its proof is not good; `reason` is for those who may see reasons."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FoundSubject(msgspec.Struct, frozen=True):
    """`is_proven`: the subject has handed its proof to the asker, and is not only named."""

    caller: Caller
    is_proven: bool


async def find_subject(
    store: Transaction, keyring: Keyring, take_role: TakeRole, subject: AskedSubject, now: float
) -> FoundSubject:
    """Raises NoSubject, and ValidationError for an ARN that names no principal of IAM."""
    if subject.type == PRINCIPAL:
        return FoundSubject(await named_caller(store, subject, now), is_proven=False)
    try:
        if subject.type == SESSION:
            caller = await _session(store, keyring, subject, now)
        else:
            caller = await take_role(store, subject.unverified_token, subject.role_arn, subject.session_name)
    except Refusal as refusal:
        if refusal.code == "ServiceUnavailable":
            raise
        raise NoSubject(refusal.reason or refusal.message) from None
    return FoundSubject(caller, is_proven=True)


async def _session(store: Transaction, keyring: Keyring, subject: AskedSubject, now: float) -> Caller:
    try:
        opened = open_session(keyring, subject.unverified_token)
        require_current(opened, subject.id, now)
    except (SessionExpired, SealBroken) as broken:
        raise NoSubject(broken.reason) from None
    return await opened_caller(store, opened)


async def named_caller(store: Transaction, subject: AskedSubject, now: float) -> Caller:
    """The principal of that ARN, as whom it would act; raises as `find_subject`."""
    text = subject.id
    arn = parse_arn(text)
    kind = arn.resource.partition("/")[0]
    if arn.service != "iam" or kind not in ("user", "role", "root"):
        raise validation_error(
            "subject.id is the ARN of a user, a role or an account's root; a session is asked about by its token."
        )
    found = await _find_named(store, arn, text, kind, now)
    if found is None:
        raise NoSubject(f"there is no {text}")
    return found


async def _find_named(store: Transaction, arn: Arn, text: str, kind: str, now: float) -> Caller | None:
    if kind == "role":
        role = await find_role(store, text)
        return None if role is None else role_caller(role, now)
    if kind == "user":
        user = await store.find(USERS, arn.account, arn.resource.rpartition("/")[2])
        return user_caller(user) if user is not None and user.arn == text else None
    is_root = arn.resource == "root" and await is_known_account(store, arn.account)
    return root_caller(arn.account) if is_root else None
