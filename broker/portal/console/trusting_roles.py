"""The roles that trust a provider: of those whom the person may list, by their trust policies."""

from collections.abc import Sequence
from typing import Any

import msgspec

from broker.errors import Refusal
from broker.policy import MalformedPolicy, PolicyKind, named_principals, parse_policy
from broker.portal.console.operations import attempt
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_MOST_READ = 5000
_READ_AT_ONCE = 1000


class RoleOfProvider(msgspec.Struct, frozen=True):
    """A role whose trust policy names the provider in an Allow."""

    name: str
    arn: str
    description: str


class RolesOfProvider(msgspec.Struct, frozen=True):
    """`is_complete`: every role of the account was looked at."""

    roles: tuple[RoleOfProvider, ...]
    is_complete: bool


async def find_trusting_roles(portal: Portal, visit: Visit, provider_arn: str) -> RolesOfProvider | Refusal:
    found: list[RoleOfProvider] = []
    marker = ""
    for _ in range(_MOST_READ // _READ_AT_ONCE):
        parameters = {"MaxItems": str(_READ_AT_ONCE), **({"Marker": marker} if marker else {})}
        listed = await attempt(portal, visit, "ListRoles", parameters)
        if isinstance(listed, Refusal):
            return listed
        found += roles_that_trust(listed.roles, provider_arn)
        if not listed.marker:
            return RolesOfProvider(tuple(found), True)
        marker = listed.marker
    return RolesOfProvider(tuple(found), False)


def roles_that_trust(roles: Sequence[Any], provider_arn: str) -> list[RoleOfProvider]:
    return [
        RoleOfProvider(role.role_name, role.arn, role.description or "")
        for role in roles
        if provider_arn in _federated(role.assume_role_policy_document or "")
    ]


def _federated(document: str) -> tuple[str, ...]:
    try:
        return named_principals(parse_policy(document, PolicyKind.TRUST)).federated
    except MalformedPolicy:
        return ()
