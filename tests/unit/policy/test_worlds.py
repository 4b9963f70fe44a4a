"""The random worlds draw what the laws are about: each rule counted here decides a good share of the questions.

A rule decides a question if the reference judge answers another way where the rule would not be.
"""

import json
import re
from collections import Counter
from random import Random

import pytest
import reference
import worlds
from callers import CALLERS, spared
from casefiles import kind_of, reference_question

from broker.policy import MalformedPolicy, PolicyKind, parse_policy

WORLDS, REQUESTS_PER_WORLD = 500, 50
LAYERS = ("resource", "endpoint")
SPARED, DENIED = "spared", "denied"


def cases():
    """(number of its world, case), the same at each run."""
    random = Random(20261205)
    for number in range(WORLDS):
        world = worlds.world(random)
        for _ in range(REQUESTS_PER_WORLD):
            yield number, {**world, **worlds.request(random, world["callers"])}


def answer(case, **changed):
    return reference.decide(*reference_question({**case, **changed}))


def with_statements(policies, change):
    """`policies` with each statement that may name principals as `change` gives it."""

    def changed(document):
        statements = reference.as_list(document["Statement"])
        return {**document, "Statement": [change(dict(one)) for one in statements]}

    return {
        layer: [changed(one) for one in value] if layer in LAYERS else value
        for layer, value in policies.items()
    }


def sparing_everyone(statement):
    if statement["Effect"] == "Deny" and statement.pop("NotPrincipal", None):
        statement["Principal"] = {"AWS": "999999999999"}
    return statement


def denying_everyone(statement):
    if statement["Effect"] == "Deny" and statement.pop("NotPrincipal", None):
        statement["Principal"] = "*"
    return statement


def decided_by_not_principal(case):
    """SPARED or DENIED, where a list of NotPrincipal decides; else None."""
    if answer(case) == reference.EXPLICIT:
        others = with_statements(case["policies"], sparing_everyone)
        return DENIED if answer(case, policies=others) != reference.EXPLICIT else None
    others = with_statements(case["policies"], denying_everyone)
    return SPARED if answer(case, policies=others) == reference.EXPLICIT else None


def has_list(policies, layers):
    return any("NotPrincipal" in json.dumps(policies.get(layer)) for layer in layers)


def kind_of_policy(policies):
    """`resource`, `trust` or `endpoint`: where the only lists of NotPrincipal are; None where there are several."""
    kinds = {layer for layer in LAYERS if has_list(policies, [layer])}
    if kinds == {"resource"}:
        return kind_of("resource", policies["resource"][0]).value
    return kinds.pop() if len(kinds) == 1 else None


def kind_of_caller(case):
    return reference_question(case)[0]["principal"]["kind"]


def test_lists_of_not_principal_spare_in_many_worlds_and_deny_in_many():
    worlds_with, deciding, by_policy, by_caller = set(), {SPARED: set(), DENIED: set()}, Counter(), Counter()
    for number, case in cases():
        if not has_list(case["policies"], LAYERS):
            continue
        worlds_with.add(number)
        found = decided_by_not_principal(case)
        if found:
            deciding[found].add(number)
            by_policy[kind_of_policy(case["policies"]), found] += 1
            by_caller[kind_of_caller(case), found] += 1
    assert len(worlds_with) > WORLDS / 5
    assert len(deciding[SPARED]) > len(worlds_with) / 4
    assert len(deciding[DENIED]) > len(worlds_with) / 2
    for kind in ("resource", "trust", "endpoint"):
        assert min(by_policy[kind, SPARED], by_policy[kind, DENIED]) > 20, (kind, by_policy)
    for kind in ("user", "assumed-role", "federated-user", "root", "service", "web-identity", "saml-subject"):
        assert min(by_caller[kind, SPARED], by_caller[kind, DENIED]) > 10, (kind, by_caller)


def test_a_boundary_decides_about_many_callers_whom_the_list_names():
    decided = set()
    for number, case in cases():
        if case["policies"].get("boundary") is not None and decided_by_not_principal(case) == DENIED:
            without = {**case["policies"], "boundary": None}
            if decided_by_not_principal({**case, "policies": without}) != DENIED:
                decided.add(number)
    assert len(decided) > WORLDS / 50


def test_an_unknown_owner_of_a_resource_decides_many_questions():
    unknown = [case for _, case in cases() if case["resource_account"] is None]
    own = [reference_question(case)[0]["principal"]["account"] for case in unknown]
    decided = [
        answer(case) != answer(case, resource_account=account)
        for case, account in zip(unknown, own, strict=True)
        if account
    ]
    assert sum(decided) > len(decided) / 20


def test_scps_that_would_limit_callers_outside_every_account_are_drawn():
    found = Counter()
    for _, case in cases():
        kind = kind_of_caller(case)
        if kind in reference.OUTSIDE_EVERY_ACCOUNT and case["policies"].get("scps"):
            limited = {
                **case["policies"],
                "rcps": case["policies"].get("rcps", []) + case["policies"]["scps"],
            }
            found[kind] += answer(case, policies=limited) != answer(case)
    assert min(found[kind] for kind in reference.OUTSIDE_EVERY_ACCOUNT) > 5, found


def test_ranges_of_mapped_addresses_decide_some_questions():
    """They do, if the answer is another where they are ranges of IPv6 in which no caller is."""
    decided = 0
    for _, case in cases():
        written = json.dumps(case["policies"])
        if "::ffff:" in written.lower() and "aws:SourceIp" in case["context"]:
            others = re.sub("(?i)::ffff:[0-9.:]+(/[0-9]+)?", "2001:db8:ffff::/48", written)
            decided += answer(case, policies=json.loads(others)) != answer(case)
    assert decided > 10


def test_policies_of_organizations_take_no_not_principal():
    """So none is drawn for them: "SCPs and RCPs do not support the NotPrincipal element" (NotPrincipal, key points)."""
    random = Random(1)
    for kind in (PolicyKind.SCP, PolicyKind.RCP):
        for _ in range(20):
            denied = {**worlds.EVERYTHING, "Effect": "Deny", "NotPrincipal": spared(random, CALLERS)}
            with pytest.raises(MalformedPolicy):
                parse_policy(json.dumps({"Version": "2012-10-17", "Statement": denied}), kind)
