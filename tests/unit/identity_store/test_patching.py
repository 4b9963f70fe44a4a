"""PATCH of users and groups, in the forms that Entra ID, Okta and RFC 7644 have."""

from typing import Any

import pytest

from broker.errors import Refusal
from broker.identity_store.attributes import ENTERPRISE_SCHEMA, USER
from broker.identity_store.membership_changes import (
    MembersAdded,
    MembersMatchedRemoved,
    MembersRemoved,
    MembersReplaced,
    split_operations,
)
from broker.identity_store.patching import patched, read_operations

ADA: dict[str, Any] = {
    "id": "1",
    "userName": "ada",
    "active": True,
    "displayName": "Ada",
    "name": {"familyName": "Byron", "givenName": "Ada"},
    "emails": [{"value": "a@work", "type": "work", "primary": True}, {"value": "a@home", "type": "home"}],
    ENTERPRISE_SCHEMA: {"department": "Engines"},
}


def after(*operations: dict[str, Any]) -> dict[str, Any]:
    return patched(ADA, read_operations({"Operations": list(operations)}), USER)


def changed(*operations: dict[str, Any]) -> dict[str, Any]:
    """What is not as before; None for what is gone."""
    found = after(*operations)
    return {key: found.get(key) for key in {*ADA, *found} if ADA.get(key) != found.get(key)}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "replace", "path": "active", "value": False},
        {"op": "replace", "value": {"active": False}},
        {"op": "Add", "path": "Active", "value": "false"},
        {"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": False},
    ],
)
def test_all_ways_to_say_that_a_user_is_not_active_any_more(operation: dict[str, Any]) -> None:
    assert changed(operation) == {"active": False}


def test_a_value_is_chosen_by_a_filter() -> None:
    found = changed({"op": "Replace", "path": 'emails[type eq "work"].value', "value": "b@work"})
    assert found["emails"][0] == {"value": "b@work", "type": "work", "primary": True}
    assert found["emails"][1] == ADA["emails"][1]


def test_a_value_that_is_not_there_is_made_as_its_filter_describes_it() -> None:
    found = changed({"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+49"})
    assert found == {"phoneNumbers": [{"type": "mobile", "value": "+49"}]}


def test_values_without_a_path_are_attributes_or_paths() -> None:
    value = {
        "displayName": "A. L.",
        "name.familyName": "Lovelace",
        f"{ENTERPRISE_SCHEMA}:department": "Looms",
    }
    assert changed({"op": "Replace", "value": {**value, "unknown": 1}}) == {
        "displayName": "A. L.",
        "name": {"familyName": "Lovelace", "givenName": "Ada"},
        ENTERPRISE_SCHEMA: {"department": "Looms"},
    }


def test_what_is_removed_is_gone_and_nothing_else() -> None:
    assert changed({"op": "Remove", "path": "displayName"}) == {"displayName": None}
    assert changed({"op": "remove", "path": 'emails[type eq "home"]'}) == {"emails": ADA["emails"][:1]}
    assert changed({"op": "remove", "path": "name.givenName"}) == {"name": {"familyName": "Byron"}}
    assert changed({"op": "remove", "path": f"{ENTERPRISE_SCHEMA}:department"}) == {ENTERPRISE_SCHEMA: None}


def test_a_new_primary_value_takes_the_place_of_the_old_one() -> None:
    new = {"value": "c@work", "type": "other", "primary": True}
    found = changed({"op": "add", "path": "emails", "value": [new]})["emails"]
    assert [one.get("primary") for one in found] == [False, None, True]


def test_operations_are_done_in_their_order_or_not_at_all() -> None:
    before = dict(ADA)
    with pytest.raises(Refusal):
        after(
            {"op": "replace", "path": "displayName", "value": "x"},
            {"op": "replace", "path": "active", "value": "perhaps"},
        )
    assert before == ADA


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "replace", "path": "password", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "__class__", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'emails[type eq "x" or].value', "value": "x"}, "invalidFilter"),
        ({"op": "replace", "path": 'emails[type sw "x"].value', "value": "x"}, "noTarget"),
        ({"op": "replace", "path": "emails.value", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "active", "value": 1}, "invalidValue"),
        ({"op": "replace", "path": "displayName", "value": "x" * 2000}, "invalidValue"),
        ({"op": "replace", "path": "emails", "value": [{"value": "x"}] * 101}, "invalidValue"),
        ({"op": "replace", "path": "name", "value": 7}, "invalidValue"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "remove", "path": "id"}, "mutability"),
        ({"op": "replace", "value": "x"}, "invalidValue"),
        ({"op": "move", "path": "displayName"}, "invalidSyntax"),
        ({"op": "replace", "path": 7}, "invalidPath"),
        ("x", "invalidSyntax"),
    ],
)
def test_what_cannot_be_done_is_refused(operation: Any, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        after(operation)
    assert refused.value.code == code


def test_a_request_has_operations_and_not_too_many() -> None:
    for body in ({}, {"Operations": []}, {"Operations": "x"}):
        with pytest.raises(Refusal):
            read_operations(body)
    one = {"op": "replace", "path": "active", "value": True}
    with pytest.raises(Refusal) as refused:
        read_operations({"operations": [one] * 1001})
    assert refused.value.code == "invalidValue"


def test_an_id_that_is_repeated_stays_as_it_is() -> None:
    assert changed({"op": "replace", "value": {"id": "2", "schemas": [], "displayName": "x"}}) == {
        "displayName": "x"
    }


def members(*operations: dict[str, Any]) -> tuple[Any, ...]:
    own, changes = split_operations(read_operations({"Operations": list(operations)}))
    assert own == ()
    return changes


def test_members_are_added_and_removed_in_all_forms() -> None:
    value = [{"value": "1"}, {"value": "2"}, {"value": "1"}]
    assert members({"op": "Add", "path": "members", "value": value}) == (MembersAdded(("1", "2")),)
    assert members({"op": "add", "value": {"members": value}}) == (MembersAdded(("1", "2")),)
    assert members({"op": "Remove", "path": 'members[value eq "1"]'}) == (MembersRemoved(("1",)),)
    assert members({"op": "Remove", "path": "members", "value": value}) == (MembersRemoved(("1", "2")),)
    assert members({"op": "remove", "path": "members"}) == (MembersReplaced(()),)
    assert members({"op": "replace", "path": "members", "value": value}) == (MembersReplaced(("1", "2")),)
    assert members({"op": "replace", "path": "members", "value": []}) == (MembersReplaced(()),)
    (matched,) = members({"op": "remove", "path": 'members[value eq "1" or value eq "2"]'})
    assert isinstance(matched, MembersMatchedRemoved)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "members", "value": [7]},
        {"op": "add", "path": "members", "value": [{"display": "x"}]},
        {"op": "add", "path": 'members[value eq "1"]', "value": []},
        {"op": "replace", "path": "members.value", "value": "1"},
        {"op": "remove"},
    ],
)
def test_members_that_are_not_named_by_ids_are_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        members(operation)
