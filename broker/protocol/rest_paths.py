"""Paths of REST-JSON operations with labels, such as `/clusters/{name}` ("HTTP binding traits", Smithy 2.0).

A label is one segment of the path, percent-encoded: a slash in its value arrives as `%2F`. Segments that a normalised
path does not have (empty ones, dots) match nothing: a signature covers the normalised path, and must not cover another
path than the one that names the operation.
"""

from functools import lru_cache
from urllib.parse import unquote

# The first segments of the paths with labels of all services that speak REST-JSON (a test compares).
ROOTS = frozenset(
    {
        "access-preview",
        "analyzer",
        "cluster-registrations",
        "clusters",
        "crl",
        "eks-anywhere-subscriptions",
        "finding",
        "findingv2",
        "policy",
        "profile",
        "profiles",
        "recommendation",
        "service-linked-analyzer",
        "subject",
        "tags",
        "trustanchor",
    }
)
_NOT_NORMALISED = ("", ".", "..")


def is_below_root(path: str) -> bool:
    """Whether a path may be one with labels, whatever follows its first segment."""
    _, root, *rest = path.split("/", 2) if path.startswith("/") else ("", "")
    return bool(rest) and root in ROOTS


def find_labels(template: str, unverified_path: str) -> dict[str, str] | None:
    """The decoded labels of a path, empty where the template has none; None where the path is not of the template."""
    if "{" not in template:
        return {} if template == unverified_path else None
    wanted, given = _segments(template), unverified_path.split("/")
    if len(wanted) != len(given):
        return None
    labels: dict[str, str] = {}
    for (label, text), segment in zip(wanted[1:], given[1:], strict=True):
        if segment in _NOT_NORMALISED or (not label and segment != text):
            return None
        if label:
            try:
                labels[label] = unquote(segment, errors="strict")
            except UnicodeDecodeError:
                return None
    return labels


@lru_cache(maxsize=1024)
def _segments(template: str) -> tuple[tuple[str, str], ...]:
    """Of each segment its label and its text, one of them empty; ValueError for `{name+}`, a label of many."""
    if "+}" in template:
        raise ValueError(f"{template}: a label of many segments is not read")
    return tuple((part[1:-1], "") if part.startswith("{") else ("", part) for part in template.split("/"))
