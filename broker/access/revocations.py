"""Revoked sessions: what an operator has taken back before it expired.

A revocation is of one session, by its access key id; or of all sessions that were issued before a moment and have the
permissions of a role or user, by its unique id, so that a namesake is not meant, of the root user, by the account's id,
or of anything in the account. It lies in the partition of the account that the sessions are of. Every request asks for
that partition's revision, so whichever process answers it knows each revocation that was acknowledged before it began.

A session that was assumed with a revoked one is another session, and is not revoked with it; nor is it on AWS, where a
policy with aws:TokenIssueTime denies what the role's own sessions do. One that was scoped down from a revoked one is
the same session with fewer permissions, and ends with it.
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
    """The revocation that a session falls under.

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
    """The first second at which a session of `identity_id` that is issued is not revoked already."""
    if revocations is None:
        return 0
    found = [revocations.by_subject.get(subject) for subject in (identity_id, WHOLE_ACCOUNT)]
    return max((each.issued_before for each in found if each is not None), default=0)


async def why_revoked(store: Transaction, claims: SessionClaims) -> str:
    """Why the session is good no more, for the journal; "" where nothing revokes it."""
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
