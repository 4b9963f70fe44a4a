"""How much a policy document gives away, by its text alone: for findings, never for a decision."""

from functools import lru_cache

from broker.names.arn import is_account_id, parse_arn
from broker.policy.document import parse_policy
from broker.policy.elements import Effect, MalformedPolicy, PolicyKind, Principals, Statement


@lru_cache(maxsize=4096)
def allows_everything(text: str) -> bool:
    """Whether a statement allows every action on every resource; its conditions are not looked at.

    A text that cannot be read allows nothing: the engine refuses every request that it applies to.
    """
    return any(
        one.effect is Effect.ALLOW and _is_any(one.actions) and _is_any(one.resources)
        for one in _statements(text, PolicyKind.IDENTITY)
    )


def _is_any(patterns: tuple[str, ...] | None) -> bool:
    """A pattern of stars and colons alone matches every action, and every ARN."""
    return any("*" in one and not one.strip("*:") for one in patterns or ())


@lru_cache(maxsize=4096)
def trusts_everyone(text: str) -> bool:
    """Whether everyone may assume the role, of whatever account, without a condition."""
    return any(principals.everyone for principals in _trusted(text))


@lru_cache(maxsize=4096)
def trusted_accounts(text: str) -> tuple[str, ...]:
    """The accounts that a trust policy trusts as a whole, without a condition, in the order of their numbers."""
    names = {name for principals in _trusted(text) for name in principals.aws}
    return tuple(sorted({account for name in names if (account := whole_account(name))}))


def _trusted(text: str) -> list[Principals]:
    return [
        one.principals
        for one in _statements(text, PolicyKind.TRUST)
        if one.effect is Effect.ALLOW and one.principals is not None and not one.conditions
    ]


def whole_account(name: str) -> str:
    """The account that `name` means as a whole; "" for a user, a role, an id."""
    if is_account_id(name):
        return name
    try:
        arn = parse_arn(name)
    except ValueError:
        return ""
    return arn.account if arn.resource == "root" else ""


def _statements(text: str, kind: PolicyKind) -> tuple[Statement, ...]:
    try:
        return parse_policy(text, kind).statements
    except MalformedPolicy:
        return ()
