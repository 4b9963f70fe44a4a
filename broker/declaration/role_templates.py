"""Role templates, which no IAM operation creates: written as records. A change makes a new minor version."""

import json
import re

from msgspec.structs import replace

from broker.declaration.attempt import Attempt
from broker.declaration.declared import (
    DeclaredAccount,
    DeclaredRoleTemplate,
    DeclaredTemplateParameter,
    Document,
)
from broker.declaration.source import DeclarationError
from broker.iam.template_values import PARAMETER_TYPES, placeholders
from broker.names.ids import ROLE_TEMPLATE_VERSION, UNIQUE_ID_ENTROPY, unique_id
from broker.storage.store import ROLE_TEMPLATES
from broker.storage.template_records import RoleTemplate, RoleTemplateVersion, TemplateParameter

MOST_VERSIONS = 20  # the oldest is forgotten; roles that were made of it remain

_is_name = re.compile(r"[A-Za-z0-9_+=,.\-]{1,128}").fullmatch
# What is not part of a version's content.
_IDENTITY = ("version_id", "minor_version", "created_at")


async def settle_role_templates(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    for name, template in wanted.role_templates.items():
        await _settle(attempt, account, name, template)


async def prune_role_templates(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    named = {name.lower() for name in wanted.role_templates}
    for template in await attempt.store.scan(ROLE_TEMPLATES, account):
        if template.template_name.lower() not in named:
            attempt.store.delete(ROLE_TEMPLATES, account, template.template_name)
            text = f"role template {template.template_name}"
            attempt.note(account, "broker:DeleteRoleTemplate", "-", text)


async def _settle(attempt: Attempt, account: str, name: str, wanted: DeclaredRoleTemplate) -> None:
    _check(name, wanted)
    current = await attempt.store.find(ROLE_TEMPLATES, account, name)
    versions = _versions(attempt, current, wanted)
    after = RoleTemplate(
        account_id=account,
        template_name=name,
        description=wanted.description,
        is_enabled=wanted.enabled,
        versions=versions,
    )
    if current != after:
        text = f"role template {name}: minor version {versions[-1].minor_version}"
        attempt.put(account, ROLE_TEMPLATES, after, "~" if current else "+", text)


def _versions(
    attempt: Attempt, current: RoleTemplate | None, wanted: DeclaredRoleTemplate
) -> tuple[RoleTemplateVersion, ...]:
    """The present versions, and a new one where the last is not what is wanted."""
    before = current.versions if current is not None else ()
    version = RoleTemplateVersion(
        version_id=unique_id(ROLE_TEMPLATE_VERSION, attempt.means.entropy(UNIQUE_ID_ENTROPY)),
        minor_version=before[-1].minor_version + 1 if before else 1,
        created_at=attempt.now,
        role_name=wanted.role_name,
        role_path=wanted.role_path,
        role_description=wanted.role_description,
        trust_policy=wanted.trust_policy.text,
        inline_policies={name: document.text for name, document in wanted.inline_policies.items()},
        attached_policies=wanted.attached_policies,
        permissions_boundary=wanted.permissions_boundary,
        parameters=tuple(_parameter(name, one) for name, one in wanted.parameters.items()),
        tags=wanted.tags,
        max_session_duration=wanted.max_session_duration,
    )
    if before and _content(before[-1]) == _content(version):
        return before
    return (*before, version)[-MOST_VERSIONS:]


def _content(version: RoleTemplateVersion) -> RoleTemplateVersion:
    return replace(version, **{name: type(getattr(version, name))() for name in _IDENTITY})


def _parameter(name: str, wanted: DeclaredTemplateParameter) -> TemplateParameter:
    return TemplateParameter(
        name=name,
        type=wanted.type,
        description=wanted.description,
        is_required=wanted.required,
        default_value=wanted.default,
    )


def _check(name: str, wanted: DeclaredRoleTemplate) -> None:
    """Raises DeclarationError for a template of which no role could be made."""
    if not _is_name(name):
        raise DeclarationError(f"{wanted.where}: a template's name has letters, digits and _+=,.- only")
    for parameter in wanted.parameters.values():
        if parameter.type not in PARAMETER_TYPES:
            raise DeclarationError(f"{parameter.where}: type is one of {', '.join(PARAMETER_TYPES)}")
    texts = [wanted.role_name, wanted.role_path, wanted.role_description or ""]
    texts += [text for pair in wanted.tags.items() for text in pair]
    for text in texts:
        _check_places(wanted, text, wanted.where)
    for document in (wanted.trust_policy, *wanted.inline_policies.values()):
        _check_document(wanted, document)


def _check_document(wanted: DeclaredRoleTemplate, document: Document) -> None:
    try:
        json.loads(document.text)
    except ValueError as error:
        raise DeclarationError(f"{document.where}: this is no JSON: {error}") from None
    _check_places(wanted, document.text, document.where)


def _check_places(wanted: DeclaredRoleTemplate, text: str, where: str) -> None:
    for name in placeholders(text):
        if name not in wanted.parameters:
            raise DeclarationError(f"{where}: there is no parameter {name}; declare it in parameters")
