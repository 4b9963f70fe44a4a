"""Which logins are cached, which are evicted, and for how long they are current."""

import pytest

from broker.access.caller import root_caller
from broker.access.logins import Login, LoginCache, recorded_login
from broker.names.secret import SecretKey
from broker.storage.records import Account, User
from broker.storage.store import ACCOUNTS, USERS

ACCOUNT = "111122223333"


def login(name):
    return Login(name, root_caller(ACCOUNT, name), SecretKey("a secret"))


async def test_a_login_in_use_outlives_thousands_that_are_used_once(store):
    logins = LoginCache(limit=10)
    hot = login("hot")
    logins.put(store.transaction(), hot)
    for number in range(5000):
        assert logins.get("hot") is hot
        logins.put(store.transaction(), login(f"once {number}"))


def user(name):
    return User(account_id=ACCOUNT, user_name=name, user_id="AIDA1", created_at=0)


@pytest.mark.parametrize(
    ("changed", "is_current"),
    [("its user", False), ("what is global", False), ("another user", True), ("another account", True)],
)
async def test_a_login_is_current_while_each_record_that_it_was_made_of_is(store, put, changed, is_current):
    transaction, logins = store.transaction(), LoginCache(limit=10)
    await put(USERS, ACCOUNT, user("alice"))

    async def make():
        await transaction.find(USERS, ACCOUNT, "alice")
        await transaction.find(ACCOUNTS, "", ACCOUNT)
        return login("key")

    made = await recorded_login(transaction, make)
    logins.put(transaction, made)
    assert await logins.is_current(store.transaction(), made)
    match changed:
        case "its user":
            await put(USERS, ACCOUNT, user("alice"))
        case "what is global":
            await put(ACCOUNTS, "", Account(account_id=ACCOUNT))
        case "another user":
            await put(USERS, ACCOUNT, user("bob"))
        case "another account":
            await put(USERS, "444455556666", user("alice"))
    assert await logins.is_current(store.transaction(), made) is is_current


async def test_a_login_that_is_replaced_is_no_longer_current(store):
    logins, first, second = LoginCache(limit=10), login("key"), login("key")
    logins.put(store.transaction(), first)
    logins.put(store.transaction(), second)
    assert not await logins.is_current(store.transaction(), first)
    assert await logins.is_current(store.transaction(), second)


def test_a_login_does_not_print_its_secret():
    assert "a secret" not in repr(login("one"))
