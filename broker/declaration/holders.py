"""What users, groups, roles and the rest have in common: tags, boundaries, attached and inline policies."""

import json
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from broker.access.aws_managed import all_aws_managed
from broker.declaration.attempt import Attempt, tag_list
from broker.declaration.declared import Document
from broker.declaration.differences import told_change
from broker.declaration.source import DeclarationError
from broker.storage.store import POLICIES


class Subject(msgspec.Struct, frozen=True):
    """Whose properties are settled. `word` is the wire's (`User`), `parameters` name the subject there."""

    account: str
    word: str
    label: str
    parameters: dict[str, str]
    where: str

    async def change(
        self,
        attempt: Attempt,
        operation: str,
        more: dict[str, Any],
        sign: str,
        text: str,
        document: Document | None = None,
    ) -> None:
        parameters, told = {**self.parameters, **more}, f"{self.label}: {text}"
        await attempt.perform(self.account, operation, parameters, sign, told, self.where, document)


def named_subject(account: str, word: str, noun: str, name: str, where: str) -> Subject:
    return Subject(account, word, f"{noun} {name}", {f"{word}Name": name}, where)


def meant(attempt: Attempt, value: Any, empty: Any) -> Any:
    """What the file means: `empty` for what it does not speak of where the rest is pruned, else UNSET."""
    return empty if isinstance(value, UnsetType) and attempt.prune else value


def require_same(subject: Subject, what: str, current: Any, wanted: Any) -> None:
    """Raises DeclarationError where `wanted` differs from what can only be chosen at creation."""
    if wanted is not UNSET and wanted != current:
        raise DeclarationError(
            f"{subject.where}: the {what} of {subject.label} is {current!r} and cannot be changed; "
            "delete it first, or declare what it is"
        )


async def policy_arn(attempt: Attempt, account: str, reference: str, where: str) -> str:
    """The ARN of a managed policy that is named by its ARN, or by its name within the account."""
    if reference.startswith("arn:"):
        return reference
    policy = await attempt.store.find(POLICIES, account, reference)
    if policy is not None:
        return policy.arn
    managed = next((one.arn for one in all_aws_managed() if one.policy_name == reference), None)
    hint = f"for AWS's policy write {managed}" if managed else "declare it, or write an ARN"
    raise DeclarationError(f"{where}: account {account} has no policy {reference}; {hint}")


async def settle_tags(attempt: Attempt, subject: Subject, current: dict[str, str], value: Any) -> None:
    tags = meant(attempt, value, {})
    if tags is UNSET:
        return
    # Keys compare without case: what is taken away goes first, so that it cannot take the new spelling with it.
    removed = [key for key in current if key not in tags]
    if removed:
        await subject.change(
            attempt, f"Untag{subject.word}", {"TagKeys": removed}, "-", f"tags {', '.join(removed)}"
        )
    changed = {key: text for key, text in tags.items() if current.get(key) != text}
    if changed:
        shown = ", ".join(_told_tag(key, text, current) for key, text in changed.items())
        await subject.change(attempt, f"Tag{subject.word}", {"Tags": tag_list(changed)}, "~", f"tags {shown}")


def _told_tag(key: str, text: str, current: dict[str, str]) -> str:
    return told_change(key, current[key], text) if key in current else f"{key}={text}"


async def settle_boundary(attempt: Attempt, subject: Subject, current: str | None, value: Any) -> None:
    boundary = meant(attempt, value, None)
    if boundary is UNSET:
        return
    if boundary is None:
        if current is not None:
            operation = f"Delete{subject.word}PermissionsBoundary"
            await subject.change(attempt, operation, {}, "-", f"permissions boundary {current}")
        return
    arn = await policy_arn(attempt, subject.account, boundary, subject.where)
    if arn != current:
        operation = f"Put{subject.word}PermissionsBoundary"
        await subject.change(
            attempt,
            operation,
            {"PermissionsBoundary": arn},
            "~",
            told_change("permissions boundary", current, arn) if current else f"permissions boundary {arn}",
        )


async def settle_attached(attempt: Attempt, subject: Subject, current: tuple[str, ...], value: Any) -> None:
    references = meant(attempt, value, ())
    if references is UNSET:
        return
    arns = [await policy_arn(attempt, subject.account, one, subject.where) for one in references]
    for arn in current:
        if arn not in arns:
            await subject.change(
                attempt, f"Detach{subject.word}Policy", {"PolicyArn": arn}, "-", f"attached policy {arn}"
            )
    for arn in arns:
        if arn not in current:
            await subject.change(
                attempt, f"Attach{subject.word}Policy", {"PolicyArn": arn}, "+", f"attached policy {arn}"
            )


async def settle_inline(attempt: Attempt, subject: Subject, current: dict[str, str], value: Any) -> None:
    documents: Any = meant(attempt, value, {})
    if documents is UNSET:
        return
    for name in current:
        if name not in documents:
            await subject.change(
                attempt, f"Delete{subject.word}Policy", {"PolicyName": name}, "-", f"inline policy {name}"
            )
    for name, document in documents.items():
        if name not in current or not is_same_document(current[name], document):
            await subject.change(
                attempt,
                f"Put{subject.word}Policy",
                {"PolicyName": name, "PolicyDocument": document.text},
                "~" if name in current else "+",
                f"inline policy {name}",
                document,
            )


def is_same_document(text: str, document: Document) -> bool:
    """Whether two texts are the same JSON; what is no JSON equals only itself."""
    try:
        return text == document.text or bool(json.loads(text) == json.loads(document.text))
    except ValueError:
        return False
