"""The organization that a file and the Organizations API make together."""

import pytest

from broker.declaration.declared import DeclaredOrganization, DeclaredOrganizationalUnit, Document
from broker.declaration.organization import declared_organization
from broker.declaration.source import DeclarationError
from broker.storage.organization_records import Organization, OrganizationalUnit, OrganizationPolicy

SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
NOW = 1_800_000_000
DENY = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}'
RESOURCE_DENY = DENY.replace('"Action"', '"Principal":"*","Action"')
OTHER = DENY.replace("s3", "ec2")


def unit(parent: str | None = None, **more: object) -> DeclaredOrganizationalUnit:
    documents = {
        key: {name: Document(text, "here") for name, text in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in more.items()
    }
    return DeclaredOrganizationalUnit(where="here", parent=parent, **documents)


def organization(**more: object) -> DeclaredOrganization:
    facts = {"organization_id": "o-1", "management_account_id": "1" * 12, "units": {"r-1": unit()}, **more}
    return DeclaredOrganization(where="here", **facts)


def applied(
    wanted: DeclaredOrganization, before: Organization | None = None, *, prune: bool = False
) -> Organization:
    return declared_organization(wanted, (SCP, RCP), before, NOW, prune=prune)


BY_API = Organization(
    organization_id="o-1",
    management_account_id="1" * 12,
    units={
        "r-1": OrganizationalUnit(
            parent=None, name="Root", policies=("p-FullAWSAccess", "p-own", "p-resource")
        ),
        "ou-1-api": OrganizationalUnit(parent="r-1", name="made by the API", policies=("p-FullAWSAccess",)),
    },
    accounts={"2" * 12: OrganizationalUnit(parent="ou-1-api", tags={"a": "b"}, is_invited=True)},
    features=(SCP, RCP),
    policies={
        "p-own": OrganizationPolicy(name="own", type=SCP, content=DENY, description="of the API"),
        "p-resource": OrganizationPolicy(name="resource", type=RCP, content=DENY),
        "p-unused": OrganizationPolicy(name="unused", type=SCP, content=DENY),
    },
    trusted_services={"sso.amazonaws.com": 1},
    delegated_administrators={"2" * 12: {"sso.amazonaws.com": 1}},
    closed_accounts={"3" * 12: 1},
    resource_policy=DENY,
)


def test_what_the_api_made_and_the_file_does_not_name_stays() -> None:
    assert applied(organization(), BY_API) == BY_API


def test_with_prune_units_and_accounts_that_the_file_does_not_name_go_and_closed_ones_stay_closed() -> None:
    pruned = applied(organization(), BY_API, prune=True)
    assert (list(pruned.units), pruned.accounts) == (["r-1"], {})
    assert pruned.closed_accounts == BY_API.closed_accounts


def test_declared_policies_of_a_type_are_all_that_a_unit_has_of_it() -> None:
    wanted = organization(units={"r-1": unit(service_control_policies={"guard": DENY})})
    root = applied(wanted, BY_API).units["r-1"]
    assert root.policies[0] == "p-resource" and len(root.policies) == 2
    assert applied(wanted, BY_API).policies["p-own"] == BY_API.policies["p-own"], (
        "it is detached, not deleted"
    )


def test_a_declared_name_means_the_policy_of_that_name() -> None:
    wanted = organization(units={"r-1": unit(service_control_policies={"own": OTHER})})
    changed = applied(wanted, BY_API)
    assert changed.policies["p-own"] == OrganizationPolicy(
        name="own", type=SCP, content=OTHER, description="of the API"
    )
    assert "p-own" in changed.units["r-1"].policies


def test_a_second_apply_changes_nothing() -> None:
    wanted = organization(
        units={"r-1": unit(service_control_policies={"guard": DENY}), "ou-1-b": unit("r-1", name="b")},
        accounts={"2" * 12: unit("ou-1-b", resource_control_policies={"guard": RESOURCE_DENY}, closed=True)},
    )
    once = applied(wanted)
    assert applied(wanted, once) == once
    assert len(once.policies) == 2, "one of each type"
    assert once.closed_accounts == {"2" * 12: NOW}
    assert once.units["ou-1-b"].name == "b"


def test_a_policy_that_a_file_declared_goes_when_no_file_declares_it_and_nothing_has_it() -> None:
    once = applied(organization(units={"r-1": unit(service_control_policies={"guard": DENY})}))
    assert len(once.policies) == 1
    assert applied(organization(units={"r-1": unit(service_control_policies={})}), once).policies == {}


def test_a_closed_account_is_opened_by_the_file_alone() -> None:
    opened = organization(accounts={"3" * 12: unit("r-1", closed=False)})
    silent = organization(accounts={"3" * 12: unit("r-1")})
    assert applied(silent, BY_API).closed_accounts == {"3" * 12: 1}
    assert applied(opened, BY_API).closed_accounts == {}


def test_a_resource_control_policy_that_the_api_refuses_is_refused_in_a_file() -> None:
    everything = {"everything": RESOURCE_DENY.replace("s3:*", "*")}
    units = {"r-1": unit(resource_control_policies=everything)}
    with pytest.raises(DeclarationError, match=r"here: .* requirements of the specified policy type"):
        applied(organization(units=units))
