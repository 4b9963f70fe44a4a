"""Ids of what a file names and the broker calls by an id: made of the names, so that each run finds them again."""

from hashlib import blake2b

from broker.audit.event import uuid_text


def declared_id(account: str, region: str, kind: str, name: str) -> str:
    """The id of what a file calls `name`."""
    return uuid_text(_digest(account, region, kind, name))


def declared_association_id(account: str, cluster: str, name: str) -> str:
    """As EKS makes them: `a-` and letters and digits."""
    return f"a-{_digest(account, cluster, 'association', name).hex()[:17]}"


def declared_store_id(account: str, provider: str) -> str:
    """The id of the identity store of a provider."""
    return f"d-{_digest(account, '', 'identity-store', provider).hex()[:10]}"


def declared_pool_id(account: str, region: str, name: str) -> str:
    """The id of an identity pool, with its region."""
    return f"{region}:{declared_id(account, region, 'identity-pool', name)}"


def _digest(*named: str) -> bytes:
    return blake2b("\0".join(named).encode(), digest_size=16, person=b"declared").digest()
