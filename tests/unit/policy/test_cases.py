"""The one runner of tests/cases/policy/**.json: each case is put to the engine and to the reference judge."""

import json

import pytest
import reference
from casefiles import decision_cases, document_cases, engine_question, reference_question

from broker.policy import MalformedPolicy, Outcome, PolicyKind, decide, parse_policy

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


def test_there_are_at_least_six_hundred_cases():
    assert len(DECISIONS) + len(DOCUMENTS) >= 600
