"""Which logins are cached, which are evicted, and for how long they are current."""

import pytest

from broker.access.caller import root_caller
from broker.access.logins import Login, LoginCache
from broker.names.secret import SecretKey
from broker.storage.engine import GLOBAL, account_partition
from broker.storage.records import Account, User
from broker.storage.store import ACCOUNTS, USERS

ACCOUNT = "111122223333"


def login(name, *partitions):
    return Login(name, partitions, root_caller(ACCOUNT, name), SecretKey("a secret"))


async def test_a_login_in_use_outlives_thousands_that_are_used_once(store):
    logins = LoginCache(limit=10)
    hot = login("hot")
    await logins.put(store.transaction(), hot)
    for number in range(5000):
        assert logins.get("hot") is hot
        await logins.put(store.transaction(), login(f"once {number}"))


@pytest.mark.parametrize(
    ("changed", "is_current"), [("own", False), ("global", False), ("another account", True)]
)
async def test_a_login_is_current_while_each_of_its_partitions_stands(store, put, changed, is_current):
    logins, made = LoginCache(limit=10), login("key", account_partition(ACCOUNT), GLOBAL)
    await logins.put(store.transaction(), made)
    assert await logins.is_current(store.transaction(), made)
    user = User(account_id=ACCOUNT, user_name="alice", user_id="AIDA1", created_at=0)
    match changed:
        case "own":
            await put(USERS, ACCOUNT, user)
        case "global":
            await put(ACCOUNTS, "", Account(account_id=ACCOUNT))
        case "another account":
            await put(USERS, "444455556666", user)
    assert await logins.is_current(store.transaction(), made) is is_current


async def test_a_login_that_is_replaced_is_no_longer_current(store):
    logins, first, second = LoginCache(limit=10), login("key"), login("key")
    await logins.put(store.transaction(), first)
    await logins.put(store.transaction(), second)
    assert not await logins.is_current(store.transaction(), first)
    assert await logins.is_current(store.transaction(), second)


def test_a_login_does_not_print_its_secret():
    assert "a secret" not in repr(login("one"))
