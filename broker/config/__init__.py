"""Settings: defaults, then a TOML file, then `BROKER_…` variables, then the command line; checked whole at load.

A variable is `BROKER_` and the setting's place: `store.url` is `BROKER_STORE_URL`. Every secret also has a `_FILE` form
that names a file holding it. An unknown key is refused, with the nearest known one as a suggestion.
Imported by `app` and the command line only; rooms get the values they need, never the settings.
"""

from broker.config.faults import parse_address
from broker.config.loading import load_settings
from broker.config.settings import (
    FILE_VARIABLE,
    Audit,
    ConfigurationError,
    FederationSettings,
    Keys,
    RootUser,
    Settings,
    StoreSettings,
    field_of,
    setting_names,
)

__all__ = [
    "FILE_VARIABLE",
    "Audit",
    "ConfigurationError",
    "FederationSettings",
    "Keys",
    "RootUser",
    "Settings",
    "StoreSettings",
    "field_of",
    "load_settings",
    "parse_address",
    "setting_names",
]
