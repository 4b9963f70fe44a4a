"""Which identity the logins of a request prove: the law of `linking.py`."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from broker.errors import Refusal
from broker.identity_pools.linking import identity_of, linked, require_guests, require_identity
from broker.identity_pools.logins import ProvenLogin
from broker.storage.identity_pool_records import IdentityPoolRecord, PoolIdentity

POOL = IdentityPoolRecord(account_id="1", region="r", pool_id="r:1", pool_name="app")
OPEN = replace(POOL, allow_unauthenticated=True)
MINE = PoolIdentity(
    identity_id="mine", pool_id="r:1", account_id="1", logins={"one": "alice"}, created_at=0, modified_at=0
)
NOBODYS = replace(MINE, logins={})
DENIED, CONFLICT = "NotAuthorizedException", "ResourceConflictException"


def login(provider: str, subject: str = "alice") -> ProvenLogin:
    return ProvenLogin(provider, provider, subject, "web", {}, "use", 0.0)


def refused(*arguments: object) -> str:
    with pytest.raises(Refusal) as refusal:
        require_identity(*arguments)  # type: ignore[arg-type]
    return refusal.value.code


def test_one_of_its_logins_proves_an_identity() -> None:
    require_identity(POOL, MINE, [login("one")], ["mine"])
    require_identity(POOL, MINE, [login("one"), login("two")], ["mine", None])


def test_logins_of_others_prove_nothing() -> None:
    assert refused(OPEN, MINE, [login("one", "bob")], ["another"]) == DENIED
    assert refused(OPEN, MINE, [login("one", "bob")], [None]) == DENIED
    assert refused(OPEN, MINE, [], []) == DENIED
    assert refused(OPEN, MINE, [login("one"), login("two")], ["mine", "another"]) == CONFLICT
    assert refused(OPEN, NOBODYS, [login("one")], ["another"]) == DENIED


def test_a_guest_is_one_only_where_the_pool_has_guests() -> None:
    require_identity(OPEN, NOBODYS, [], [])
    require_guests(OPEN)
    assert refused(POOL, NOBODYS, [], []) == DENIED
    with pytest.raises(Refusal, match="Unauthenticated access is not supported"):
        require_guests(POOL)


def test_the_first_login_of_a_guest_may_be_new_only() -> None:
    require_identity(POOL, NOBODYS, [login("one")], [None])


@pytest.mark.parametrize("logins", [[], [login("one")]])
def test_a_disabled_identity_is_nobodys(logins: list[ProvenLogin]) -> None:
    disabled = replace(NOBODYS, is_disabled=True)
    assert refused(OPEN, disabled, logins, [None] * len(logins)) == DENIED


def test_an_identity_has_one_subject_of_each_provider() -> None:
    assert linked(MINE, [login("one"), login("two", "a2")]) == {"one": "alice", "two": "a2"}
    with pytest.raises(Refusal, match="Logins don't match"):
        linked(MINE, [login("one", "bob"), login("two")])


def test_a_user_who_was_merged_into_an_identity_is_linked_already() -> None:
    both = replace(MINE, further_subjects={"one": ("bob",)})
    assert linked(both, [login("one", "bob"), login("two", "a2")]) == {"one": "alice", "two": "a2"}
    with pytest.raises(Refusal, match="Logins don't match"):
        linked(both, [login("one", "carol")])


@given(some.lists(some.sampled_from([None, "a", "b", "c"]), max_size=6))
def test_logins_are_of_one_identity_or_refused(owners: list[str | None]) -> None:
    known = set(owners) - {None}
    if len(known) > 1:
        with pytest.raises(Refusal) as refusal:
            identity_of(owners)
        assert refusal.value.code == CONFLICT
    else:
        assert {identity_of(owners)} - {None} == known
