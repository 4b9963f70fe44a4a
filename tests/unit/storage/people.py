"""Users to fill a store with."""

import msgspec

from broker.storage.records import User
from broker.storage.store import USERS, Store

HERE = "111111111111"
THERE = "222222222222"


def user(name: str, **changes: object) -> User:
    return msgspec.structs.replace(
        User(account_id=HERE, user_name=name, user_id=f"AIDA{name.upper()}", created_at=1), **changes
    )


async def write(store: Store, *users: User) -> None:
    """A write by another request."""
    transaction = store.transaction()
    for one in users:
        transaction.put(USERS, HERE, one)
    await transaction.commit()
