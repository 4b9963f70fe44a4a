"""Make a store with many accounts and roles, for scripts/bench/scale.py. Only for tests: every secret in it can be
computed from this file.

Each account has a user `bench` with an access key, who may assume every role of the account and use IAM. Its roles
are called `role-00000` and so on; each has tags, a description, an inline policy and an attached one. Of four roles
two trust the account (one text for all of them), one trusts the user by ARN (bound to its unique id, as the API would
store it), and one trusts the account under an external id of its own, so that its trust policy is like no other.

Records are written through the sealed engine, an account a commit: about ten thousand roles a second.

    .venv-test/bin/python scripts/bench/populate.py --accounts 1000 --roles 100 /tmp/scale/broker.db
"""

import argparse
import asyncio
import json
import sys
import time
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec

from broker.app import clock, entropy, open_engine, rotation_schedule
from broker.app.master_key import create_master_key, find_master_key
from broker.config import Keys, StoreSettings
from broker.credentials.keyrings import Keyrings
from broker.names import ids
from broker.names.arn import iam_arn
from broker.names.secret import SecretKey
from broker.storage.collection import Collection
from broker.storage.collections import ACCESS_KEYS, ACCOUNTS, ROLES, USERS
from broker.storage.engine import GLOBAL, Engine, Write, account_partition
from broker.storage.records import AccessKey, Account, Record, Role, User
from broker.storage.sealed import SealedEngine

FIRST_ACCOUNT = 200_000_000_000
CREATED_AT = 1_750_000_000
USER = "bench"
ATTACHED = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"


class BenchRole(msgspec.Struct, frozen=True):
    """A role that the bench may assume, and its external id, if any."""

    account: str
    name: str
    external_id: str

    @property
    def arn(self) -> str:
        return iam_arn(self.account, f"role/{self.name}")


def account_id(index: int) -> str:
    return str(FIRST_ACCOUNT + index)


def bench_role(account_index: int, role_index: int) -> BenchRole:
    account = account_id(account_index)
    own = f"{account}-{role_index}" if role_index % 4 == 3 else ""
    return BenchRole(account, f"role-{role_index:05d}", own)


def access_key(account: str) -> tuple[str, str]:
    """Id and secret of the account's bench user."""
    digest = sha256(f"bench {account}".encode())
    return ids.access_key_id(ids.LONG_TERM_KEY, account, digest.digest()), digest.hexdigest()[:40]


def user_id(account: str) -> str:
    return ids.unique_id(ids.USER, sha256(account.encode()).digest())


def master_key_file(store: Path) -> Path:
    return store.with_name(store.name + ".master-key")


def account_records(index: int, roles: int) -> list[Write]:
    """All records in the partition of one account."""
    account = account_id(index)
    key_id, secret = access_key(account)
    may_assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": iam_arn(account, "role/*")}
    may_manage = {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}
    user = User(
        account_id=account,
        user_name=USER,
        user_id=user_id(account),
        created_at=CREATED_AT,
        inline_policies={"assume": policy_text(may_assume), "manage": policy_text(may_manage)},
        access_key_ids=(key_id,),
    )
    key = AccessKey(
        account_id=account,
        access_key_id=key_id,
        user_name=USER,
        secret=SecretKey(secret),
        created_at=CREATED_AT,
    )
    return [
        _write(USERS, user),
        _write(ACCESS_KEYS, key),
        *(_write(ROLES, _role(bench_role(index, number), number)) for number in range(roles)),
    ]


def _role(role: BenchRole, number: int) -> Role:
    user = iam_arn(role.account, f"user/{USER}")
    is_for_user = number % 4 == 2
    trusted = user if is_for_user else iam_arn(role.account, "root")
    trust = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
    if role.external_id:
        trust["Condition"] = {"StringEquals": {"sts:ExternalId": role.external_id}}
    reads = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::data-{role.name}", f"arn:aws:s3:::data-{role.name}/*"],
    }
    return Role(
        account_id=role.account,
        role_name=role.name,
        role_id=ids.unique_id(ids.ROLE, sha256(role.arn.encode()).digest()),
        created_at=CREATED_AT,
        assume_role_policy=policy_text(trust),
        description=f"Reads the data of {role.name}",
        tags={"team": f"team-{number % 7}", "stage": "production"},
        inline_policies={"read": policy_text(reads)},
        attached_policies=(ATTACHED,),
        trusted_ids={user: user_id(role.account)} if is_for_user else {},
    )


def trust(account_index: int) -> str:
    """A trust policy that trusts the account."""
    principal = {"AWS": iam_arn(account_id(account_index), "root")}
    return policy_text({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def policy_text(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _write(collection: Collection, record: Record) -> Write:  # type: ignore[type-arg]
    return Write(collection.stored_key(collection.key_of(record)), collection.encode(record))


async def populate(store: Path, accounts: int, roles: int) -> None:
    """Make the store at `store`, and its master key beside it; an existing store is not changed."""
    if store.exists():
        return
    store.parent.mkdir(parents=True, exist_ok=True)
    unfinished = store.with_name(store.name + ".unfinished")
    for left_over in store.parent.glob(unfinished.name + "*"):
        left_over.unlink()
    await fill(f"sqlite:{unfinished}", master_key_file(store), accounts, roles)
    unfinished.rename(store)
    unfinished.with_name(unfinished.name + "-lock").unlink()


async def fill(url: str, master_key: Path, accounts: int, roles: int) -> None:
    """Make the store at `url`, which has none yet; the master key is made where it is missing."""
    keys = Keys(master_key_file=str(master_key))
    if not master_key.exists():
        create_master_key(master_key, entropy)
    master = find_master_key(keys, {})
    assert master is not None
    engine = open_engine(StoreSettings(SecretKey(url)))
    try:
        keyrings = Keyrings(engine, master, clock, entropy, rotation_schedule(keys))
        await keyrings.load()
        await _fill(SealedEngine(engine, keyrings.storage, entropy), accounts, roles)
    finally:
        await engine.close()


async def _fill(engine: Engine, accounts: int, roles: int) -> None:
    began = time.monotonic()
    known = [Account(account_id=account_id(index), created_at=CREATED_AT) for index in range(accounts)]
    await engine.commit(GLOBAL, [_write(ACCOUNTS, account) for account in known], None)
    for index in range(accounts):
        await engine.commit(account_partition(account_id(index)), account_records(index, roles), None)
        if (index % 20 == 19 and sys.stderr.isatty()) or index + 1 == accounts:
            per_second = (index + 1) * roles / (time.monotonic() - began)
            line = f"{(index + 1) * roles:,} roles in {index + 1:,} accounts, {per_second:,.0f} a second "
            print(line, end="\r" if index + 1 < accounts else "\n", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path, help="the SQLite file to make; an existing one is not changed")
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--roles", type=int, default=100, help="in each account")
    chosen = parser.parse_args()
    asyncio.run(populate(chosen.store, chosen.accounts, chosen.roles))


if __name__ == "__main__":
    main()
