"""The one runner of tests/cases/policy/**.json: each case is put to the engine and to the reference judge."""

import json

import pytest
import reference
from casefiles import decision_cases, document_cases, engine_question, reference_question

from broker.policy import MalformedPolicy, Outcome, PolicyKind, decide, parse_policy
from broker.policy.conditions import NULL, OPERATORS

WORDS = {
    Outcome.ALLOWED: "allowed",
    Outcome.IMPLICITLY_DENIED: "implicitly-denied",
    Outcome.EXPLICITLY_DENIED: "explicitly-denied",
}
DECISIONS, DOCUMENTS = decision_cases(), document_cases()


def sentence(case):
    return f"{case['file']}: {case['sentence']}"


def is_as_expected(word, case):
    return word == case["decision"] or (case["decision"] == "denied" and word != "allowed")


@pytest.mark.parametrize("case", DECISIONS, ids=sentence)
def test_the_engine_decides_each_case_as_the_documentation_does(case):
    decision = decide(*engine_question(case))
    assert is_as_expected(WORDS[decision.outcome], case), decision.explain()
    decided_by = {match.statement.sid for match in decision.deciding}
    if "deciding" in case:
        assert set(case["deciding"]) <= decided_by, decided_by
        assert bool(case["deciding"]) == bool(decided_by)
    if "layer" in case:
        assert decision.layer is not None and decision.layer.value == case["layer"]


@pytest.mark.parametrize("case", DECISIONS, ids=sentence)
def test_the_reference_judge_decides_each_case_as_the_documentation_does(case):
    assert is_as_expected(reference.decide(*reference_question(case)), case)


@pytest.mark.parametrize("case", DOCUMENTS, ids=sentence)
def test_each_document_is_refused_or_accepted_as_by_aws(case):
    text = case["document"] if isinstance(case["document"], str) else json.dumps(case["document"])
    is_managed = case["kind"] == "managed"
    kind = PolicyKind.IDENTITY if is_managed else PolicyKind(case["kind"])
    if case["refusal"] == "accepted":
        assert parse_policy(text, kind, is_managed=is_managed).statements
        return
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, kind, is_managed=is_managed)
    assert refused.value.message == case["refusal"]


def test_every_case_says_what_it_shows_and_where_that_is_documented():
    for case in DECISIONS + DOCUMENTS:
        assert case["sentence"].strip() and case["why"].strip(), case["file"]
    sentences = [sentence(case) for case in DECISIONS + DOCUMENTS]
    assert len(sentences) == len(set(sentences)), "two cases of a file say the same"


def operators_in(part):
    """The condition operators that stand in a document, or in a list of documents, as they are written there."""
    if isinstance(part, list):
        return {operator for one in part for operator in operators_in(one)}
    if not isinstance(part, dict):
        return set()
    within = {
        operator for element, one in part.items() if element != "Condition" for operator in operators_in(one)
    }
    return within | set(part.get("Condition", ()))


def operators_without_cases(names):
    """Those of which no case decides by them alone that a request is allowed, or none that it is not."""
    decided = {name: set() for name in names}
    for case in DECISIONS:
        (operator, *others) = operators_in(list(case["policies"].values())) or (None,)
        if not others and operator in decided:
            decided[operator].add(case["decision"] == "allowed")
    return {name for name, decisions in decided.items() if decisions != {True, False}}


def test_every_condition_operator_has_a_case_in_which_it_holds_and_one_in_which_it_does_not():
    assert operators_without_cases({*OPERATORS, NULL}) == set()


def test_a_condition_operator_without_cases_is_missed():
    assert operators_without_cases({*OPERATORS, "StringStartsWith"}) == {"StringStartsWith"}


def test_there_are_at_least_six_hundred_cases():
    assert len(DECISIONS) + len(DOCUMENTS) >= 600
