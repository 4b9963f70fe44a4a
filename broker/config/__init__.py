"""Settings: defaults, then a TOML file, then `BROKER_…` variables, then the command line; all are checked at load.

A variable is `BROKER_` and the setting's name: `store.url` is `BROKER_STORE_URL`. Every secret also has a `_FILE` form
that names a file with the secret. An unknown key is refused, with the most similar known key as a suggestion.
Imported by `app` and the command line only; other rooms get the values that they need, never the settings.
"""

from broker.config.exposure import warnings_of_exposure
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
    "warnings_of_exposure",
]
