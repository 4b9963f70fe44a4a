"""The condition keys that an organization fills, for those who belong to it."""

from broker.access.organization import organization_keys, organization_path
from broker.storage.records import Organization, OrganizationalUnit

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


def test_units_that_are_their_own_parents_end_a_path() -> None:
    circle = Organization(
        organization_id="o-circle",
        management_account_id="111111111111",
        units={"a": OrganizationalUnit(parent="b"), "b": OrganizationalUnit(parent="a")},
        accounts={"222222222222": OrganizationalUnit(parent="a")},
    )
    assert organization_path(circle, "222222222222") == "o-circle/b/a/"
