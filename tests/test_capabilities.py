"""Tests that need more of a machine say so in one sentence where it is missing."""

import os

import pytest

from tests.capabilities import require_capabilities, why_missing


def test_a_test_that_needs_nothing_is_run_by_anybody():
    assert why_missing(set(), 1000, "no namespaces") == ""
    assert why_missing({"parametrize"}, 1000, "no namespaces") == ""


def test_root_is_asked_for_first():
    for marks in ({"root"}, {"namespaces"}, {"root", "namespaces"}):
        assert why_missing(marks, 1000, "").startswith("This test needs root:")


def test_only_those_that_need_namespaces_miss_them():
    assert why_missing({"root"}, 0, "no namespaces") == ""
    assert why_missing({"namespaces"}, 0, "no namespaces") == "no namespaces"


@pytest.mark.parametrize("mark", ["root", "namespaces"])
def test_where_root_is_missing_a_marked_test_is_skipped_with_the_sentence_and_in_ci_it_fails(
    mark: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="This test needs root"):
        require_capabilities({mark})
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="This test needs root"):
        require_capabilities({mark})
    require_capabilities({"parametrize"})
