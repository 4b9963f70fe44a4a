"""The automata, beside the engine's own matchers: every text belongs to one class, and its witness matches alike."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.policy.patterns import compile_arn_glob, compile_glob, compile_resource_glob, parse_glob
from broker.policy.solver.automata import Language, classes_of
from broker.policy.solver.budget import Budget
from broker.policy.solver.languages import (
    arn_language,
    boolean_languages,
    casefold_language,
    glob_language,
    resource_language,
)

PATTERNS = st.lists(st.text("ab*?:", max_size=8), min_size=1, max_size=4)
ARNS = st.lists(st.text("a*?:", min_size=4, max_size=14), min_size=1, max_size=3)
TEXTS = st.text("abc:*", min_size=1, max_size=12)
many = settings(max_examples=150, deadline=None)


def classes(languages: list[Language]) -> dict[int, str]:
    return classes_of(languages, Budget())


def agrees(languages, matchers, text):
    """The class of `text`, by the matchers, is one that the automaton has found, and its witness is of it."""
    found = classes(languages)
    for signature, witness in found.items():
        assert [signature >> at & 1 for at in range(len(matchers))] == [one(witness) for one in matchers], (
            witness
        )
    assert sum(one(text) << at for at, one in enumerate(matchers)) in found


@many
@given(PATTERNS, TEXTS)
def test_globs(patterns, text):
    globs = [parse_glob(one) for one in patterns]
    agrees([glob_language(one) for one in globs], [compile_glob(one) for one in globs], text)


@many
@given(ARNS, TEXTS)
@example(["a:a:*:a:a:a"], "a:a:a:a:a:a:a")
@example(["a?:a:*a:a*:a:a"], "aa:a:a:a:a:a:a")
@example(["a:*a:*:a:a*:a*"], "a:a:a:a:a:a:a:a")
def test_resources(patterns, text):
    globs = [parse_glob(one) for one in patterns]
    agrees([resource_language(one) for one in globs], [compile_resource_glob(one) for one in globs], text)


@many
@given(ARNS, TEXTS)
@example(["a:*"], "a:b:c:a:b:c:a")
def test_arns(patterns, text):
    globs = [one for one in map(parse_glob, patterns) if arn_language(one) is not None]
    agrees([arn_language(one) for one in globs], [compile_arn_glob(one) for one in globs], text)


@many
@given(
    st.lists(st.text("sSßıİkKﬁ", max_size=3), min_size=1, max_size=3),
    st.text("sSßſkKfi", min_size=1, max_size=4),
)
def test_case_folding(values, text):
    languages = [casefold_language(one) for one in values]
    agrees(languages, [lambda had, one=one: had.casefold() == one.casefold() for one in values], text)


def test_booleans_are_read_without_case():
    true, false = boolean_languages()
    found = classes([true, false]).values()
    assert sorted(one.lower() for one in found if len(one) > 1) == ["false", "true"]
