"""Properties that are policy documents: of managed policies, trust policies of roles, inline policies."""

import json
from collections.abc import Iterable
from typing import Any

from msgspec import UNSET

from broker.access.trust import named_trust_policy
from broker.declaration.attempt import Attempt
from broker.declaration.declared import Document
from broker.declaration.properties import NamedEntity, Parameters, Property, cleared, desired
from broker.storage.records import ManagedPolicy, Role

_TRUST_NO_ONE = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
)


def is_same(text: str, other: str) -> bool:
    """Whether two texts are the same JSON; invalid JSON equals only the identical text."""
    try:
        return text == other or bool(json.loads(text) == json.loads(other))
    except ValueError:
        return False


def stored_text(wanted: Document, current: str | None) -> str:
    """The text that is stored, where the file says the same in another form."""
    return current if current is not None and is_same(wanted.text, current) else wanted.text


async def _create_document(attempt: Attempt, target: NamedEntity, wanted: Any) -> Parameters:
    return {"PolicyDocument": wanted.document.text}


async def _settle_document(attempt: Attempt, target: NamedEntity, policy: ManagedPolicy, wanted: Any) -> None:
    if is_same(policy.document, wanted.document.text):
        return
    old = _old_versions(policy)
    if old and len(policy.versions) >= attempt.means.quotas.policy_versions:
        await target.change(attempt, "DeletePolicyVersion", {"VersionId": old[0]}, "-", f"version {old[0]}")
    version = {"PolicyDocument": wanted.document.text, "SetAsDefault": True}
    await target.change(attempt, "CreatePolicyVersion", version, "~", "document", wanted.document)


def _clear_versions(target: NamedEntity, policy: ManagedPolicy) -> Iterable[tuple[str, Parameters]]:
    return [("DeletePolicyVersion", {"VersionId": version}) for version in _old_versions(policy)]


def _old_versions(policy: ManagedPolicy) -> list[str]:
    """The versions that are not the default, the oldest first."""
    return [one.version_id for one in policy.versions if one.version_id != policy.default_version_id]


async def _create_trust_policy(attempt: Attempt, target: NamedEntity, wanted: Any) -> Parameters:
    text = _TRUST_NO_ONE if _must_wait(attempt, target) else wanted.trust_policy.text
    return {"AssumeRolePolicyDocument": text}


def _must_wait(attempt: Attempt, target: NamedEntity) -> bool:
    return (target.account, target.parameters["RoleName"]) in attempt.waiting_roles


async def _settle_trust_policy(attempt: Attempt, target: NamedEntity, role: Role, wanted: Any) -> None:
    # Compared with names, not with stored ids: a trusted user that was deleted and created again has a new id, and the
    # role has to trust the new user.
    if not is_same(await named_trust_policy(attempt.store, role), wanted.trust_policy.text):
        parameters = {**target.parameters, "PolicyDocument": wanted.trust_policy.text}
        text = "" if _must_wait(attempt, target) else f"{target.label}: trust policy"
        await attempt.perform(
            target.account, "UpdateAssumeRolePolicy", parameters, "~", text, wanted.trust_policy.where
        )


async def _settle_inline(attempt: Attempt, target: NamedEntity, record: Any, wanted: Any) -> None:
    current, documents = record.inline_policies, desired(attempt, wanted.inline_policies, {})
    if documents is UNSET:
        return
    for name in current:
        if name not in documents:
            operation = f"Delete{target.word}Policy"
            await target.change(attempt, operation, {"PolicyName": name}, "-", f"inline policy {name}")
    for name, document in documents.items():
        if name not in current or not is_same(current[name], document.text):
            parameters = {"PolicyName": name, "PolicyDocument": document.text}
            sign = "~" if name in current else "+"
            operation, text = f"Put{target.word}Policy", f"inline policy {name}"
            await target.change(attempt, operation, parameters, sign, text, document)


DOCUMENT = Property(_create_document, _settle_document, _clear_versions)
TRUST_POLICY = Property(_create_trust_policy, _settle_trust_policy)
INLINE_POLICIES = Property(
    settle=_settle_inline, clear=cleared("inline_policies", "Delete{}Policy", "PolicyName")
)
