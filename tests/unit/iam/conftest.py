"""A real store, a real gate, and `iam(...)`: one operation performed as it is behind the wire."""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import broker.iam
import broker.simulator  # noqa: F401  # rooms declare their operations
from broker.access.caller import Caller, root_caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.library import PolicyLibrary
from broker.errors import Refusal
from broker.names import principal
from broker.operation import OPERATIONS, Call, Quotas, perform
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import new_keyring
from broker.storage.engine import EngineUnavailable, Revision
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import USERS, Store, Transaction
from tests.unit.cheap_passwords import cheap_passwords
from tests.unit.federating import no_federation

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"
NOW = 1_800_000_000.0


class Iam:
    """Performs operations, as root unless told otherwise. `now` is the clock of everything."""

    service = "iam"

    def __init__(self, store: Store) -> None:
        self.store = store
        keyring = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
        self.gate = Gate(PolicyLibrary(), lambda: keyring, secrets.token_bytes)
        self.quotas = Quotas()
        self.accounts_take_names = True
        self.federation = no_federation()
        self.passwords = cheap_passwords()
        self.service_principals: frozenset[str] = frozenset()
        self.now = NOW

    async def __call__(
        self, request: msgspec.Struct | str, *, user: str | None = None, caller: Caller | None = None
    ) -> Any:
        """Perform and commit; `request` is a request struct, or the name of an operation that takes none."""
        name = request if isinstance(request, str) else type(request).__name__.removesuffix("Request")
        body = None if isinstance(request, str) else request
        return await self.page(lambda call: perform(OPERATIONS[self.service, name], call, body), user, caller)

    async def page(
        self, work_of: Callable[[Call], Awaitable[Any]], user: str | None = None, caller: Caller | None = None
    ) -> Any:
        """Perform and commit what is no request on the wire."""
        facts = RequestFacts(
            now=self.now, request_id="11111111-2222-3333-4444-555555555555", source_ip="192.0.2.1"
        )

        async def work(transaction: Transaction) -> Any:
            who = caller or await self._caller(transaction, user)
            call = Call(
                caller=who,
                facts=facts,
                store=transaction,
                gate=self.gate,
                mint=None,  # type: ignore[arg-type]  # no IAM operation mints
                entropy=secrets.token_bytes,
                quotas=self.quotas,
                accounts_take_names=self.accounts_take_names,
                federation=self.federation,
                passwords=self.passwords,
                service_principals=self.service_principals,
            )
            return await work_of(call)

        return await self.store.transact(work)

    async def refused(self, request: msgspec.Struct | str, **who: Any) -> tuple[str, str]:
        """Code and message with which `request` is refused; fails where it is not, or changes something."""
        with pytest.raises(Refusal) as refusal:
            await self(request, **who)
        return refusal.value.code, refusal.value.message

    async def _caller(self, transaction: Transaction, user: str | None) -> Caller:
        if user is None:
            return root_caller(ACCOUNT)
        record = await transaction.find(USERS, ACCOUNT, user)
        assert record is not None, f"the test names a user {user} who is not there"
        who = principal.IamUser(ACCOUNT, record.user_name, record.user_id, record.path)
        return Caller(principal=who, account=ACCOUNT, user=record, tags=record.tags)


@pytest.fixture
async def iam(tmp_path: Path) -> AsyncIterator[Iam]:
    made: list[Iam] = []

    def clock() -> float:
        return made[0].now if made else NOW

    async with Store(SqliteEngine(tmp_path / "broker.sqlite", clock, os.urandom), clock) as store:
        made.append(Iam(store))
        yield made[0]


@pytest.fixture
def broken_off(iam: Iam, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, the second commit of each transaction fails: as if the process were killed before it."""
    commit, seen = iam.store.engine.commit, 0

    async def fail_at_the_second(*arguments: Any) -> Revision:
        nonlocal seen
        seen += 1
        if seen > 1:
            raise EngineUnavailable("killed")
        return await commit(*arguments)

    return lambda: monkeypatch.setattr(iam.store.engine, "commit", fail_at_the_second)


@pytest.fixture
async def store(iam: Iam) -> Store:
    return iam.store
