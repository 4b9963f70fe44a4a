"""An entity in its other forms: what `broker apply` makes it of, and the commands of the AWS CLI that create it.

What is shown is read by the operations of IAM, as the person; a part that may not be read makes the whole refused, for
the lists of a declaration are complete, and one with a gap would remove what it does not name. Credentials are not
part of it. The managed policies and groups of the account that the entity names are declared with it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from shlex import quote
from typing import Any

import msgspec

from broker.names.arn import parse_arn
from broker.portal.console.editor import indented
from broker.yaml_text import as_yaml

Perform = Callable[[str, Mapping[str, str]], Awaitable[Any]]
Values = dict[str, Any]
_ALL = {"MaxItems": "1000"}
_NOTHING: Mapping[str, str] = {}


class EntityForms(msgspec.Struct, frozen=True):
    """`name` is the entity's, `arn` its ARN."""

    name: str
    arn: str
    declaration: str
    commands: str


async def forms_of_user(perform: Perform, name: str) -> EntityForms:
    named = {"UserName": name}
    user = (await perform("GetUser", named)).user
    found = await _PermissionForms.of(perform, parse_arn(user.arn).account, "User", named)
    groups = [one.group_name for one in (await perform("ListGroupsForUser", {**named, **_ALL})).groups]
    boundary = _boundary_of(user)
    own: Values = {**_path(user.path), **_tags(user.tags)}
    if boundary:
        own["permissions_boundary"] = await found.refer_to(perform, boundary)
    if groups:
        own["groups"] = groups
    own |= found.permissions
    more = {"groups": dict.fromkeys(groups)} if groups else {}
    create = _command(
        "create-user", named, _path_option(user.path), _boundary_option(boundary), _tag_option(user.tags)
    )
    joined = [_command("add-user-to-group", named, {"group-name": one}) for one in groups]
    return found.forms(user.user_name, user.arn, {**more, "users": {user.user_name: own}}, [create], joined)


async def forms_of_group(perform: Perform, name: str) -> EntityForms:
    named = {"GroupName": name}
    group = (await perform("GetGroup", named)).group
    found = await _PermissionForms.of(perform, parse_arn(group.arn).account, "Group", named)
    own: Values = {**_path(group.path), **found.permissions}
    create = _command("create-group", named, _path_option(group.path))
    return found.forms(group.group_name, group.arn, {"groups": {group.group_name: own or None}}, [create])


async def forms_of_role(perform: Perform, name: str) -> EntityForms:
    named = {"RoleName": name}
    role = (await perform("GetRole", named)).role
    found = await _PermissionForms.of(perform, parse_arn(role.arn).account, "Role", named)
    trust, boundary = role.assume_role_policy_document or "", _boundary_of(role)
    own: Values = {**_path(role.path)}
    if role.description:
        own["description"] = role.description
    own["max_session_duration"] = role.max_session_duration or 3600
    own |= _tags(role.tags)
    if boundary:
        own["permissions_boundary"] = await found.refer_to(perform, boundary)
    own["trust_policy"] = indented(trust)
    own |= found.permissions
    create = _command(
        "create-role",
        named,
        _path_option(role.path),
        {"description": role.description} if role.description else {},
        {"max-session-duration": str(role.max_session_duration or 3600)},
        {"assume-role-policy-document": _compact(trust)},
        _boundary_option(boundary),
        _tag_option(role.tags),
    )
    return found.forms(role.role_name, role.arn, {"roles": {role.role_name: own}}, [create])


async def forms_of_policy(perform: Perform, arn: str) -> EntityForms:
    account_id = parse_arn(arn).account
    policy, document = await _policy(perform, arn)
    found = _PermissionForms(account_id, {}, [], {})
    create = _command(
        "create-policy",
        {"PolicyName": policy.policy_name},
        _path_option(policy.path),
        {"description": policy.description} if policy.description else {},
        {"policy-document": _compact(document)},
        _tag_option(policy.tags),
    )
    return found.forms(
        policy.policy_name,
        policy.arn,
        {"policies": {policy.policy_name: _declared(policy, document)}},
        [create],
    )


class _PermissionForms:
    """What an entity has of policies: its properties of a declaration, their commands, and the policies they name."""

    def __init__(self, account_id: str, permissions: Values, commands: list[str], policies: Values) -> None:
        self.account_id = account_id
        self.permissions = permissions
        self.commands = commands
        self.policies = policies

    @classmethod
    async def of(
        cls, perform: Perform, account_id: str, noun: str, named: Mapping[str, str]
    ) -> "_PermissionForms":
        found = cls(account_id, {}, [], {})
        inline = await perform(f"List{noun}Policies", {**named, **_ALL})
        for one in inline.policy_names:
            policy = await perform(f"Get{noun}Policy", {**named, "PolicyName": one})
            found.permissions.setdefault("inline_policies", {})[one] = indented(policy.policy_document)
            put = {"policy-name": one, "policy-document": _compact(policy.policy_document)}
            found.commands.append(_command(f"put-{noun.lower()}-policy", named, put))
        attached = await perform(f"ListAttached{noun}Policies", {**named, **_ALL})
        for one in attached.attached_policies:
            reference = await found.refer_to(perform, one.policy_arn)
            found.permissions.setdefault("attached_policies", []).append(reference)
            attach = {"policy-arn": one.policy_arn}
            found.commands.append(_command(f"attach-{noun.lower()}-policy", named, attach))
        return found

    async def refer_to(self, perform: Perform, arn: str) -> str:
        """How a declaration names the policy; one of the account is declared, too."""
        if parse_arn(arn).account != self.account_id:
            return arn
        policy, document = await _policy(perform, arn)
        self.policies[policy.policy_name] = _declared(policy, document)
        return str(policy.policy_name)

    def forms(
        self, name: str, arn: str, kinds: Values, first: list[str], last: list[str] | None = None
    ) -> EntityForms:
        declared = {"policies": self.policies, **kinds} if self.policies else kinds
        return EntityForms(
            name,
            arn,
            as_yaml({"accounts": {self.account_id: declared}}),
            "\n".join([*first, *self.commands, *(last or [])]),
        )


async def _policy(perform: Perform, arn: str) -> tuple[Any, str]:
    """A managed policy and the text that is in force."""
    policy = (await perform("GetPolicy", {"PolicyArn": arn})).policy
    version = {"PolicyArn": arn, "VersionId": policy.default_version_id}
    return policy, str((await perform("GetPolicyVersion", version)).policy_version.document)


def _declared(policy: Any, document: str) -> Values:
    described = {"description": policy.description} if policy.description else {}
    return {**_path(policy.path), **described, **_tags(policy.tags), "document": indented(document)}


def _boundary_of(entity: Any) -> str:
    return (entity.permissions_boundary.permissions_boundary_arn or "") if entity.permissions_boundary else ""


def _path(path: str) -> Values:
    return {"path": path} if path and path != "/" else {}


def _tags(tags: Any) -> Values:
    return {"tags": {tag.key: tag.value for tag in tags}} if tags else {}


def _path_option(path: str) -> Mapping[str, str]:
    return {"path": path} if path and path != "/" else _NOTHING


def _boundary_option(arn: str) -> Mapping[str, str]:
    return {"permissions-boundary": arn} if arn else _NOTHING


def _tag_option(tags: Any) -> Mapping[str, str]:
    shown = [{"Key": tag.key, "Value": tag.value} for tag in tags]
    return {"tags": json.dumps(shown, ensure_ascii=False)} if shown else _NOTHING


def _compact(document: str) -> str:
    try:
        return json.dumps(json.loads(document), separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        return document


def _command(verb: str, named: Mapping[str, str], *options: Mapping[str, str]) -> str:
    """A line for a shell of POSIX; `named` is the member of a request that names the entity."""
    shown = {_dashed(member): text for member, text in named.items()}
    for more in options:
        shown.update(more)
    words = " ".join(f"--{option} {quote(text)}" for option, text in shown.items())
    return f"aws iam {verb} {words}"


def _dashed(member: str) -> str:
    """`UserName` as the AWS CLI spells it: `user-name`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in member).lstrip("-")
