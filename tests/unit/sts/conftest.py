"""A real store, gate and mint, and `sts(...)`: one operation performed as it is behind the wire."""

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import broker.sts  # noqa: F401  # declares the operations
from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.library import PolicyLibrary
from broker.credentials.mint import Mint
from broker.errors import Refusal
from broker.names import principal
from broker.operation import OPERATIONS, Call, Quotas, perform
from broker.sealing.claims import SessionClaims
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import new_keyring
from broker.sealing.session import inspect_session_token
from broker.storage.records import Role, User
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import Store, Transaction
from tests.unit.cheap_passwords import cheap_passwords
from tests.unit.federating import no_federation

ACCOUNT, OTHER = "111122223333", "444455556666"
NOW = 1_800_000_000.0

EVERYTHING = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'


def user(name: str = "alice", **facts: Any) -> User:
    """A user who may everything."""
    return User(
        account_id=ACCOUNT,
        user_name=name,
        user_id=f"AIDA{name.upper()}",
        created_at=0,
        inline_policies={"all": EVERYTHING},
        **facts,
    )


def role(name: str, trust: str, **facts: Any) -> Role:
    return Role(
        account_id=ACCOUNT,
        role_name=name,
        role_id=f"AROA{name.upper()}",
        created_at=0,
        assume_role_policy=trust,
        inline_policies={"all": EVERYTHING},
        **facts,
    )


def user_caller(record: User, **facts: Any) -> Caller:
    who = principal.IamUser(ACCOUNT, record.user_name, record.user_id, record.path)
    return Caller(principal=who, account=ACCOUNT, user=record, **facts)


def session_caller(record: Role, **facts: Any) -> Caller:
    who = principal.AssumedRole(ACCOUNT, record.role_name, record.role_id, "night", record.path)
    return Caller(principal=who, account=ACCOUNT, role=record, token_issued_at=int(NOW), **facts)


class Sts:
    """Performs operations and opens what they minted."""

    def __init__(self, store: Store) -> None:
        self.store = store
        ring = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
        self.ring = ring
        self._gate = Gate(PolicyLibrary(), lambda: self.ring, secrets.token_bytes)
        self._mint = Mint(lambda: self.ring, secrets.token_bytes)
        self.federation = no_federation(NOW)
        self.facts = RequestFacts(
            now=NOW, request_id="11111111-2222-4333-8444-555555555555", source_ip="192.0.2.1"
        )

    async def __call__(self, request: msgspec.Struct, caller: Caller | None = None) -> Any:
        """Perform it; without a caller it is one that nobody signs, whose caller the flow itself proves."""
        operation = OPERATIONS["sts", type(request).__name__.removesuffix("Request")]

        async def work(transaction: Transaction) -> Any:
            proven = caller
            if proven is None:
                assert operation.prove is not None
                proven = await operation.prove(self.federation, transaction, self.facts, request)
            return await perform(operation, self.call(transaction, proven), request)

        return await self.store.transact(work)

    def call(self, transaction: Transaction, caller: Caller) -> Call:
        return Call(
            caller=caller,
            facts=self.facts,
            store=transaction,
            gate=self._gate,
            mint=self._mint,
            entropy=secrets.token_bytes,
            quotas=Quotas(),
            federation=self.federation,
            passwords=cheap_passwords(),
        )

    async def refused(self, request: msgspec.Struct, caller: Caller | None = None) -> tuple[str, str]:
        """Code and message of the refusal, without its encoded half; its reason is in `reason`."""
        with pytest.raises(Refusal) as refusal:
            await self(request, caller)
        self.reason = refusal.value.reason
        return refusal.value.code, refusal.value.message.partition(" Encoded")[0]

    async def put(self, collection: Any, *records: Any) -> None:
        async def work(transaction: Transaction) -> None:
            for record in records:
                transaction.put(collection, ACCOUNT, record)

        await self.store.transact(work)

    def claims(self, answer: Any) -> SessionClaims:
        """What the token of an answer says."""
        return inspect_session_token(self.ring, answer.credentials.session_token)


@pytest.fixture
async def sts(tmp_path: Path) -> AsyncIterator[Sts]:
    async with Store(SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, os.urandom), lambda: NOW) as store:
        yield Sts(store)
