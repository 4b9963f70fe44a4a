"""The subjects that are one identity: linked, unlinked, and those of two identities merged. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from broker.errors import Refusal
from broker.identity_pools.refusals import invalid
from broker.storage.identity_pool_records import PoolIdentity

MOST_LINKED = 20  # "MergeDeveloperIdentities" of the API reference

# A provider, and what it calls the person.
Subject = tuple[str, str]


def subjects_of(identity: PoolIdentity) -> Iterator[Subject]:
    yield from identity.logins.items()
    for provider, further in identity.further_subjects.items():
        yield from ((provider, subject) for subject in further)


def users_of(identity: PoolIdentity, provider: str) -> tuple[str, ...]:
    """The subjects of one provider."""
    return tuple(subject for name, subject in subjects_of(identity) if name == provider)


def with_user(identity: PoolIdentity, provider: str, user: str, now: int) -> PoolIdentity:
    """The identity with one more user of the developer provider, beside those that it has.

    The same identity where it has none, or has this one. Raises InvalidParameterException.
    """
    present = users_of(identity, provider)
    if not present or user in present:
        return identity
    together = (*subjects_of(identity), (provider, user))
    _require_few(together)
    return replace(_with(identity, together), modified_at=now)


def without(identity: PoolIdentity, removed: Iterable[Subject], now: int) -> PoolIdentity:
    """The identity without these subjects; without its last one it is nobody's."""
    gone = set(removed)
    left = [one for one in subjects_of(identity) if one not in gone]
    is_disabled = identity.is_disabled or (bool(gone) and not left)
    return replace(_with(identity, left), is_disabled=is_disabled, modified_at=now)


def merged(
    source: PoolIdentity, destination: PoolIdentity, provider: str, now: int
) -> tuple[PoolIdentity, PoolIdentity]:
    """Both afterwards: the destination has all subjects, the source none, so that it is nobody's.

    Only of `provider` may they have different ones. Raises ResourceConflictException, InvalidParameterException.
    """
    for name, subject in source.logins.items():
        if name != provider and destination.logins.get(name, subject) != subject:
            message = f"The users are linked to different logins of {name}."
            raise Refusal("ResourceConflictException", message)
    together = tuple(dict.fromkeys((*subjects_of(destination), *subjects_of(source))))
    _require_few(together)
    return (
        replace(_with(source, ()), is_disabled=True, modified_at=now),
        replace(_with(destination, together), modified_at=now),
    )


def _require_few(together: tuple[Subject, ...]) -> None:
    if len(together) > MOST_LINKED:
        raise invalid(f"An identity has at most {MOST_LINKED} linked logins.")


def _with(identity: PoolIdentity, subjects: Iterable[Subject]) -> PoolIdentity:
    by_provider: dict[str, tuple[str, ...]] = {}
    for provider, subject in subjects:
        by_provider[provider] = (*by_provider.get(provider, ()), subject)
    return replace(
        identity,
        logins={provider: found[0] for provider, found in by_provider.items()},
        further_subjects=_further(by_provider),
    )


def _further(by_provider: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {provider: found[1:] for provider, found in by_provider.items() if len(found) > 1}
