"""`broker apply --strict`: no policy of a declaration may have errors or security warnings."""

from collections.abc import Collection, Iterator

from broker.commands.findings import WORDS
from broker.commands.refusing import CommandRefused, printable
from broker.declaration.declared import (
    Declaration,
    DeclaredAccount,
    DeclaredGroup,
    DeclaredRole,
    DeclaredUser,
    Document,
    value_or,
)
from broker.policy.validation import FindingType, ValidatedAs, ValidationFinding, validate_policy

_REFUSED = (FindingType.ERROR, FindingType.SECURITY_WARNING)
_Documents = Iterator[tuple[Document, ValidatedAs]]


def require_valid(declaration: Declaration, own_services: Collection[str]) -> None:
    """Raises CommandRefused, with a line for each error and security warning."""
    lines = [
        _line(document, finding)
        for document, validated_as in _documents(declaration)
        for finding in validate_policy(document.text, validated_as, own_services)
        if finding.type in _REFUSED
    ]
    if lines:
        raise CommandRefused("\n".join([*lines, "nothing was changed (--strict)"]))


def _documents(declaration: Declaration) -> _Documents:
    for account in declaration.accounts.values():
        yield from _documents_of(account)
    organization = value_or(declaration.organization, None)
    for units in (organization.units, organization.accounts) if organization is not None else ():
        for unit in units.values():
            yield from ((one, ValidatedAs.SCP) for one in unit.service_control_policies.values())
            yield from ((one, ValidatedAs.RCP) for one in unit.resource_control_policies.values())


def _documents_of(account: DeclaredAccount) -> _Documents:
    for policy in account.policies.values():
        yield policy.document, ValidatedAs.IDENTITY
    for role in account.roles.values():
        yield role.trust_policy, ValidatedAs.TRUST
    entities: tuple[DeclaredUser | DeclaredGroup | DeclaredRole, ...] = (
        *account.users.values(),
        *account.groups.values(),
        *account.roles.values(),
    )
    for entity in entities:
        for document in value_or(entity.inline_policies, {}).values():
            yield document, ValidatedAs.IDENTITY


def _line(document: Document, finding: ValidationFinding) -> str:
    """With the path in the document: its lines are not those of the declaration."""
    path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for _, at in finding.location.path)
    mend = f" Write: {finding.suggestion}" if finding.suggestion else ""
    text = f"{WORDS[finding.type]} {finding.code}: {finding.message}{mend}"
    return printable(f"{document.where}: {path.removeprefix('.') or 'the policy'}: {text}")
