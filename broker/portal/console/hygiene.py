"""The findings of `broker.hygiene` for the overview: what the person may not see is refused by itself."""

from collections.abc import Iterable

import msgspec

from broker.errors import Refusal
from broker.hygiene.rules import RULES, HygieneFinding, Place, Severity
from broker.portal.console.operations import attempt_for_page
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

# The operations of pages, and what of the page's texts says that it was not looked at.
_OPERATIONS = {
    "FindHygieneOfRoot": "no_root",
    "FindHygieneOfCredentials": "no_credentials",
    "FindHygieneOfEntities": "no_entities",
    "FindHygieneOfPasswordRules": "no_password_rules",
    "FindHygieneOfResources": "no_resources",
    "FindHygieneOfUse": "no_use",
}
_PAGES = {"user": "users", "group": "groups", "role": "roles", "policy": "policies"}


class LinkedPlace(msgspec.Struct, frozen=True):
    """A place as a link; `page` is the page of its kind, "" for root, the account and resources, which have none."""

    page: str
    place: Place


class RuleFindings(msgspec.Struct, frozen=True):
    """What breaks one rule, by its name."""

    name: str
    severity: Severity
    places: tuple[LinkedPlace, ...]


class Hygiene(msgspec.Struct, frozen=True):
    """The findings by rule, the most severe first; `refused` has the refusals by what was not looked at."""

    by_rule: tuple[RuleFindings, ...]
    refused: dict[str, Refusal]


async def find_all(portal: Portal, visit: Visit) -> Hygiene:
    answers = {text: await attempt_for_page(portal, visit, name, None) for name, text in _OPERATIONS.items()}
    refused = {text: one for text, one in answers.items() if isinstance(one, Refusal)}
    found = [one for text, answer in answers.items() if text not in refused for one in answer]
    return Hygiene(by_rule(found), refused)


def by_rule(found: Iterable[HygieneFinding]) -> tuple[RuleFindings, ...]:
    places: dict[str, list[LinkedPlace]] = {}
    for one in found:
        linked = LinkedPlace(_PAGES.get(one.place.kind, ""), one.place)
        places.setdefault(one.rule.name, []).append(linked)
    return tuple(
        RuleFindings(rule.name, rule.severity, tuple(places[rule.name]))
        for rule in RULES
        if rule.name in places
    )
