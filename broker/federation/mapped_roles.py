"""Which roles a subject may have whom no account's provider vouches for, but the operator's own: `NAME = ROLE-ARN`."""

import re
from collections.abc import Sequence

import msgspec

EVERYONE = "*"

# Providers that every account knows by these names; none of the operator's must be taken for one of them.
_TAKEN = frozenset(
    {"accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com"}
)
_is_name = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?\.[a-z]+", re.ASCII).fullmatch
_ROLE = re.compile(r"(.+?)\s*=\s*(arn:aws:iam::[0-9]{12}:role/[\x21-\x7e]+)", re.DOTALL)


class MappedRole(msgspec.Struct, frozen=True):
    """A role, and the normalised name that gives it, or EVERYONE."""

    name: str
    role_arn: str


def is_provider_name(text: str) -> bool:
    """Whether `text` can be the Federated principal of a trust policy that is no ARN, and means nothing else."""
    return _is_name(text) is not None and text not in _TAKEN


def split_mapped_role(text: str, form: str) -> tuple[str, str]:
    """Name and role of `NAME = ROLE-ARN`; raises ValueError, in words for the operator: `form` is what is wanted."""
    found = _ROLE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not {form}")
    return found[1], found[2]


def offered_among(mapped: Sequence[MappedRole], names: Sequence[str]) -> tuple[str, ...]:
    """The roles of a subject that has these names, in the mapping's order."""
    known = {EVERYONE, *names}
    return tuple(dict.fromkeys(one.role_arn for one in mapped if one.name in known))


def chosen_among(mapped: Sequence[MappedRole], names: Sequence[str], wanted: str | None) -> str | None:
    """The role that a subject gets: the wanted one, else the first of the mapping; None where there is none.

    Without a mapping the role has to be named, and its trust policy alone says who may have it.
    """
    if not mapped:
        return wanted
    offered = offered_among(mapped, names)
    if wanted is None:
        return offered[0] if offered else None
    return wanted if wanted in offered else None
