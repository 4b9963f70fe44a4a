"""Runs a command that needs the store: reads settings, opens the broker, and prints errors for the operator."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from tempfile import TemporaryDirectory

import msgspec

from broker.app import Broker, open_broker
from broker.audit.journal import JournalUnavailable
from broker.causes import explained
from broker.commands.asking import asked_of_running_broker
from broker.commands.checking import is_new_store
from broker.commands.owner import NotOwner, require_owner
from broker.commands.refusing import NO_ANSWER, WRONG_USE, CommandRefused, failed, refused_settings
from broker.commands.remote import current_remote
from broker.commands.settings import settings_of
from broker.config import ConfigurationError, Keys, Settings, StoreSettings
from broker.credentials.keyrings import WrongMasterKey
from broker.names.secret import SecretKey, shown_url
from broker.storage.engine import Conflict, EngineUnavailable

_NO_FILES: Mapping[str, str] = {}


def with_broker(
    chosen: argparse.Namespace,
    work: Callable[[Broker], Awaitable[int]],
    *,
    may_create: bool = False,
    is_dry: bool = False,
    standard_input: str = "",
    files: Mapping[str, str] = _NO_FILES,
) -> int:
    """Run `work` in an open broker; its exit status, or that of the error (`broker --help` explains them).

    Where the running broker has an admin socket, it runs the command, and is given what the command has read already:
    its `standard_input`, and `files` by the names that the arguments have for them.

    A missing store and missing keys are created only where `may_create`, so that a mistyped path is an error. A dry run
    does not create them: it runs on a temporary store where there is none.
    """
    command = f"broker {chosen.command}"
    remote = current_remote()
    try:
        if remote is not None:
            settings = remote.settings
        else:
            status = asked_of_running_broker(chosen, standard_input, files)
            if status is not None:
                return status
            settings = settings_of(chosen)
            require_owner(settings)
    except ConfigurationError as error:
        return refused_settings(command, error)
    except NotOwner as error:
        return failed(command, str(error), WRONG_USE)
    main = _dry(settings, work) if is_dry else _in_broker(settings, work, may_create=may_create)
    return _status_of(command, settings, main)


async def _in_broker(
    settings: Settings, work: Callable[[Broker], Awaitable[int]], *, may_create: bool
) -> int:
    async with open_broker(settings, may_create=may_create) as broker:
        return await work(broker)


async def _dry(settings: Settings, work: Callable[[Broker], Awaitable[int]]) -> int:
    if not await is_new_store(settings):
        return await _in_broker(settings, work, may_create=False)
    with TemporaryDirectory(prefix="broker-dry-run-") as folder:
        async with open_broker(_in_folder(settings, folder), {}) as broker:
            return await work(broker)


def _status_of(command: str, settings: Settings, main: Coroutine[None, None, int]) -> int:
    """The exit status of `main`, or that of the error."""
    try:
        return asyncio.run(main)
    except CommandRefused as error:
        return failed(command, str(error), error.status)
    except ConfigurationError as error:
        return failed(command, str(error), WRONG_USE)
    except EngineUnavailable as error:
        status = WRONG_USE if isinstance(error, WrongMasterKey) else NO_ANSWER
        return failed(command, f"the store {shown_url(settings.store.url)} cannot be used: {error}", status)
    except Conflict:
        message = "the same records were changed by others at each attempt; run it again"
        return failed(command, message, NO_ANSWER)
    except JournalUnavailable as error:
        return failed(command, f"done, but not journalled: {error}", NO_ANSWER)
    except OSError as error:
        return failed(command, explained(error), NO_ANSWER)


def _in_folder(settings: Settings, folder: str) -> Settings:
    return msgspec.structs.replace(
        settings,
        store=StoreSettings(SecretKey(f"sqlite:{folder}/broker.db")),
        keys=Keys(master_key_file=f"{folder}/master.key"),
    )
