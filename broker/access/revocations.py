"""Revoked sessions: those that an operator has ended before they expired.

A revocation applies to one session, by its access key id; or to all sessions that were issued before a time and have
the permissions of one role or user (by its unique id, so a new one with the same name is not affected), of the root
user (by the account's id), or of anything in the account. It is stored in the partition of the sessions' account. Every
request reads that partition's revision, so every process sees each revocation that was acknowledged before the request.

A session that was assumed with a revoked session is not revoked with it. AWS does the same: there, a policy with
aws:TokenIssueTime denies only the role's own sessions. A session that was scoped down from a revoked session
(GetScopedCredentials) is the same session with fewer permissions, and is revoked with it.
"""

from broker.audit.event import iso_time
from broker.sealing.claims import SessionClaims
from broker.storage.session_records import WHOLE_ACCOUNT, Revocation, Revocations
from broker.storage.store import REVOCATIONS, Transaction


def find_revocation(
    revocations: Revocations | None,
    access_key_id: str,
    identity_id: str,
    issued_at: int,
    ancestors: tuple[str, ...] = (),
) -> Revocation | None:
    """The revocation that applies to a session.

    `identity_id` and `ancestors` are those of its claims, `issued_at` is in epoch seconds.
    """
    if revocations is None:
        return None
    by_subject = revocations.by_subject
    for one in (access_key_id, *ancestors):
        own = by_subject.get(one)
        if own is not None:
            return own
    for subject in (identity_id, WHOLE_ACCOUNT):
        found = by_subject.get(subject)
        if found is not None and issued_at < found.issued_before:
            return found
    return None


def issued_from(revocations: Revocations | None, identity_id: str) -> int:
    """The earliest issue time, epoch seconds, at which a session of `identity_id` is not revoked."""
    if revocations is None:
        return 0
    found = [revocations.by_subject.get(subject) for subject in (identity_id, WHOLE_ACCOUNT)]
    return max((each.issued_before for each in found if each is not None), default=0)


async def why_revoked(store: Transaction, claims: SessionClaims) -> str:
    """The reason for the journal where the session is revoked, else ""."""
    revocations = await store.find(REVOCATIONS, claims.account)
    found = find_revocation(
        revocations, claims.access_key_id, claims.identity_id, claims.issued_at, claims.ancestors
    )
    if found is None:
        return ""
    return (
        f"revoked at {iso_time(found.revoked_at)}: session {claims.access_key_id} of {claims.principal.arn}, "
        f"issued at {iso_time(claims.issued_at)}"
    )
