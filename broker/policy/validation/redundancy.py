"""Checks of what another entry of the same list, or another statement, says already."""

import json
from collections.abc import Callable, Iterator, Sequence

from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.subject import Subject

MOST_COMPARED = 200  # patterns of one list that are compared with all its entries


def redundant_actions(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for nodes in (statement.actions, statement.not_actions):
            yield from _covered(nodes, str.lower)


def redundant_resources(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for nodes in (statement.resources, statement.not_resources):
            yield from _covered(nodes, str)


def _covered(nodes: Sequence[JsonNode], spelt: Callable[[str], str]) -> Iterator[Issue]:
    seen: set[str] = set()
    texts = [spelt(node.text) for node in nodes]
    wild = [text for text in dict.fromkeys(texts) if "*" in text or "?" in text][:MOST_COMPARED]
    matchers = [(text, compile_glob(parse_glob(text))) for text in wild]
    for node, text in zip(nodes, texts, strict=True):
        if text in seen:
            yield Issue(node, "This is in the list already.")
        elif "${" not in text:
            by = next((one for one, matches in matchers if one != text and _covers(matches, text)), None)
            if by is not None:
                yield Issue(node, f"{by} in the same list includes this.")
        seen.add(text)


def _covers(matches: Callable[[str], bool], text: str) -> bool:
    """Whether a glob matches all that `text` matches: a `?` may stand where the glob has `*`, not the reverse."""
    return matches(text) and ("*" not in text or matches(text.replace("*", "")))


def redundant_condition_values(subject: Subject) -> Iterator[Issue]:
    """Of several numbers one decides: the greatest for "less than", the least for "greater than"."""
    for statement in subject.statements:
        for condition in statement.conditions:
            if condition.name.startswith(("numericless", "numericgreater")) and len(condition.values) > 1:
                which = "greatest" if "less" in condition.name else "least"
                yield Issue(condition.value, f"Only the {which} of these numbers counts: write that one.")


def redundant_statements(subject: Subject) -> Iterator[Issue]:
    """Statements that are the same but for their Sid."""
    seen: set[str] = set()
    for statement in subject.statements:
        content = json.loads(subject.text[statement.node.start : statement.node.end])
        content.pop("Sid", None)
        form = json.dumps(content, sort_keys=True)
        if form in seen:
            yield Issue(statement.node, "Another statement says the same.")
        seen.add(form)
