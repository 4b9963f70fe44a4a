"""Journal records of what the command line changes: the same journal, the same form, beside those of requests."""

import getpass
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import msgspec

from broker import app
from broker.access.caller import root_caller
from broker.app import Broker, clock, entropy
from broker.audit.event import Event, UserIdentity, begin_event, shortened, uuid_text
from broker.audit.journal import Journal, JournalUnavailable
from broker.commands.refusing import CommandRefused
from broker.config import Audit
from broker.credentials.access_keys import NewKey, delete_access_key
from broker.storage.engine import Conflict, EngineUnavailable, OutcomeUnknown
from broker.storage.store import Transaction

T = TypeVar("T")

SOURCE_ADDRESS = "127.0.0.1"


def command_event(command: str, account: str, action: str, parameters: dict[str, Any] | None) -> Event:
    """A change that `command` makes as root of `account` ("" for what belongs to none): `iam:CreateUser`.

    `broker:…` are changes that no AWS operation makes. `parameters` must hold no secret.
    """
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
    event.additional_event_data = {"command": command, "operatingSystemUser": _operator()}
    event.user_identity = UserIdentity(type="Operator", user_name=_operator())
    if account:
        event.user_identity = root_caller(account).identity
        event.recipient_account_id = account
    return event


@contextmanager
def open_journal(settings: Audit) -> Iterator[Journal]:
    """The journal, opened before anything is changed: what could not be journalled is not done. Raises OSError."""
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
    """Commit what `work` does, once its records are in the journal. Raises CommandRefused where they cannot be.

    The records of an attempt that was not committed whole are followed by the same with an error.
    """
    ahead: list[Event] = []
    with open_journal(broker.settings.audit) as journal:

        def withdraw(code: str, why: str, outcome: str = "") -> None:
            for event in ahead:
                journal.write(_failed(event, code, why, outcome))
            ahead.clear()

        async def recorded(store: Transaction) -> T:
            withdraw("ConcurrentModification", "others changed the same records meanwhile: tried again")
            answer = await work(store)
            events = events_of(answer)
            journal.write_ahead(events)
            ahead.extend(events)
            journal.sync()
            return answer

        try:
            return await broker.store.transact(recorded)
        except JournalUnavailable as error:
            raise CommandRefused(f"nothing was changed: the journal cannot be written: {error}") from None
        except BaseException as error:
            outcome = "unknown" if isinstance(error, OutcomeUnknown) else ""
            with suppress(JournalUnavailable):  # it says so itself when it is closed
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
    """Delete those of `keys` that are there, and answer them: their secrets are lost."""

    async def work(store: Transaction) -> list[NewKey]:
        return [key for key in keys if await delete_access_key(store, key.account, key.access_key_id)]

    with open_journal(broker.settings.audit) as journal:
        deleted = await broker.store.transact(work)
        for key in deleted:
            named = {"userName": key.user} if key.user else {}
            parameters = {**named, "accessKeyId": key.access_key_id}
            # A journal that cannot be written says so when it is closed; the key has to go all the same.
            with suppress(JournalUnavailable):
                journal.write(command_event(command, key.account, "iam:DeleteAccessKey", parameters))
    return deleted


async def take_back_what_is_there(broker: Broker, command: str, keys: Sequence[NewKey]) -> None:
    """After a commit that failed, in part perhaps, or whose outcome cannot be known; says what became of the keys."""
    named = ", ".join(key.access_key_id for key in keys)
    try:
        taken_back = await take_back_keys(broker, command, keys)
    except (EngineUnavailable, Conflict, OSError):
        print(
            f"the secrets of {named} are lost: delete those of these access keys that are there",
            file=sys.stderr,
        )
        return
    for key in taken_back:
        print(
            f"the access key {key.access_key_id} of {key.user or 'root'} in {key.account} was taken back",
            file=sys.stderr,
        )


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
