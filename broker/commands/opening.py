"""The way of a command that needs the store: settings, the rooms, the work, and errors in the operator's words."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from broker.app import Broker, open_broker
from broker.audit.journal import JournalUnavailable
from broker.commands.refusing import CommandRefused, failed
from broker.commands.settings import settings_of
from broker.config import ConfigurationError, shown_url
from broker.storage.engine import Conflict, EngineUnavailable


def with_broker(
    chosen: argparse.Namespace, work: Callable[[Broker], Awaitable[int]], *, may_create: bool = False
) -> int:
    """Run `work` in an open broker; its exit status, 1 where it is refused, 2 where the settings cannot stand.

    Store and keys are made only where `may_create`: a path that was mistyped is told, not filled.
    """
    command = f"broker {chosen.command}"
    try:
        settings = settings_of(chosen)
    except ConfigurationError as error:
        return failed(command, str(error), 2)

    async def main() -> int:
        async with open_broker(settings, may_create=may_create) as broker:
            return await work(broker)

    try:
        return asyncio.run(main())
    except (ConfigurationError, CommandRefused) as error:
        return failed(command, str(error))
    except EngineUnavailable as error:
        return failed(command, f"the store {shown_url(settings.store.url)} cannot be used: {error}")
    except Conflict:
        return failed(command, "others keep changing the same records; run it again")
    except JournalUnavailable as error:
        return failed(command, f"done, but not journalled: {error}")
    except OSError as error:
        return failed(command, str(error))
