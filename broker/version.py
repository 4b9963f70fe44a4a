"""The version of this broker: shown by the command, the log, the metrics and `/livez`; pyproject.toml reads it."""

VERSION = "0.1.0"
