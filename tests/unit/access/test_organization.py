"""The condition keys that an organization fills, for those who belong to it."""

import pytest

from broker.access.organization import current, organization_keys, organization_path, policies_at
from broker.storage.organization_records import Organization, OrganizationalUnit

ORGANIZATION = Organization(
    organization_id="o-abcdefghij",
    management_account_id="111111111111",
    units={
        "r-ab12": OrganizationalUnit(parent=None),
        "ou-ab12-11111111": OrganizationalUnit(parent="r-ab12"),
    },
    accounts={
        "111111111111": OrganizationalUnit(parent="r-ab12"),
        "222222222222": OrganizationalUnit(parent="ou-ab12-11111111"),
    },
)


def test_a_path_goes_from_the_organization_down_to_the_accounts_unit() -> None:
    assert organization_path(ORGANIZATION, "222222222222") == "o-abcdefghij/r-ab12/ou-ab12-11111111/"
    assert organization_path(ORGANIZATION, "111111111111") == "o-abcdefghij/r-ab12/"


def test_principal_and_resource_are_told_apart() -> None:
    keys = organization_keys(ORGANIZATION, "222222222222", "111111111111")
    assert keys["aws:principalorgid"] == keys["aws:resourceorgid"] == ("o-abcdefghij",)
    assert keys["aws:principalorgmasteraccountid"] == ("111111111111",)
    assert keys["aws:principalorgpaths"] == ("o-abcdefghij/r-ab12/ou-ab12-11111111/",)
    assert keys["aws:resourceorgpaths"] == ("o-abcdefghij/r-ab12/",)


def test_an_account_outside_has_no_such_key() -> None:
    keys = organization_keys(ORGANIZATION, "333333333333", "222222222222")
    assert sorted(keys) == ["aws:resourceorgid", "aws:resourceorgpaths"]
    assert organization_keys(ORGANIZATION, "333333333333", "444444444444") == {}


def test_the_account_for_which_a_service_acts_is_told_apart_too() -> None:
    keys = organization_keys(ORGANIZATION, "", None, "222222222222")
    assert keys == {
        "aws:sourceorgid": ("o-abcdefghij",),
        "aws:sourceorgpaths": ("o-abcdefghij/r-ab12/ou-ab12-11111111/",),
    }
    assert organization_keys(ORGANIZATION, "", None, "333333333333") == {}


def test_units_that_are_their_own_parents_end_a_path() -> None:
    circle = Organization(
        organization_id="o-circle",
        management_account_id="111111111111",
        units={"a": OrganizationalUnit(parent="b"), "b": OrganizationalUnit(parent="a")},
        accounts={"222222222222": OrganizationalUnit(parent="a")},
    )
    assert organization_path(circle, "222222222222") == "o-circle/b/a/"


ALL = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["*"],"Resource":"*"}}'
GUARD = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}'
OTHER_GUARD = GUARD.replace("s3", "ec2")


def of_earlier_versions(*guards: str) -> Organization:
    """As it was stored before policies had ids: each unit has FullAWSAccess, and a policy of one name."""
    units = {
        f"ou-ab12-{number}": OrganizationalUnit(
            parent="r-ab12", service_control_policies={"FullAWSAccess": ALL, "guard": text}
        )
        for number, text in enumerate(guards)
    }
    return Organization(
        organization_id="o-abcdefghij",
        management_account_id="111111111111",
        units={
            "r-ab12": OrganizationalUnit(parent=None, service_control_policies={"FullAWSAccess": ALL}),
            **units,
        },
        features=("SERVICE_CONTROL_POLICY",),
    )


def test_a_record_of_an_earlier_version_shows_its_documents_as_policies_with_ids() -> None:
    seen = current(of_earlier_versions(GUARD, GUARD))
    ((policy_id, policy),) = seen.policies.items()
    assert (policy.name, policy.type, policy.content) == ("guard", "SERVICE_CONTROL_POLICY", GUARD)
    assert [seen.units[f"ou-ab12-{number}"].policies for number in (0, 1)] == [
        ("p-FullAWSAccess", policy_id)
    ] * 2
    assert seen.units["r-ab12"].policies == ("p-FullAWSAccess",)
    assert current(seen) is seen


def test_the_id_of_a_declared_policy_comes_from_its_name_alone() -> None:
    (before,), (after,) = (current(of_earlier_versions(text)).policies for text in (GUARD, OTHER_GUARD))
    assert before == after


def test_two_documents_under_one_name_are_two_policies() -> None:
    seen = current(of_earlier_versions(GUARD, OTHER_GUARD))
    assert {policy.name: policy.content for policy in seen.policies.values()} == {
        "guard@ou-ab12-0": GUARD,
        "guard@ou-ab12-1": OTHER_GUARD,
    }


def test_what_is_called_full_access_and_is_not_is_a_policy_of_the_organization() -> None:
    unit = OrganizationalUnit(parent=None, service_control_policies={"FullAWSAccess": GUARD})
    record = Organization(
        organization_id="o-abcdefghij", management_account_id="111111111111", units={"r-ab12": unit}
    )
    (policy,) = current(record).policies.values()
    assert (policy.name, policy.content) == ("FullAWSAccess", GUARD)


def test_full_access_to_resources_is_at_every_level_and_in_no_record() -> None:
    unit = OrganizationalUnit(parent=None)
    ((policy_id, policy),) = policies_at(ORGANIZATION, unit, "RESOURCE_CONTROL_POLICY")
    assert (policy_id, policy.name) == ("p-RCPFullAWSAccess", "RCPFullAWSAccess")
    assert policies_at(ORGANIZATION, unit, "SERVICE_CONTROL_POLICY") == []


def test_a_policy_that_is_attached_and_does_not_exist_is_never_skipped() -> None:
    with pytest.raises(KeyError):
        policies_at(
            ORGANIZATION, OrganizationalUnit(parent=None, policies=("p-gone",)), "SERVICE_CONTROL_POLICY"
        )
