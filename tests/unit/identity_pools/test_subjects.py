"""Identities that are merged and unlinked: nobody's subject is lost, and none is two identities'."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from broker.errors import Refusal
from broker.identity_pools.subjects import MOST_LINKED, merged, subjects_of, users_of, with_user, without
from broker.storage.identity_pool_records import PoolIdentity

APP = "login.app"


def identity(name: str, *users: str, **logins: str) -> PoolIdentity:
    return PoolIdentity(
        identity_id=name,
        pool_id="r:1",
        account_id="1",
        logins={**({APP: users[0]} if users else {}), **logins},
        further_subjects={APP: users[1:]} if users[1:] else {},
        created_at=0,
        modified_at=0,
    )


def refused(source: PoolIdentity, destination: PoolIdentity) -> str:
    with pytest.raises(Refusal) as refusal:
        merged(source, destination, APP, 9)
    return refusal.value.code


def test_the_destination_has_all_subjects_and_the_source_is_nobodys() -> None:
    source, destination = merged(identity("a", "u1", oidc="alice"), identity("b", "u2"), APP, 9)
    assert (source.logins, source.further_subjects, source.is_disabled, source.modified_at) == (
        {},
        {},
        True,
        9,
    )
    assert destination.logins == {APP: "u2", "oidc": "alice"}
    assert destination.further_subjects == {APP: ("u1",)}
    assert (destination.identity_id, destination.is_disabled, destination.modified_at) == ("b", False, 9)


def test_users_with_different_logins_of_a_public_provider_are_not_merged() -> None:
    source, destination = identity("a", "u1", oidc="alice"), identity("b", "u2", oidc="bob")
    assert refused(source, destination) == "ResourceConflictException"


def test_users_with_too_many_logins_together_are_not_merged() -> None:
    half = MOST_LINKED // 2
    source = identity("a", *(f"s{number}" for number in range(half)))
    destination = identity("b", *(f"d{number}" for number in range(half)))
    assert len(users_of(merged(source, destination, APP, 9)[1], APP)) == MOST_LINKED
    assert refused(source, replace(destination, logins={**destination.logins, "oidc": "alice"})) == (
        "InvalidParameterException"
    )


def test_another_user_of_the_developer_provider_is_added() -> None:
    one = identity("a", "u1", oidc="alice")
    both = with_user(one, APP, "u2", 9)
    assert (both.logins, both.further_subjects) == ({APP: "u1", "oidc": "alice"}, {APP: ("u2",)})
    assert with_user(both, APP, "u2", 10) is both
    guest = identity("guest")
    assert with_user(guest, APP, "u1", 9) is guest
    full = identity("a", *(f"u{number}" for number in range(MOST_LINKED)))
    with pytest.raises(Refusal, match="at most 20 linked logins"):
        with_user(full, APP, "another", 9)


def test_an_identity_without_its_last_subject_is_nobodys() -> None:
    both = identity("a", "u1", "u2")
    one = without(both, [(APP, "u1")], 9)
    assert (one.logins, one.further_subjects, one.is_disabled) == ({APP: "u2"}, {}, False)
    assert without(one, [(APP, "u2")], 9).is_disabled
    assert not without(identity("guest"), [], 9).is_disabled


USERS = some.lists(some.sampled_from("abcdefgh"), min_size=1, max_size=4, unique=True)


@given(USERS, USERS, some.booleans())
def test_merging_keeps_every_subject_once(first: list[str], second: list[str], is_linked: bool) -> None:
    """Two identities share no subject: the destination's are those of both."""
    second = [user.upper() for user in second]
    logins = {"oidc": "alice"} if is_linked else {}
    source, destination = identity("a", *first, **logins), identity("b", *second)
    before = [*subjects_of(source), *subjects_of(destination)]
    nobody, after = merged(source, destination, APP, 9)
    assert sorted(subjects_of(after)) == sorted(before)
    assert (list(subjects_of(nobody)), nobody.is_disabled) == ([], True)
    assert without(after, before, 10).is_disabled
