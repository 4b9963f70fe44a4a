"""Which identity a request is for: decided by the logins that it proves. Pure.

The law:

1. A provider's subject is one identity of a pool, and an identity has one subject of each provider; of the developer
   provider more, where the app's own server says that its users are one person.
2. Who proves none of an identity's logins is not that identity. A guest's identity has none, and is for who knows its
   id; the first login that is proven for it makes it that person's.
3. Where the logins of one request are of two identities, it is refused: people never merge identities.
"""

from collections.abc import Sequence

from broker.errors import Refusal
from broker.identity_pools.logins import ProvenLogin
from broker.identity_pools.refusals import not_authorized
from broker.storage.identity_pool_records import IdentityPoolRecord, PoolIdentity

_NO_MATCH = "Logins don't match. Please include at least one valid login for this identity or identity pool."
_NO_GUESTS = "Unauthenticated access is not supported for this identity pool."


def require_guests(pool: IdentityPoolRecord) -> None:
    if not pool.allow_unauthenticated:
        raise not_authorized(_NO_GUESTS)


def identity_of(owners: Sequence[str | None]) -> str | None:
    """The identity of the proven logins; `owners` are those of each, None where a login has none."""
    known = {owner for owner in owners if owner is not None}
    if len(known) > 1:
        raise _conflict(", ".join(sorted(known)))
    return known.pop() if known else None


def require_identity(
    pool: IdentityPoolRecord,
    identity: PoolIdentity,
    logins: Sequence[ProvenLogin],
    owners: Sequence[str | None],
) -> None:
    """Raises Refusal unless the logins prove `identity`, or both are a guest's."""
    if identity.is_disabled or (identity.logins and not logins):
        raise not_authorized(f"Access to Identity '{identity.identity_id}' is forbidden.")
    if not logins:
        require_guests(pool)
        return
    if identity.logins and identity.identity_id not in owners:
        raise not_authorized(_NO_MATCH, f"no login is one of {identity.identity_id}")
    others = {owner for owner in owners if owner not in (None, identity.identity_id)}
    if not identity.logins and others:
        raise not_authorized(_NO_MATCH, f"{', '.join(sorted(map(str, others)))} has these logins")
    if others:
        raise _conflict(", ".join(sorted(map(str, others))))


def linked(identity: PoolIdentity, logins: Sequence[ProvenLogin]) -> dict[str, str]:
    """The logins of an identity with those that were proven; raises NotAuthorizedException by the first law."""
    together = dict(identity.logins)
    for one in logins:
        if one.subject in identity.further_subjects.get(one.provider, ()):
            continue
        if together.setdefault(one.provider, one.subject) != one.subject:
            raise not_authorized(_NO_MATCH, f"the identity has another subject of {one.provider}")
    return together


def _conflict(found: str) -> Refusal:
    message = "The logins are linked to different identities."
    return Refusal("ResourceConflictException", message, reason=f"logins of {found}")
