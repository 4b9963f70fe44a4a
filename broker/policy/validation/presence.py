"""Checks of conditions on `*` alone: they compare nothing, and ask at most if the request has the key.

The law: StringLike with `*` matches every value that a key has. What the operator makes of a key that is missing, the
User Guide says ("Condition operators", "Multivalued context keys"), and `broker.policy.conditions` does.
"""

from collections.abc import Iterator

from broker.policy.validation.findings import Find, Issue
from broker.policy.validation.operators import OPERATORS
from broker.policy.validation.subject import ConditionNode, Subject

# "AWS global condition context keys": every request has these, the anonymous ones, too.
ALWAYS_SENT = frozenset(
    {"aws:principalaccount", "aws:principaltype", "aws:requestedregion", "aws:useragent", "aws:userid"}
)


def asks_for_presence(*, is_met_by_key: bool, is_met_without: bool) -> Find:
    """A check of conditions on `*` that a request with the key meets or not, and one without it."""
    wanted = (is_met_by_key, is_met_without)

    def find(subject: Subject) -> Iterator[Issue]:
        for statement in subject.statements:
            for condition in statement.conditions:
                if _is_on_any_value(condition) and _outcome(condition) == wanted:
                    yield _issue(condition, *wanted)

    return find


def _is_on_any_value(condition: ConditionNode) -> bool:
    known = OPERATORS.get(condition.name)
    is_like = known is not None and known.family == "String" and known.is_like
    return is_like and any(
        node.kind == "string" and node.text and not node.text.strip("*") for node in condition.values
    )


def _outcome(condition: ConditionNode) -> tuple[bool, bool]:
    """Whether a request with the key meets the condition, and whether one without it does."""
    is_negated = "not" in condition.name
    if condition.key.text.lower() in ALWAYS_SENT:
        return not is_negated, not is_negated
    without = {
        "": is_negated or condition.is_if_exists,
        "forallvalues": True,
        "foranyvalue": condition.is_if_exists,
    }
    return not is_negated, without[condition.set_operator]


def _issue(condition: ConditionNode, is_met_by_key: bool, is_met_without: bool) -> Issue:
    key = condition.key
    if is_met_by_key and is_met_without:
        return Issue(key, f"Every request meets this condition on {key.text}: leave it away.")
    if not is_met_by_key and not is_met_without:
        return Issue(key, f"No request meets this condition on {key.text}: the statement has no effect.")
    wanted = "false" if is_met_by_key else "true"
    asked = "exists" if is_met_by_key else "is missing"
    return Issue(key, f"This asks only if {key.text} {asked}.", f'"Null": {{"{key.text}": "{wanted}"}}')
