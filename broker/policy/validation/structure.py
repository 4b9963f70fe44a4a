"""Checks of elements and their types: what a policy and a statement consist of."""

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches

from broker.policy.elements import OLD_VERSION, VERSION, quoted
from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.subject import StatementNode, Subject, ValidatedAs, as_list

_TOP = ("Version", "Id", "Statement")
_STATEMENT = (
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
)  # fmt: skip
_LISTS = ("Action", "NotAction", "Resource", "NotResource")
_OPPOSITES = (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal"))
_SID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


def unknown_elements(subject: Subject) -> Iterator[Issue]:
    for node, known in ((subject.root, _TOP), *((one.node, _STATEMENT) for one in subject.statements)):
        for member in node.members:
            if member.key.text not in known:
                near = get_close_matches(member.key.text.capitalize(), known, 1)
                yield Issue(
                    member.key, f"No policy element is called {quoted(member.key.text)}.", "".join(near)
                )


def _objects(node: JsonNode) -> Iterator[JsonNode]:
    if node.kind == "object":
        yield node
    for child in (*node.items, *(member.value for member in node.members)):
        yield from _objects(child)


def keys_of_different_case(subject: Subject) -> Iterator[Issue]:
    for node in _objects(subject.root):
        spellings: dict[str, str] = {}
        for member in node.members:
            first = spellings.setdefault(member.key.text.lower(), member.key.text)
            if first != member.key.text:
                message = f"{quoted(first)} is in the same object, and differs in case only."
                yield Issue(member.key, message)


def repeated_keys(subject: Subject) -> Iterator[Issue]:
    for node in _objects(subject.root):
        times = Counter(member.key.text for member in node.members)
        for member in node.members:
            if times[member.key.text] > 1:
                yield Issue(member.key, f"{quoted(member.key.text)} is in this object more than once.")


def wrong_types(subject: Subject) -> Iterator[Issue]:
    for name in ("Version", "Id"):
        yield from _unless(subject.root.find(name), "string")
    for node in as_list(subject.root.find("Statement")):
        yield from _unless(node, "object")
    for statement in subject.statements:
        yield from _wrong_types_in(statement)


def _wrong_types_in(statement: StatementNode) -> Iterator[Issue]:
    for name in ("Sid", "Effect"):
        yield from _unless(statement.find(name), "string")
    for name in _LISTS:
        for node in as_list(statement.find(name)):
            yield from _unless(node, "string")
    yield from _unless(statement.find("Condition"), "object")
    for name in ("Principal", "NotPrincipal"):
        principal = statement.find(name)
        if principal is not None and principal.kind not in ("object", "string"):
            yield Issue(principal, f"A {name} is an object, not a value of type {principal.kind}.")
        for member in principal.members if principal is not None else ():
            for node in as_list(member.value):
                yield from _unless(node, "string")


def _unless(node: JsonNode | None, kind: str) -> Iterator[Issue]:
    if node is not None and node.kind != kind:
        yield Issue(node, f"This is a JSON value of type {node.kind}; a value of type {kind} is expected.")


def invalid_version(subject: Subject) -> Iterator[Issue]:
    node = subject.root.find("Version")
    if node is not None and node.kind == "string" and node.text not in (VERSION, OLD_VERSION):
        yield Issue(node, f"The versions of the policy language are {VERSION} and {OLD_VERSION}.", VERSION)


def missing_version(subject: Subject) -> Iterator[Issue]:
    if subject.root.find("Version") is None:
        message = (
            f"Without Version {VERSION} the old language applies, where variables such as ${{aws:username}} are "
            "taken literally."
        )
        yield Issue(subject.root, message, f'"Version": "{VERSION}"')


def missing_statement(subject: Subject) -> Iterator[Issue]:
    node = subject.root.find("Statement")
    if node is None or (node.kind == "array" and not node.items):
        yield Issue(node or subject.root, "The policy has no statement.")


def missing_effect(subject: Subject) -> Iterator[Issue]:
    yield from _missing(subject, "Effect")


def missing_action(subject: Subject) -> Iterator[Issue]:
    yield from _missing(subject, "Action", "NotAction")


def missing_resource(subject: Subject) -> Iterator[Issue]:
    """A resource policy may be a trust policy, which has none: then its actions are of sts."""
    for statement in subject.statements:
        is_trust = statement.actions and all(one.text.lower().startswith("sts:") for one in statement.actions)
        is_missing = statement.find("Resource") is None and statement.find("NotResource") is None
        if is_missing and not (is_trust and subject.validated_as is ValidatedAs.RESOURCE):
            yield Issue(statement.node, "The statement has no Resource or NotResource.")


def missing_principal(subject: Subject) -> Iterator[Issue]:
    yield from _missing(subject, "Principal", "NotPrincipal")


def _missing(subject: Subject, *names: str) -> Iterator[Issue]:
    for statement in subject.statements:
        if all(statement.find(name) is None for name in names):
            yield Issue(statement.node, f"The statement has no {' or '.join(names)}.")


def invalid_effect(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        node = statement.find("Effect")
        if node is not None and node.kind == "string" and node.text not in ("Allow", "Deny"):
            near = get_close_matches(node.text.capitalize(), ("Allow", "Deny"), 1)
            yield Issue(node, f"{quoted(node.text)} is no effect: Allow or Deny.", "".join(near))


def opposite_elements(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for name, opposite in _OPPOSITES:
            node = statement.find(opposite)
            if node is not None and statement.find(name) is not None:
                yield Issue(node, f"A statement has {name} or {opposite}, never both.")


def unsupported_principal(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for name in ("Principal", "NotPrincipal"):
            node = statement.find(name)
            if node is not None:
                yield Issue(node, f"A policy of this type has no {name}: it is attached to its principal.")


def repeated_sids(subject: Subject) -> Iterator[Issue]:
    """An empty Sid is the same as none."""
    seen: set[str] = set()
    for statement in subject.statements:
        node = statement.find("Sid")
        if node is None or not node.text:
            continue
        if node.text in seen:
            yield Issue(node, f"Another statement has the Sid {quoted(node.text)}.")
        seen.add(node.text)


def unsupported_sids(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        node = statement.find("Sid")
        if node is not None and not _SID_CHARACTERS.issuperset(node.text):
            plain = "".join(character for character in node.text if character in _SID_CHARACTERS)
            yield Issue(node, "A Sid consists of letters A-Z and a-z and of digits.", plain)


def empty_sids(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        node = statement.find("Sid")
        if node is not None and node.kind == "string" and not node.text:
            yield Issue(node, "The Sid is empty: leave it away, or name the statement.")


def empty_actions(subject: Subject) -> Iterator[Issue]:
    yield from _empty_lists(subject, "Action", "NotAction")


def empty_resources(subject: Subject) -> Iterator[Issue]:
    yield from _empty_lists(subject, "Resource", "NotResource")


def _empty_lists(subject: Subject, *names: str) -> Iterator[Issue]:
    for statement in subject.statements:
        for name in names:
            node = statement.find(name)
            if node is not None and node.kind == "array" and not node.items:
                yield Issue(node, f"The list of {name} is empty, so the statement has no effect.")


def empty_principals(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for name in ("Principal", "NotPrincipal"):
            node = statement.find(name)
            for member in node.members if node is not None else ():
                if member.value.kind == "array" and not member.value.items:
                    yield Issue(member.value, "The list of principals is empty.")


def empty_principal_objects(subject: Subject) -> Iterator[Issue]:
    yield from _empty_objects(subject, "Principal", "NotPrincipal")


def empty_condition_objects(subject: Subject) -> Iterator[Issue]:
    yield from _empty_objects(subject, "Condition")


def _empty_objects(subject: Subject, *names: str) -> Iterator[Issue]:
    for statement in subject.statements:
        for name in names:
            node = statement.find(name)
            if node is not None and node.kind == "object" and not node.members:
                yield Issue(node, f"The {name} is empty: leave it away.")
