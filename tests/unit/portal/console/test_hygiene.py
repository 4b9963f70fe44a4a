"""Findings on the overview: by rule, with a link to each place and a text for each rule."""

from broker.hygiene.rules import RULES, HygieneFinding, Place
from broker.portal.console.hygiene import LinkedPlace, by_rule
from broker.portal.rendering import texts_of

BY_NAME = {rule.name: rule for rule in RULES}


def test_the_most_severe_rule_comes_first_with_all_its_places() -> None:
    user, role, root = Place("user", "alice", "AKIA", 91), Place("role", "old", days=100), Place("root")
    found = by_rule(
        [
            HygieneFinding(BY_NAME["unused_roles"], role),
            HygieneFinding(BY_NAME["old_keys"], user),
            HygieneFinding(BY_NAME["root_keys"], root),
        ]
    )
    assert [one.name for one in found] == ["root_keys", "old_keys", "unused_roles"]
    assert [one.places for one in found] == [
        (LinkedPlace("", root),),
        (LinkedPlace("users", user),),
        (LinkedPlace("roles", role),),
    ]


def test_every_rule_has_its_text_on_the_page() -> None:
    texts = texts_of("console/overview").findings
    assert set(texts) == set(BY_NAME)
