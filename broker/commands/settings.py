"""Settings as every command takes them: a file, the environment, and a few options."""

import argparse
import os
from pathlib import Path

from broker.config import Settings, load_settings

DEFAULT_FILE = Path("config/broker.toml")


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """`--config` and `--store`, which every command that opens the store has."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="settings, as config/broker.toml explains them; without it the defaults and BROKER_… variables count",
    )
    parser.add_argument(
        "--store", metavar="URL", help="where the records are: sqlite:PATH or redis://HOST:PORT/NUMBER"
    )


def settings_of(chosen: argparse.Namespace, **options: str | None) -> Settings:
    """The settings in force; `options` are dotted names with `__` for the dot. Raises ConfigurationError."""
    given = {"store__url": chosen.store, **options}
    overrides = {name.replace("__", "."): value for name, value in given.items() if value is not None}
    return load_settings(chosen.config, os.environ, overrides)
