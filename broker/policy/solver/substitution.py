"""Policies with values in the place of their variables, and values worth trying."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from broker.policy.elements import OLD_VERSION, Condition, Policy, Statement
from broker.policy.patterns import Wild
from broker.policy.solver.questions import Known
from broker.policy.variables import Template, Variable, parse_template, variables_in, variables_of

MOST_TRIALS = 8
_ORDINARY = "unlisted"


def keys_of_variables(policies: Iterable[Policy]) -> list[str]:
    """In lower case, each once."""
    return list(
        dict.fromkeys(
            variable.key
            for policy in policies
            if policy.version != OLD_VERSION
            for text in _texts(policy)
            for variable in variables_in(text)
        )
    )


def trials(policies: Iterable[Policy]) -> Iterator[Known]:
    """Values for all keys of variables: ordinary ones, none, and those that conditions name."""
    together = list(policies)
    keys = keys_of_variables(together)
    if not keys:
        yield {}
        return
    ordinary: Known = {key: f"{_ORDINARY}{number or ''}" for number, key in enumerate(keys)}
    yield ordinary
    yield dict.fromkeys(keys)
    named = [
        {**ordinary, condition.key.lower(): value}
        for policy in together
        for statement in policy.statements
        for condition in statement.conditions
        if condition.key.lower() in ordinary
        for value in condition.values
        if not any(one in value for one in "*?$")
    ]
    yield from named[: MOST_TRIALS - 2]


def filled_in(policy: Policy, known: Known) -> Policy:
    """Where a key is missing, and the variable has no default, the text matches nothing and is left out."""
    if policy.version == OLD_VERSION or not known:
        return policy
    return replace(policy, statements=tuple(_statement(one, known) for one in policy.statements))


def _statement(statement: Statement, known: Known) -> Statement:
    return replace(
        statement,
        resources=None if statement.resources is None else _filled(statement.resources, known),
        not_resources=None if statement.not_resources is None else _filled(statement.not_resources, known),
        conditions=tuple(
            Condition(one.operator, one.key, _filled(one.values, known)) for one in statement.conditions
        ),
    )


def _filled(texts: tuple[str, ...], known: Known) -> tuple[str, ...]:
    filled = (_fill(text, known) for text in texts)
    return tuple(text for text in filled if text is not None)


def _fill(text: str, known: Known) -> str | None:
    template = parse_template(text, wildcards=True, variables=True)
    if not variables_of(template):
        return text
    pieces = [_piece(piece, known) for piece in template]
    return None if None in pieces else "".join(piece for piece in pieces if piece is not None)


def _piece(piece: str | Wild | Variable, known: Known) -> str | None:
    if isinstance(piece, Wild):
        return str(piece.value)
    if isinstance(piece, str):
        return escaped(piece)
    value = known.get(piece.key)
    value = piece.default if value is None else value
    return None if value is None else escaped(value)


def escaped(text: str) -> str:
    """As a text of a policy of the current version."""
    return "".join(f"${{{one}}}" if one in "*?$" else one for one in text)


def pattern_text(template: Template) -> str:
    """The text of a policy for a template without variables."""
    return "".join(
        escaped(one) if isinstance(one, str) else str(getattr(one, "value", "")) for one in template
    )


def _texts(policy: Policy) -> Iterator[str]:
    for statement in policy.statements:
        yield from statement.resources or statement.not_resources or ()
        for condition in statement.conditions:
            yield from condition.values
