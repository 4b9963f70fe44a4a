"""The settings of an LDAP directory: patterns for user names, roles of groups, and errors."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.federation.directory_rules import (
    DirectoryRules,
    chosen_role,
    faults_of_directory,
    filter_for,
    is_provider_name,
    parse_mapped_role,
    user_name_in,
)
from broker.names.secret import SecretKey

ROLE = "arn:aws:iam::123456789012:role"
ADMINS, USERS, ALICE = "cn=admins,ou=groups", "cn=users,ou=groups", "uid=alice,ou=people"
MAPPED = DirectoryRules(
    roles=(
        f"{ADMINS} = {ROLE}/path/admin",
        f"CN=Users, OU=Groups={ROLE}/user",
        f"{ALICE}={ROLE}/a=b,c",
        f"*={ROLE}/any",
    )
)
GOOD: dict[str, Any] = {
    "servers": ("ldaps://ldap.example.com",),
    "provider": "ldap.example.com",
    "search_base": "dc=x",
}


@pytest.mark.parametrize(
    ("user_name", "filled"),
    [
        ("alice", "(|(uid=alice)(mail=alice))"),
        ("*", r"(|(uid=\2a)(mail=\2a))"),
        ("a)(uid=*", r"(|(uid=a\29\28uid\3d\2a)(mail=a\29\28uid\3d\2a))"),
        ("\\2a", r"(|(uid=\5c2a)(mail=\5c2a))"),
        ("é\0", r"(|(uid=\c3\a9\00)(mail=\c3\a9\00))"),
        ("%s%d", r"(|(uid=\25s\25d)(mail=\25s\25d))"),
    ],
)
def test_a_user_name_is_a_value_of_the_filter(user_name: str, filled: str) -> None:
    assert filter_for("(|(uid=%s)(mail=%s))", user_name=user_name) == filled


def test_a_filter_takes_a_distinguished_name() -> None:
    filled = filter_for("(&(member=%d)(x=%s))", user_name="a", name=r"uid=b\2cc,dc=d")
    assert filled == r"(&(member=uid\3db\5c2cc\2cdc\3dd)(x=a))"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_user_name_adds_a_special_character_to_the_filter(user_name: str) -> None:
    filled = filter_for("%s", user_name=user_name)
    assert not set(filled) & set("()*&|!=<>~: \0")


def test_a_user_name_is_a_value_of_the_distinguished_name() -> None:
    assert user_name_in("uid=%s,ou=people", "x,ou=admins+a=b") == r"uid=x\2cou\3dadmins\2ba\3db,ou=people"


def roles_of(names: list[str]) -> tuple[str, ...]:
    """Those of the mapping that may be asked for."""
    every = [one.role_arn for one in MAPPED.mapped_roles]
    return tuple(one for one in every if chosen_role(MAPPED, names, one) == one)


def test_groups_and_people_have_the_roles_of_the_mapping_in_its_order() -> None:
    assert roles_of(["uid=bob", "CN=USERS,OU=groups", "CN=Admins,OU=Groups"]) == (
        f"{ROLE}/path/admin",
        f"{ROLE}/user",
        f"{ROLE}/any",
    )
    assert roles_of([ALICE.upper()]) == (f"{ROLE}/a=b,c", f"{ROLE}/any")
    assert roles_of(["no name", "*"]) == (f"{ROLE}/any",)


def test_the_first_role_is_chosen_where_none_is_requested() -> None:
    assert chosen_role(MAPPED, [USERS, ADMINS], None) == f"{ROLE}/path/admin"
    assert chosen_role(DirectoryRules(roles=(f"{ADMINS}={ROLE}/admin",)), [USERS], None) is None


def test_only_a_role_of_the_mapping_may_be_requested() -> None:
    assert chosen_role(MAPPED, [USERS], f"{ROLE}/user") == f"{ROLE}/user"
    assert chosen_role(MAPPED, [USERS], f"{ROLE}/path/admin") is None


def test_without_a_mapping_any_role_may_be_requested() -> None:
    assert chosen_role(DirectoryRules(), [USERS], f"{ROLE}/anything") == f"{ROLE}/anything"
    assert chosen_role(DirectoryRules(), [USERS], None) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ADMINS,
        f"= {ROLE}/x",
        f"{ADMINS} = arn:aws:iam::123456789012:user/x",
        f"admins = {ROLE}/x",
        f"{ADMINS} {ROLE}/x",
    ],
)
def test_a_malformed_mapping_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_mapped_role(text)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("ldap.example.com", True),
        ("a.b", True),
        ("accounts.google.com", False),
        ("Ldap.example.com", False),
        ("ldap", False),
        ("", False),
        ("ldap.example.com\n", False),
        ("*.example.com", False),
        ("arn:aws:iam::123456789012:saml-provider/x", False),
    ],
)
def test_a_provider_is_called_as_a_trust_policy_can_call_it(name: str, good: bool) -> None:
    assert is_provider_name(name) is good


def test_no_directory_is_no_fault() -> None:
    assert list(faults_of_directory(DirectoryRules())) == []
    assert list(faults_of_directory(DirectoryRules(**GOOD))) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"servers": ()}, "servers is empty"),
        ({"servers": ("ldap.example.com",)}, "servers: 'ldap.example.com' is not ldaps://HOST"),
        ({"servers": ("ldapi://x",)}, "servers: 'ldapi://x'"),
        ({"servers": ("ldaps://u:p@x",)}, "servers:"),
        ({"provider": ""}, "provider: ''"),
        ({"search_base": ""}, "user_dn or search_base"),
        ({"user_dn": "uid=%s,dc=x"}, "user_dn or search_base"),
        ({"user_dn": "uid=x", "search_base": ""}, "user_dn: 'uid=x' has no %s"),
        ({"search_filter": "(uid=x)"}, "search_filter: '(uid=x)' has no %s"),
        ({"bind_dn": "cn=x"}, "bind_dn and bind_password belong together"),
        ({"bind_password": SecretKey("hidden")}, "bind_dn and bind_password belong together"),
        ({"name_attribute": ""}, "name_attribute cannot be empty"),
        (
            {"group_search_base": "dc=x", "group_search_filter": "(a=b)"},
            "group_search_filter: '(a=b)' has neither",
        ),
        ({"roles": ("x",)}, "roles: 'x' is not GROUP = ROLE"),
    ],
)
def test_invalid_settings_are_named(changed: dict[str, Any], fault: str) -> None:
    (found,) = faults_of_directory(DirectoryRules(**{**GOOD, **changed}))
    assert found.startswith(fault)
    assert "hidden" not in found
