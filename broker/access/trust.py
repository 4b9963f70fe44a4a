"""Principals in trust policies: a name stands for the user or role that had it when the policy was stored.

"When you save a resource-based policy that includes a principal ARN, IAM transforms the ARN to the principal's unique
ID" (IAM User Guide, "AWS JSON policy elements: Principal", the note on IAM role principals and on IAM users). So a
user who is deleted and created again with the same name is not trusted by the roles that trusted the first one.

The record of a role has the text as written and, beside it, the unique id of each ARN in it. INVARIANT: judged is the
bound text. ARNs of accounts that are not on record here have no id; they are matched by name.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from broker.access.library import PolicyLibrary
from broker.names.arn import iam_arn, parse_arn
from broker.policy import PolicyKind, PolicySet, Source, SourceKind
from broker.storage.records import Role
from broker.storage.store import ACCOUNTS, ROLES, USERS, Transaction

_ACCOUNT = re.compile(r'"([0-9]{12})"')
_TRUST, _RESOURCE = PolicyKind.TRUST, SourceKind.RESOURCE
_PRINCIPAL_ELEMENTS = ("Principal", "NotPrincipal")


class BoundText(msgspec.Struct, frozen=True, gc=False):
    """A policy as written, and the unique id of each ARN in it that was bound."""

    text: str
    trusted_ids: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return _replaced(self.text, self.trusted_ids)


def bound_trust_policy(role: Role) -> str | BoundText:
    return bound_policy(role.assume_role_policy, role.trusted_ids)


def bound_policy(text: str, trusted_ids: Mapping[str, str]) -> str | BoundText:
    """The policy to judge by: in `str` of it, every bound ARN is replaced by its unique id."""
    return BoundText(text, tuple(trusted_ids.items())) if trusted_ids else text


def compiled_trust_policy(library: PolicyLibrary, role: Role) -> PolicySet:
    """The bound trust policy, compiled."""
    return library.compiled(trust_policy_source(role.arn), bound_trust_policy(role), _TRUST)


def shared_trust_policy(library: PolicyLibrary, role: Role) -> PolicySet:
    """The same, shared by all roles with this text; `attributed_to` makes it that of one role."""
    return library.shared(trust_policy_source(role.arn), bound_trust_policy(role), _TRUST)


def trust_policy_source(role_arn: str) -> Source:
    """The name of a role's trust policy in the reasons of a decision."""
    return Source(_RESOURCE, "AssumeRolePolicyDocument", role_arn)


async def find_role(store: Transaction, role_arn: str) -> Role | None:
    """The role with exactly this ARN."""
    try:
        arn = parse_arn(role_arn)
    except ValueError:
        return None
    role = await store.find(ROLES, arn.account, arn.resource.rpartition("/")[2])
    return role if role is not None and role.arn == role_arn else None


async def named_trust_policy(store: Transaction, role: Role) -> str:
    return await named_policy(store, role.assume_role_policy, role.trusted_ids)


async def named_policy(store: Transaction, text: str, trusted_ids: Mapping[str, str]) -> str:
    """The policy as written, but with the id of a principal that was deleted, and the new ARN of one renamed."""
    changed = {}
    for arn, unique_id in trusted_ids.items():
        if await find_unique_id(store, arn) != unique_id:
            changed[arn] = await _arn_now(store, parse_arn(arn).account, unique_id)
    return _replaced(text, tuple(changed.items())) if changed else text


async def shown_trust_policy(store: Transaction, role: Role) -> str:
    """The same as IAM shows it: AWS "silently converts" an account's number to the ARN of its root, in policies of
    every kind (terraform-provider-aws#1546). The meaning is the same.
    """
    text = await named_trust_policy(store, role)
    return (_cached_with_account_arns if len(text) <= _LONGEST_CACHED else _with_account_arns)(text)


def _with_account_arns(text: str) -> str:
    """`text` with the root's ARN for each principal that is an account number; unchanged where there is none."""
    accounts = sorted(set(_ACCOUNT.findall(text)))
    if not accounts:
        return text
    replaced = _replaced(text, tuple((account, iam_arn(account, "root")) for account in accounts))
    return text if json.loads(replaced) == json.loads(text) else replaced


# White space does not count towards IAM's limit, so a document may have a hundred kilobytes.
_LONGEST_CACHED = 8192  # characters
_cached_with_account_arns = lru_cache(maxsize=1024)(_with_account_arns)


async def find_unique_id(store: Transaction, arn: str) -> str | None:
    """The id of the user, the role or the role session (`AROA…:session`) that `arn` names; None if there is none."""
    parts = parse_arn(arn)
    kind, _, path_and_name = parts.resource.partition("/")
    if parts.service == "sts" and kind == "assumed-role":
        role_name, _, session_name = path_and_name.partition("/")
        role = await store.find(ROLES, parts.account, role_name)
        return f"{role.role_id}:{session_name}" if role is not None and role.role_name == role_name else None
    name = path_and_name.rpartition("/")[2]
    if parts.service == "iam" and kind == "user":
        user = await store.find(USERS, parts.account, name)
        return user.user_id if user is not None and user.arn == arn else None
    if parts.service == "iam" and kind == "role":
        role = await find_role(store, arn)
        return None if role is None else role.role_id
    return None


async def is_known_account(store: Transaction, account: str) -> bool:
    """Whether `account` is on record here, and so its users and roles are."""
    return await store.find(ACCOUNTS, "", account) is not None


async def _arn_now(store: Transaction, account: str, unique_id: str) -> str:
    """The present ARN of the user with this id (users can be renamed, roles cannot); the id where there is none."""
    users = await store.scan(USERS, account) if unique_id.startswith("AIDA") else []
    return next((user.arn for user in users if user.user_id == unique_id), unique_id)


def _replaced(text: str, names: tuple[tuple[str, str], ...]) -> str:
    """`text` with each name in its principal elements replaced."""
    document = json.loads(text)
    by_name = dict(names)
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in _PRINCIPAL_ELEMENTS:
            principals = statement.get(element)
            if isinstance(principals, dict):
                statement[element] = {
                    kind: _renamed(entries, by_name) for kind, entries in principals.items()
                }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _renamed(entries: Any, names: Mapping[str, str]) -> Any:
    if isinstance(entries, list):
        return [names.get(entry, entry) for entry in entries]
    return names.get(entries, entries)
