"""For all tests: how properties are explored, and identity providers for those who ask for them.

At home every run tries other examples. In CI the examples are the same each time, so that what lands is decided by the
change and not by the dice; and a busy machine is no reason to fail, for no test here is about time.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.capabilities import require_capabilities

settings.register_profile(
    "house",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture of the test is made."""
    require_capabilities({mark.name for mark in item.iter_markers()})


pytest_plugins = ["tests.identity_providers.fixtures"]
