"""Sign-in tokens of the console: how long they and their sessions live."""

import pytest

from broker.credentials.revoking import latest_end
from broker.errors import Refusal
from broker.portal.console.sign_in_tokens import (
    open_token,
    seal_token,
    verify_credentials,
    with_duration,
)
from broker.sealing.claims import AssumedRoleClaims, claims_to_bytes
from tests.unit.portal.conftest import NOW, World

ROLE_ID = "AROAREADER0000000000A"


def claims(age: int = 0, *, chained: bool = False) -> AssumedRoleClaims:
    issued_at = int(NOW) - age
    return AssumedRoleClaims(
        "ASIAROLE000000000000",
        bytes(16),
        issued_at,
        issued_at + 3600,
        "222222222222",
        "reader",
        ROLE_ID,
        "tool",
        chained=chained,
    )


def test_without_a_duration_the_console_lives_as_long_as_the_credentials():
    assert with_duration(claims(600), "", NOW).expires_at == int(NOW) + 3000


def test_a_duration_counts_from_now():
    assert with_duration(claims(600), "7200", NOW).expires_at == int(NOW) + 7200


def test_no_session_of_the_console_outlives_a_revocation_that_applies_to_it():
    session = with_duration(claims(3599), "43200", NOW)
    assert session.issued_at == int(NOW) - 3599, "what was issued before a revocation stays so"
    assert session.expires_at <= latest_end(ROLE_ID, session.issued_at + 1)


@pytest.mark.parametrize("duration", ["899", "43201", "0", "-900", "900.0", "³600", "9" * 5000])
def test_a_duration_that_aws_does_not_take_is_refused(duration: str):
    with pytest.raises(Refusal, match="ValidationError"):
        with_duration(claims(), duration, NOW)


def test_a_chained_session_chooses_no_duration():
    with pytest.raises(Refusal, match="role chaining"):
        with_duration(claims(chained=True), "900", NOW)


async def test_a_token_is_good_for_fifteen_minutes_and_holds_the_session(world: World):
    keyring = world.portal.tools.mint.keyring()
    text = seal_token(keyring, claims(), NOW, world.portal.tools.entropy)
    token = open_token(keyring, text, NOW + 899)
    assert token.session == claims()
    assert token.claims == claims_to_bytes(claims())
    for moment in (NOW + 900, NOW - 1):
        with pytest.raises(Refusal) as refused:
            open_token(keyring, text, moment)
        assert refused.value.reason == "sign-in token: it is older than fifteen minutes"


async def test_a_text_that_this_broker_did_not_seal_is_no_token(world: World):
    keyring = world.portal.tools.mint.keyring()
    text = seal_token(keyring, claims(), NOW, world.portal.tools.entropy)
    for changed in (f"{text}A", text[:-4], text.swapcase(), "", "token"):
        with pytest.raises(Refusal, match="not valid"):
            open_token(keyring, changed, NOW)


@pytest.mark.parametrize("text", ["", "[]", '{"sessionId":"\ud800"}', '{"of another":' + "[" * 9000])
def test_what_is_no_json_of_credentials_is_refused(world: World, text: str):
    with pytest.raises(Refusal, match="Session has to be JSON"):
        verify_credentials(world.portal.tools.mint.keyring(), text, NOW)
