"""The organization as the gate reads it: its features, the policies at each level, and the condition keys of members.

"AWS global condition context keys": they are in a request only where the account concerned belongs to an organization.
A path names the organization, its root and the units down to the account's own, each followed by a slash.

What the Organizations API writes, and what `broker apply` declares, is one record. Earlier versions of the broker
stored the documents of policies with each unit, by name; `current` makes of them policies with ids, always the same
ones, so that the API shows them and the next change stores them in the new form.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from broker.access.caller import Keys
from broker.names.organizations import (
    FULL_AWS_ACCESS,
    RCP_FULL_AWS_ACCESS,
    RESOURCE_CONTROL_POLICY,
    SERVICE_CONTROL_POLICY,
    derived_policy_id,
)
from broker.storage.organization_records import Organization, OrganizationalUnit, OrganizationPolicy
from broker.storage.store import ORGANIZATION, Transaction

# The features that an organization may enable, by their names in AWS's APIs.
ROOT_CREDENTIALS_MANAGEMENT, ROOT_SESSIONS = "ROOT_CREDENTIALS_MANAGEMENT", "ROOT_SESSIONS"
FEATURES = (SERVICE_CONTROL_POLICY, RESOURCE_CONTROL_POLICY, ROOT_CREDENTIALS_MANAGEMENT, ROOT_SESSIONS)
POLICY_TYPES = (SERVICE_CONTROL_POLICY, RESOURCE_CONTROL_POLICY)

# AWS's own policies, which every organization has.
AWS_POLICIES: Mapping[str, OrganizationPolicy] = {
    FULL_AWS_ACCESS: OrganizationPolicy(
        name="FullAWSAccess",
        type=SERVICE_CONTROL_POLICY,
        description="Allows access to every operation",
        content='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
    ),
    RCP_FULL_AWS_ACCESS: OrganizationPolicy(
        name="RCPFullAWSAccess",
        type=RESOURCE_CONTROL_POLICY,
        description="Allows access to every resource",
        content='{"Version":"2012-10-17","Statement":'
        '[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}',
    ),
}

# A document that was declared for a target: type, name, text.
Declared = tuple[str, str, str]


async def find_organization(store: Transaction) -> Organization | None:
    """The organization in its present form; None where there is none."""
    stored = await store.find(ORGANIZATION, "", "")
    return None if stored is None else current(stored)


def find_policy(organization: Organization, policy_id: str) -> OrganizationPolicy | None:
    """A policy of the organization, or one of AWS's."""
    return organization.policies.get(policy_id) or AWS_POLICIES.get(policy_id)


def policies_at(
    organization: Organization, unit: OrganizationalUnit, policy_type: str
) -> list[tuple[str, OrganizationPolicy]]:
    """The policies of one type that are attached to `unit`, with their ids.

    RCPFullAWSAccess is attached everywhere and cannot be detached, so no record has it.

    Raises KeyError for one that does not exist: it may deny, so it is never skipped.
    """
    found = [(one, organization.policies.get(one) or AWS_POLICIES[one]) for one in unit.policies]
    chosen = [(one, policy) for one, policy in found if policy.type == policy_type]
    if policy_type == RESOURCE_CONTROL_POLICY:
        return [(RCP_FULL_AWS_ACCESS, AWS_POLICIES[RCP_FULL_AWS_ACCESS]), *chosen]
    return chosen


def is_member(organization: Organization, account: str) -> bool:
    return account in organization.accounts or account == organization.management_account_id


def current(organization: Organization) -> Organization:
    """The organization with policies that have ids; itself, where no unit has documents of its own."""
    nodes = {**organization.units, **organization.accounts}
    declared = {node_id: found for node_id, unit in nodes.items() if (found := _documents(unit))}
    if not declared:
        return organization
    policies, attached = identified_policies(organization.organization_id, declared)

    def changed(units: Mapping[str, OrganizationalUnit]) -> dict[str, OrganizationalUnit]:
        return {
            node_id: replace(
                unit,
                service_control_policies={},
                resource_control_policies={},
                policies=(*unit.policies, *attached.get(node_id, ())),
            )
            for node_id, unit in units.items()
        }

    return replace(
        organization,
        units=changed(organization.units),
        accounts=changed(organization.accounts),
        policies={**organization.policies, **policies},
    )


def _documents(unit: OrganizationalUnit) -> list[Declared]:
    return [
        (policy_type, name, text)
        for policy_type, documents in (
            (SERVICE_CONTROL_POLICY, unit.service_control_policies),
            (RESOURCE_CONTROL_POLICY, unit.resource_control_policies),
        )
        for name, text in documents.items()
    ]


def identified_policies(
    organization_id: str, declared: Mapping[str, Iterable[Declared]]
) -> tuple[dict[str, OrganizationPolicy], dict[str, tuple[str, ...]]]:
    """Policies by id, and the ids for each target, of documents that were declared for targets by name.

    One name with one text is one policy, wherever it is attached. Where targets have different texts under one name,
    each is a policy of its own, named `NAME@TARGET`: a name is unique in an organization.
    """
    texts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for documents in declared.values():
        for policy_type, name, text in documents:
            texts[policy_type, name].add(text)
    policies: dict[str, OrganizationPolicy] = {}
    attached: dict[str, tuple[str, ...]] = {}
    for target, documents in declared.items():
        ids = []
        for policy_type, name, text in documents:
            if _is_aws_policy(policy_type, name, text):
                ids += [FULL_AWS_ACCESS] if policy_type == SERVICE_CONTROL_POLICY else []
                continue
            unique = name if len(texts[policy_type, name]) == 1 else f"{name}@{target}"
            policy_id = derived_policy_id(organization_id, policy_type, unique)
            policies[policy_id] = OrganizationPolicy(name=unique, type=policy_type, content=text)
            ids.append(policy_id)
        attached[target] = tuple(dict.fromkeys(ids))
    return policies, attached


def _is_aws_policy(policy_type: str, name: str, text: str) -> bool:
    """Whether a declared document is FullAWSAccess or RCPFullAWSAccess, by its name and its meaning."""
    own = AWS_POLICIES[FULL_AWS_ACCESS if policy_type == SERVICE_CONTROL_POLICY else RCP_FULL_AWS_ACCESS]
    return name == own.name and _meaning(text) == _meaning(own.content) is not None


def _meaning(text: str) -> object:
    """The statements of a document, in which one member and a list of it are the same; None for no JSON."""
    try:
        document = json.loads(text)
        statements = document["Statement"]
        return [
            {
                key: value[0] if isinstance(value, list) and len(value) == 1 else value
                for key, value in statement.items()
                if key != "Sid"
            }
            for statement in (statements if isinstance(statements, list) else [statements])
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def organization_keys(
    organization: Organization,
    principal_account: str,
    resource_account: str | None,
    source_account: str = "",
) -> Keys:
    """The keys for this principal and this resource, and the account for which a service acts.

    Accounts that are unknown or not members have none.
    """
    keys: Keys = {}
    if is_member(organization, principal_account):
        keys["aws:principalorgid"] = (organization.organization_id,)
        keys["aws:principalorgmasteraccountid"] = (organization.management_account_id,)
        keys["aws:principalorgpaths"] = (organization_path(organization, principal_account),)
    if resource_account is not None and is_member(organization, resource_account):
        keys["aws:resourceorgid"] = (organization.organization_id,)
        keys["aws:resourceorgpaths"] = (organization_path(organization, resource_account),)
    if is_member(organization, source_account):
        keys["aws:sourceorgid"] = (organization.organization_id,)
        keys["aws:sourceorgpaths"] = (organization_path(organization, source_account),)
    return keys


def organization_path(organization: Organization, node_id: str) -> str:
    """`o-…/r-…/ou-…/`: from the organization to the unit that holds an account, or another unit."""
    names: list[str] = []
    unit = organization.accounts.get(node_id) or organization.units.get(node_id)
    while unit is not None and unit.parent is not None and unit.parent not in names:
        names.append(unit.parent)
        unit = organization.units.get(unit.parent)
    return "/".join([organization.organization_id, *reversed(names)]) + "/"
