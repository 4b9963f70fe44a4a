"""The settings of a command: from a file, the environment, and a few options."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.config import Settings


def add_settings_arguments(parser: argparse.ArgumentParser, *, is_asked_of_broker: bool = True) -> None:
    """`--config` and `--store`, which every command that opens the store has; and `--direct`, of those that the running
    broker may perform.
    """
    if is_asked_of_broker:
        parser.add_argument(
            "--direct",
            action="store_true",
            help="open the store here, with the master key, also where the running broker has an admin socket",
        )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="settings, as config/broker.toml explains them; without it $BROKER_CONFIG, else the defaults and "
        "BROKER_… variables count",
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="where the records are: sqlite:PATH, redis://HOST:PORT/NUMBER or another form that config/broker.toml "
        "explains (sqlite:var/broker.db)",
    )


def settings_of(chosen: argparse.Namespace, **options: str | None) -> Settings:
    """The settings in force; `options` are dotted names with `__` for the dot. Raises ConfigurationError."""
    # Imported here, so that `--help` does not wait for the imports of broker.config.
    from broker.config import FILE_VARIABLE, load_settings

    options = {"store__url": chosen.store, **options}
    overrides = {name.replace("__", "."): value for name, value in options.items() if value is not None}
    named = os.environ.get(FILE_VARIABLE)
    file = chosen.config or (Path(named) if named else None)
    return load_settings(file, os.environ, overrides)
