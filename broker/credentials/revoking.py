"""Revoking sessions: writes revocations, and decides how long they are stored.

A revocation is stored until every session that it applies to has expired, by any node's clock: for the longest duration
of that kind of session, and MOST_SKEW more, because the clock of the node that minted it may have been ahead.
`broker.access` enforces revocations.
"""

from broker.credentials.keyrings import MOST_SKEW
from broker.credentials.mint import LONGEST_ROLE_SESSION, LONGEST_USER_SESSION
from broker.names.ids import ROLE, TEMPORARY_KEY
from broker.storage.session_records import WHOLE_ACCOUNT, Revocation, Revocations
from broker.storage.store import REVOCATIONS, Transaction

# How many single sessions may be revoked in one account at a time; and how many revocations of all kinds there may be.
# The whole account can always be revoked.
MOST_SESSIONS = 1000
MOST_REVOCATIONS = 2000


class TooManyRevocations(Exception):
    """The account has as many revocations as it may have; revoke a role, a user or the account instead."""


def latest_end(subject: str, issued_before: int) -> int:
    """When, in epoch seconds, every session of `subject` that was issued before `issued_before` has expired."""
    longest = LONGEST_ROLE_SESSION if subject.startswith(ROLE) else LONGEST_USER_SESSION
    return issued_before + longest + int(MOST_SKEW)


def with_revocation(
    known: Revocations | None, subject: str, revocation: Revocation, now: float
) -> Revocations:
    """`known` and the new one, without those that have ended. A later revocation never shortens an earlier one.

    Raises TooManyRevocations.
    """
    current = {} if known is None else {of: it for of, it in known.by_subject.items() if it.ends_at > now}
    before = current.get(subject)
    if before is None:
        _require_room(current, subject)
    else:
        revocation = Revocation(
            issued_before=max(before.issued_before, revocation.issued_before),
            ends_at=max(before.ends_at, revocation.ends_at),
            revoked_at=revocation.revoked_at,
        )
    return Revocations(by_subject={**current, subject: revocation})


def _require_room(current: dict[str, Revocation], subject: str) -> None:
    if subject == WHOLE_ACCOUNT:
        return
    if (
        subject.startswith(TEMPORARY_KEY)
        and sum(of.startswith(TEMPORARY_KEY) for of in current) >= MOST_SESSIONS
    ):
        raise TooManyRevocations(f"{MOST_SESSIONS} single sessions of the account are revoked already")
    if len(current) >= MOST_REVOCATIONS:
        raise TooManyRevocations(f"the account has {MOST_REVOCATIONS} revocations already")


async def revoke(
    store: Transaction, account: str, subject: str, revocation: Revocation, now: float
) -> Revocation:
    """Write the revocation, and answer with it as it was merged with an earlier one. Raises TooManyRevocations."""
    known = await store.find(REVOCATIONS, account)
    revocations = with_revocation(known, subject, revocation, now)
    ends = max(each.ends_at for each in revocations.by_subject.values())
    store.put(REVOCATIONS, account, revocations, expires_at=ends)
    return revocations.by_subject[subject]
