"""Paths with labels: which template a path is of, and the values of its labels."""

import pytest

from broker.protocol.rest_paths import find_labels, is_below_root

TEMPLATE = "/clusters/{name}/pod-identity-associations/{associationId}"


def test_labels_are_the_decoded_segments() -> None:
    path = "/clusters/a%20b/pod-identity-associations/x%2Fy"
    assert find_labels(TEMPLATE, path) == {"name": "a b", "associationId": "x/y"}


def test_a_template_without_labels_matches_its_own_path_alone() -> None:
    assert find_labels("/clusters", "/clusters") == {}
    assert find_labels("/clusters", "/clusters/") is None


@pytest.mark.parametrize(
    "path",
    [
        "/clusters/a/pod-identity-associations",
        "/clusters/a/pod-identity-associations/",
        "/clusters//pod-identity-associations/x",
        "/clusters/../pod-identity-associations/x",
        "/clusters/a/pod-identity-associations/.",
        "/clusters/a/other/x",
        "/clusters/a/pod-identity-associations/x/y",
        "/clusters/%FF/pod-identity-associations/x",
    ],
)
def test_what_a_normalised_path_would_not_have_or_the_template_does_not_say_matches_nothing(
    path: str,
) -> None:
    assert find_labels(TEMPLATE, path) is None


def test_a_label_of_many_segments_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="many segments"):
        find_labels("/a/{name+}", "/a/b/c")


@pytest.mark.parametrize("path", ["/", "/clusters", "/other/a", "", "clusters/a", "*"])
def test_other_paths_are_below_no_root(path: str) -> None:
    assert not is_below_root(path)
