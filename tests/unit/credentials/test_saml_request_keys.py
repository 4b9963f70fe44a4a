"""Keys of SAML requests: one signs for a year, the next is published a month ahead."""

import secrets
from pathlib import Path

from broker.credentials.saml_request_keys import (
    PUBLISHED_AHEAD,
    SIGNS_FOR,
    current_keys,
    is_due,
    request_keys,
)
from broker.names.secret import SecretKey
from broker.storage.records import SamlRequestKey
from tests.unit.credentials.signed_in import NOW, in_store


def key(signs_from: float) -> SamlRequestKey:
    return SamlRequestKey(private_key=SecretKey("x"), certificate=str(signs_from), signs_from=int(signs_from))


def test_the_next_key_signs_when_its_time_has_come() -> None:
    keys = (key(0), key(100))
    assert current_keys(keys, 99) == keys
    assert current_keys(keys, 100) == keys[1:]
    assert current_keys((key(50), key(100)), 10)[0].signs_from == 50, "a clock that was ahead made it"


def test_a_key_is_due_a_month_before_the_last_ends() -> None:
    assert is_due((), 0)
    assert not is_due((key(0),), SIGNS_FOR - PUBLISHED_AHEAD - 1)
    assert is_due((key(0),), SIGNS_FOR - PUBLISHED_AHEAD)


async def test_keys_follow_one_another(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        (first,) = await request_keys(store, NOW, secrets.token_bytes)
        assert await request_keys(store, NOW + 1, secrets.token_bytes) == (first,)
        late = NOW + SIGNS_FOR - PUBLISHED_AHEAD
        both = await request_keys(store, late, secrets.token_bytes)
        assert both[0] == first and both[1].signs_from == NOW + SIGNS_FOR
        assert await request_keys(store, late + 60, secrets.token_bytes) == both
        assert await request_keys(store, NOW + SIGNS_FOR, secrets.token_bytes) == both[1:]


async def test_a_portal_that_nobody_used_for_years_has_a_key_that_signs_at_once(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        (first,) = await request_keys(store, NOW, secrets.token_bytes)
        much_later = NOW + 5 * SIGNS_FOR
        again = await request_keys(store, much_later, secrets.token_bytes)
        assert again[0] == first, "the provider still knows it"
        assert again[1].signs_from == much_later + PUBLISHED_AHEAD
