"""The solver and the engine agree on random pairs; `scripts/compare-solver` does the same with ten thousand."""

import pytest

from broker.policy import PolicyKind
from tests.unit.policy.solver.random_pairs import compare, compare_granted, compare_public


@pytest.mark.parametrize("kind", [PolicyKind.IDENTITY, PolicyKind.RESOURCE])
def test_examples_are_new_and_no_request_contradicts_that_there_is_none(kind: PolicyKind) -> None:
    found = [compare(seed, kind, requests=30)[1] for seed in range(150)]
    without = sum(one.is_impossible for one in found)
    examples = sum(example.request is not None for one in found for example in one.examples)
    assert without > 30
    assert examples > 30
    assert sum(bool(one.undecided) for one in found) < 15


@pytest.mark.parametrize("kind", [PolicyKind.IDENTITY, PolicyKind.RESOURCE])
def test_no_request_contradicts_that_access_is_not_granted(kind: PolicyKind) -> None:
    found = [compare_granted(seed, kind, requests=30) for seed in range(60)]
    assert 10 < sum(one.is_impossible for one in found) < 50


def test_no_stranger_contradicts_that_there_is_no_public_access() -> None:
    found = [compare_public(seed, requests=30) for seed in range(60)]
    assert 10 < sum(one.is_impossible for one in found) < 50
