"""Laws of the judge, over random worlds, and its agreement with the reference judge on 100,000 questions."""

import copy
from random import Random

import msgspec
import reference
import worlds
from callers import spared
from casefiles import (
    LEVELLED,
    decision_cases,
    engine_layers,
    engine_question,
    engine_request,
    reference_question,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.names import principal
from broker.names.principal import Anonymous, Root, account_of
from broker.policy import Context, Outcome, decide, is_always_allowed

SEEDS = st.integers(0, 2**40)
WORDS = {
    Outcome.ALLOWED: reference.ALLOWED,
    Outcome.IMPLICITLY_DENIED: reference.IMPLICIT,
    Outcome.EXPLICITLY_DENIED: reference.EXPLICIT,
}
WORLDS, REQUESTS_PER_WORLD = 1_000, 100
a_few = settings(max_examples=60, deadline=None)


def test_engine_and_reference_agree_on_a_hundred_thousand_questions():
    random = Random(20261121)
    counted = dict.fromkeys(WORDS.values(), 0)
    for number in range(WORLDS):
        world = worlds.world(random)
        layers = engine_layers(world["policies"], world["flags"])
        for _ in range(REQUESTS_PER_WORLD):
            case = {**world, **worlds.request(random, world["callers"])}
            expected = reference.decide(*reference_question(case))
            decided = WORDS[decide(engine_request(case), layers).outcome]
            assert decided == expected, f"world {number}: {decided} instead of {expected}: {case}"
            counted[expected] += 1
    assert sum(counted.values()) == 100_000
    assert min(counted.values()) > 10_000, f"the worlds are one-sided: {counted}"


def world_of(seed):
    """Policies, flags and some requests."""
    random = Random(seed)
    world = worlds.world(random)
    requests = [worlds.request(random, world["callers"]) for _ in range(12)]
    return random, world["policies"], world["flags"], requests


def outcomes(policies, flags, requests):
    layers = engine_layers(policies, flags)
    return [decide(engine_request(request), layers).outcome for request in requests]


@a_few
@given(seed=SEEDS)
def test_what_is_always_allowed_no_policy_denies(seed):
    _, policies, flags, requests = world_of(seed)
    layers = engine_layers(policies, flags)
    asked = [engine_request({**request, "action": "sts:GetCallerIdentity"}) for request in requests]
    certain = [one for one in asked if is_always_allowed(one.principal, one.action)]
    assert len(certain) == sum(not isinstance(one.principal, Anonymous) for one in asked)
    assert all(decide(one, layers).allowed for one in certain)


def test_only_what_the_service_itself_always_allows_is_always_allowed():
    root = Root("111111111111")
    assert is_always_allowed(root, "sts:getcalleridentity")
    assert not is_always_allowed(Anonymous(), "sts:GetCallerIdentity")
    for action in ["sts:AssumeRole", "iam:CreateRole", "s3:GetObject", "kms:Decrypt", "iam:DeletePolicy"]:
        assert not is_always_allowed(root, action)


def some_layer(random, policies):
    """The list of documents of one layer, or of one level of it; it may be changed in place."""
    layer = random.choice([name for name, value in policies.items() if value or name not in LEVELLED])
    return layer, random.choice(policies[layer]) if layer in LEVELLED else policies[layer]


def a_statement(random, layer, effect):
    names_principals = layer in ("resource", "endpoint", "rcps")
    written = {**worlds.statement(random), "Effect": effect}
    if names_principals:
        written["Principal"] = "*" if layer == "rcps" else random.choice(worlds.ELEMENTS)
    if layer == "rcps":
        written.pop("NotAction", None)
        written["Action"] = "*"
    if layer == "rcps" and effect == "Allow":
        written = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": written}


@given(SEEDS)
@a_few
def test_adding_a_deny_never_allows(seed):
    random, policies, flags, requests = world_of(seed)
    before = outcomes(policies, flags, requests)
    layer, documents = some_layer(random, policies)
    documents.append(a_statement(random, layer, "Deny"))
    after = outcomes(policies, flags, requests)
    assert all(
        old is Outcome.ALLOWED or new is not Outcome.ALLOWED for old, new in zip(before, after, strict=True)
    )


@given(SEEDS)
@a_few
def test_adding_an_allow_never_denies(seed):
    random, policies, flags, requests = world_of(seed)
    before = outcomes(policies, flags, requests)
    layer, documents = some_layer(random, policies)
    documents.append(a_statement(random, layer, "Allow"))
    after = outcomes(policies, flags, requests)
    assert all(
        old is not Outcome.ALLOWED or new is Outcome.ALLOWED for old, new in zip(before, after, strict=True)
    )


def with_lists_changed(value, change):
    """`value` with each NotPrincipal of a Deny as `change` gives it."""
    if isinstance(value, list):
        return [with_lists_changed(one, change) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: with_lists_changed(one, change) for key, one in value.items()}
    if found.get("Effect") == "Deny" and "NotPrincipal" in found:
        found["NotPrincipal"] = change(found["NotPrincipal"])
    return found


def joined(one, other):
    """An element that names what either names."""
    if "*" in (one, other):
        return "*"
    kinds = [*one, *(kind for kind in other if kind not in one)]
    return {
        kind: reference.as_list(one.get(kind, [])) + reference.as_list(other.get(kind, [])) for kind in kinds
    }


@given(SEEDS)
@a_few
def test_a_longer_list_in_not_principal_denies_nobody_more(seed):
    random, policies, flags, requests = world_of(seed)
    callers = [request["principal"] for request in requests]
    longer = with_lists_changed(policies, lambda element: joined(element, spared(random, callers)))
    for old, new in zip(outcomes(policies, flags, requests), outcomes(longer, flags, requests), strict=True):
        assert old is Outcome.EXPLICITLY_DENIED or new is old


@given(SEEDS)
@a_few
def test_no_list_in_not_principal_spares_a_caller_with_a_boundary(seed):
    _, policies, flags, requests = world_of(seed)
    requests = [one for one in requests if account_of(engine_request(one).principal)]
    bounded = {**policies, "boundary": worlds.full_access()}
    longest = with_lists_changed(bounded, lambda element: "*")
    assert outcomes(longest, flags, requests) == outcomes(bounded, flags, requests)


def shuffled(random, value):
    """`value` with every list of it, and every order of keys, mixed."""
    if isinstance(value, list):
        return [shuffled(random, one) for one in random.sample(value, len(value))]
    if isinstance(value, dict):
        return {key: shuffled(random, value[key]) for key in random.sample(list(value), len(value))}
    return value


@given(SEEDS)
@a_few
def test_the_order_of_policies_statements_and_values_is_irrelevant(seed):
    random, policies, flags, requests = world_of(seed)
    assert outcomes(shuffled(random, policies), flags, requests) == outcomes(policies, flags, requests)


def split(statement):
    """The same statement as several: one for each of its actions and each of its resources."""
    pieces = [statement]
    for element in ("Action", "Resource"):
        pieces = [
            {**piece, element: value} if element in piece else piece
            for piece in pieces
            for value in (reference.as_list(piece[element]) if element in piece else [None])
        ]
    return [{name: value for name, value in piece.items() if name != "Sid"} for piece in pieces]


def with_statements_split(value):
    """`value` with each document's statements split."""
    if isinstance(value, list):
        return [with_statements_split(one) for one in value]
    if isinstance(value, dict) and "Statement" in value:
        statements = reference.as_list(value["Statement"])
        return {**value, "Statement": [piece for one in statements for piece in split(one)]}
    if isinstance(value, dict):
        return {key: with_statements_split(one) for key, one in value.items()}
    return value


@given(SEEDS)
@a_few
def test_splitting_a_statement_by_action_or_resource_changes_nothing(seed):
    _, policies, flags, requests = world_of(seed)
    assert outcomes(with_statements_split(policies), flags, requests) == outcomes(policies, flags, requests)


@given(SEEDS)
@a_few
def test_an_scp_rcp_boundary_session_scope_or_endpoint_policy_never_widens(seed):
    """A federated user is left out: without a session policy it has nothing that one could narrow."""
    random, policies, flags, requests = world_of(seed)
    requests = [request for request in requests if "federated-user" not in request["principal"]]
    wide = {name: value for name, value in policies.items() if name in ("identity", "resource")}
    limits = {
        "boundary": worlds.documents(random, 2),
        "session": worlds.documents(random, 2),
        "endpoint": worlds.resource_documents(random, 2),
        "scps": [worlds.documents(random, 2)],
        "rcps": [worlds.resource_control_policies(random)],
        "scopes": [worlds.documents(random, 2)],
    }
    before = outcomes(wide, flags, requests)
    for layer, documents in limits.items():
        after = outcomes({**wide, layer: documents}, flags, requests)
        for old, new in zip(before, after, strict=True):
            assert old is Outcome.ALLOWED or new is not Outcome.ALLOWED, layer


@given(SEEDS)
@a_few
def test_of_an_unknown_owner_is_allowed_only_what_is_allowed_whoever_owns_it(seed):
    _, policies, flags, requests = world_of(seed)

    def owned_by(account):
        return outcomes(policies, flags, [{**request, "resource_account": account} for request in requests])

    unknown, a, b = owned_by(None), owned_by(worlds.A), owned_by(worlds.B)
    for each in zip(unknown, a, b, strict=True):
        assert (each[0] is Outcome.ALLOWED) is all(one is Outcome.ALLOWED for one in each)


@given(SEEDS)
@a_few
def test_deciding_changes_neither_the_policies_nor_the_next_decision(seed):
    _, policies, flags, requests = world_of(seed)
    layers = engine_layers(copy.deepcopy(policies), flags)
    first = [decide(engine_request(request), layers).outcome for request in requests]
    assert [decide(engine_request(request), layers).outcome for request in requests] == first
    assert outcomes(policies, flags, requests) == first


@given(SEEDS)
@a_few
def test_the_explanation_holds_what_decided(seed):
    _, policies, flags, requests = world_of(seed)
    layers = engine_layers(policies, flags)
    for request in requests:
        decision = decide(engine_request(request), layers)
        effects = {match.statement.effect.value for match in decision.deciding}
        assert effects <= {"Deny" if decision.outcome is Outcome.EXPLICITLY_DENIED else "Allow"}
        if decision.outcome is Outcome.EXPLICITLY_DENIED and decision.layer.value != "service":
            assert any(match.layer is decision.layer for match in decision.deciding)
        if decision.outcome is Outcome.IMPLICITLY_DENIED:
            assert not decision.deciding


def test_every_hand_written_case_keeps_its_decision_when_mixed_and_split():
    random = Random(7)
    for case in decision_cases():
        expected = decide(*engine_question(case)).outcome
        policies = shuffled(random, with_statements_split(case["policies"]))
        found = decide(*engine_question({**case, "policies": policies})).outcome
        assert found is expected, case["sentence"]


class Watched:
    """A context that is made when it is asked for, and knows whether it was."""

    def __init__(self, made):
        self.made, self.is_made = made, False

    @property
    def by_key(self):
        self.is_made = True
        return self.made.by_key


@a_few
@given(seed=SEEDS)
def test_a_decision_that_never_asked_for_its_context_is_the_same_in_every_context(seed):
    random, policies, flags, requests = world_of(seed)
    layers = engine_layers(policies, flags)
    for case in requests:
        request = engine_request(case)
        watched = Watched(request.context)
        outcome = decide(msgspec.structs.replace(request, context=watched), layers).outcome
        assert outcome is decide(request, layers).outcome
        if not watched.is_made:
            for other in (Context(), engine_request(worlds.request(random)).context):
                assert decide(msgspec.structs.replace(request, context=other), layers).outcome is outcome


def test_kinds_of_principals_are_told_apart_by_their_type_for_none_has_kinds_of_its_own():
    kinds = principal.Principal.__args__
    assert len(kinds) == 11
    assert not [kind for kind in kinds if kind.__subclasses__()]
