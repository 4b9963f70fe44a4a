"""For all tests: how properties are explored, and identity providers for those who ask for them.

At home every run tries other examples. In CI the examples are the same each time, so that what lands is decided by the
change and not by the dice; and a busy machine is no reason to fail, for no test here is about time.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "house",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")

pytest_plugins = ["tests.identity_providers.fixtures"]
