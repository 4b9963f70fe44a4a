"""The operations of IAM with the simulator among them, and a user to ask about."""

import pytest

from tests.unit.iam.conftest import Iam, iam, store  # noqa: F401  fixtures
from tests.unit.simulator.simulating import new_alice


@pytest.fixture
async def alice(iam: Iam) -> str:  # noqa: F811  the fixture
    """A user with policies of every kind of attachment; her ARN."""
    return await new_alice(iam)
