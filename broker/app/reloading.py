"""SIGHUP: the settings are read again, and what can change without a restart does."""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from broker.config import ConfigurationError, Settings, setting_names
from broker.web.dependencies import Dependencies
from broker.web.tls import Certificate

_RELOADED = ("quotas.", "log.level")

_logger = logging.getLogger("broker.app")


class Reloading(msgspec.Struct, frozen=True):
    """`load` reads the settings again; `loaded` is what it gave at the start; `asked` is set by the signal."""

    load: Callable[[], Settings]
    loaded: Settings
    asked: asyncio.Event

    async def run(self, dependencies: Dependencies, certificate: Certificate | None) -> None:
        """Take what has changed each time it is asked; the certificate is read by each call, settings or not."""
        while True:
            await self.asked.wait()
            self.asked.clear()
            if certificate is not None:
                await certificate.reload_if_changed()
            try:
                changed = self.load()
            except ConfigurationError as error:
                _logger.error("the changed settings cannot be used, those before stay: %s", error)
                continue
            _take(self.loaded, changed, dependencies)


def _take(loaded: Settings, changed: Settings, dependencies: Dependencies) -> None:
    names = different(loaded, changed)
    reloaded = [name for name in names if name.startswith(_RELOADED)]
    logging.getLogger().setLevel(changed.log.level.upper())
    # The one field that changes while it is in use; every handler reads it from here, once for each request.
    msgspec.structs.force_setattr(dependencies, "quotas", changed.quotas)
    facts = {
        "reloaded": ", ".join(reloaded),
        "need_a_restart": ", ".join(name for name in names if name not in reloaded),
    }
    _logger.warning("the settings were read again", extra={"facts": facts})


def different(one: Settings, other: Settings) -> list[str]:
    """The names of the settings that differ."""
    found = []
    for name in setting_names():
        section, _, key = name.partition(".")
        if getattr(getattr(one, section), key) != getattr(getattr(other, section), key):
            found.append(name)
    return found
