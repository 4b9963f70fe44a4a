"""Journal records of changes by commands, in the same journal and form as those of requests."""

import getpass
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

import msgspec

from broker import app
from broker.access.caller import root_caller
from broker.app import Broker, clock, entropy
from broker.audit.event import Event, UserIdentity, begin_event, shortened, uuid_text
from broker.audit.journal import Journal, JournalUnavailable
from broker.commands.refusing import NoAnswer
from broker.commands.remote import SocketPeer, current_remote
from broker.config import Audit
from broker.credentials.access_keys import NewKey, delete_access_key
from broker.storage.engine import Conflict, EngineUnavailable, OutcomeUnknown
from broker.storage.store import Transaction

T = TypeVar("T")

SOURCE_ADDRESS = "127.0.0.1"


def command_event(
    command: str, account: str, action: str, parameters: dict[str, Any] | None, peer: SocketPeer | None = None
) -> Event:
    """The event of a change that `command` makes as root of `account`; "" where the change belongs to no account.

    `action` is an AWS operation (`iam:CreateUser`), or `broker:…` for a change that no AWS operation makes.
    `parameters` must hold no secret. `peer` is who asks at the admin socket; without it, the one whose command runs.
    """
    remote = current_remote()
    peer = peer or (remote.peer if remote is not None else None)
    operator = peer.name if peer is not None else _operator()
    service, _, name = action.partition(":")
    random = entropy(32)
    event = begin_event(
        clock(),
        uuid_text(random[:16]),
        SOURCE_ADDRESS,
        f"broker {command}",
        random[16:],
    )
    event.event_source = f"{service}.amazonaws.com" if service != "broker" else service
    event.event_name = name
    event.event_type = "AwsApiCall" if service != "broker" else "BrokerCommand"
    event.aws_region = "us-east-1"
    event.request_parameters = parameters
    event.additional_event_data = {
        "command": command,
        "operatingSystemUser": operator,
        **({"adminSocket": {"pid": peer.pid, "uid": peer.uid}} if peer is not None else {}),
    }
    event.user_identity = UserIdentity(type="Operator", user_name=operator)
    if account:
        event.user_identity = root_caller(account).identity
        event.recipient_account_id = account
    return event


@contextmanager
def open_journal(settings: Audit) -> Iterator[Journal]:
    """The journal, opened before anything is changed, so that no change goes without a record. Raises OSError."""
    journal = app.open_journal(settings)
    try:
        yield journal
    finally:
        journal.close()


async def transact_recorded(
    broker: Broker,
    work: Callable[[Transaction], Awaitable[T]],
    events_of: Callable[[T], Sequence[Event]],
) -> T:
    """Run `work`, write its events to the journal, then commit. Raises NoAnswer without a journal.

    Where an attempt is not committed completely, its events are written once more, with an error.
    """
    ahead: list[Event] = []
    with open_journal(broker.settings.audit) as journal:

        def withdraw(code: str, why: str, outcome: str = "") -> None:
            for event in ahead:
                journal.write(_failed(event, code, why, outcome))
            ahead.clear()

        async def recorded(store: Transaction) -> T:
            withdraw("ConcurrentModification", "others changed the same records meanwhile: retried")
            answer = await work(store)
            events = events_of(answer)
            journal.write_ahead(events)
            ahead.extend(events)
            journal.sync()
            return answer

        try:
            return await broker.store.transact(recorded)
        except JournalUnavailable as error:
            raise NoAnswer(f"nothing was changed: the journal cannot be written: {error}") from None
        except BaseException as error:
            outcome = "unknown" if isinstance(error, OutcomeUnknown) else ""
            with suppress(JournalUnavailable):  # the journal reports this when it is closed
                withdraw("ServiceUnavailable", str(error) or type(error).__name__, outcome)
            raise


def _failed(event: Event, code: str, why: str, outcome: str) -> Event:
    data = {**(event.additional_event_data or {}), **({"outcome": outcome} if outcome else {})}
    return msgspec.structs.replace(
        event,
        event_id=uuid_text(entropy(16)),
        error_code=code,
        error_message=shortened(why),
        additional_event_data=data,
    )


async def take_back_keys(broker: Broker, command: str, keys: Sequence[NewKey]) -> list[NewKey]:
    """Delete those of `keys` that exist, whose secrets are lost; returns the deleted keys."""

    async def work(store: Transaction) -> list[NewKey]:
        return [key for key in keys if await delete_access_key(store, key.account, key.access_key_id)]

    with open_journal(broker.settings.audit) as journal:
        deleted = await broker.store.transact(work)
        for key in deleted:
            named = {"userName": key.user} if key.user else {}
            parameters = {**named, "accessKeyId": key.access_key_id}
            # The journal reports the failure when it is closed; the key must be deleted in any case.
            with suppress(JournalUnavailable):
                journal.write(command_event(command, key.account, "iam:DeleteAccessKey", parameters))
    return deleted


async def take_back_committed_keys(broker: Broker, command: str, keys: Sequence[NewKey]) -> None:
    """Delete the keys of a commit that failed in part or has an unknown outcome; prints what became of them."""
    named = ", ".join(key.access_key_id for key in keys)
    try:
        taken_back = await take_back_keys(broker, command, keys)
    except (EngineUnavailable, Conflict, OSError):
        print(
            f"the secrets of {named} are lost: delete those of these access keys that exist",
            file=sys.stderr,
        )
        return
    for key in taken_back:
        print(
            f"the access key {key.access_key_id} of {key.user or 'root'} in {key.account} was taken back",
            file=sys.stderr,
        )


@cache
def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
