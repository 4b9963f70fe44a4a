"""A real broker, and declarations applied to it as the command does."""

from tests.unit.commands.conftest import broker, declare, settings  # noqa: F401  fixtures
