"""What a file does to an instance that has proven itself by a nonce."""

import json
from typing import Any

import pytest

from broker.declaration.source import DeclarationError
from broker.storage.instance_records import InstanceBinding
from broker.storage.store import INSTANCE_BINDINGS
from tests.unit.commands.conftest import Declare

A = "111111111111"


def declared(**instances: dict[str, Any]) -> str:
    named = {name: {"account_id": A, **fields} for name, fields in instances.items()}
    return json.dumps({"accounts": {A: {}}, "instances": named})


@pytest.fixture
async def bound(declare: Declare) -> Declare:
    """i_1 is at 192.0.2.7."""
    await declare(declared(i_1={}))
    binding = InstanceBinding(
        instance_id="i_1", account_id=A, nonce_digest=b"d", nonce_expires_at=1, address="192.0.2.7"
    )

    async def put(store: Any) -> None:
        store.put(INSTANCE_BINDINGS, "", binding)

    await declare.broker.store.transact(put)
    return declare


async def test_the_binding_stays_while_the_instance_does(bound: Declare) -> None:
    await bound(declared(i_1={"tags": {"a": "b"}}), prune=True)
    assert await bound.find(INSTANCE_BINDINGS, "", "i_1") is not None


async def test_with_a_pruned_instance_goes_its_binding(bound: Declare) -> None:
    """An instance of the same name that is declared later has to prove itself."""
    await bound(declared(), prune=True)
    assert await bound.find(INSTANCE_BINDINGS, "", "i_1") is None


async def test_its_address_cannot_be_declared_for_another(bound: Declare) -> None:
    with pytest.raises(DeclarationError, match=r"192\.0\.2\.7"):
        await bound(declared(i_1={}, i_2={"addresses": ["192.0.2.7"]}))
