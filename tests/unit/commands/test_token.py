"""`broker token inspect`: claims for the operator, never what a secret could be made of."""

import io
import json

import pytest

from broker.app import Broker, clock
from broker.commands.token import shown_claims
from broker.sealing.claims import AssumedRoleClaims, ScopedClaims, SessionTokenClaims
from broker.sealing.session import TOKEN_ENTROPY, mint_session_token

from .conftest import Run

SESSION_ID = bytes(range(16))
ROLE = AssumedRoleClaims(
    "ASIAEXAMPLE", SESSION_ID, 1_800_000_000, 1_800_003_600, "111111111111", "web", "AROAWEB", "s",
    tags=(("team", "x"),), source_identity="alice", context=(("saml:aud", ("a", "b")),),
)  # fmt: skip


def test_claims_are_readable_and_what_is_empty_is_left_out() -> None:
    assert shown_claims(ROLE, 1_800_000_001) == {
        "kind": "AssumedRole",
        "arn": "arn:aws:sts::111111111111:assumed-role/web/s",
        "access_key_id": "ASIAEXAMPLE",
        "issued_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-01-15T09:00:00Z",
        "account": "111111111111",
        "role_name": "web",
        "role_id": "AROAWEB",
        "session_name": "s",
        "role_path": "/",
        "tags": {"team": "x"},
        "source_identity": "alice",
        "context": {"saml:aud": ("a", "b")},
        "is_expired": False,
    }


def test_an_expired_session_says_so() -> None:
    assert shown_claims(ROLE, 1_800_003_600)["is_expired"] is True


def test_the_session_id_that_secrets_are_derived_from_is_not_shown() -> None:
    shown = json.dumps(shown_claims(ROLE, 0))
    assert "session_id" not in shown
    assert SESSION_ID.hex() not in shown


def test_a_scoped_session_is_shown_with_the_session_it_comes_from_and_no_session_id_of_either() -> None:
    scoped = ScopedClaims(
        "ASIASCOPED",
        SESSION_ID,
        1_800_000_000,
        1_800_000_060,
        "111111111111",
        ROLE,
        ("{}",),
        ("ASIABETWEEN",),
    )
    assert shown_claims(scoped, 1_800_000_100) == {
        "kind": "Scoped",
        "arn": "arn:aws:sts::111111111111:assumed-role/web/s",
        "access_key_id": "ASIASCOPED",
        "issued_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-01-15T08:01:00Z",
        "account": "111111111111",
        "original": shown_claims(ROLE, 1_800_000_100),
        "scope_policies": ("{}",),
        "between": ("ASIABETWEEN",),
        "is_expired": True,
    }


async def mint(broker: Broker) -> tuple[str, str]:
    now = int(clock())
    claims = SessionTokenClaims("ASIAEXAMPLE", SESSION_ID, now, now + 900, "111111111111")
    token, secret, *_ = mint_session_token(broker.keyrings.sessions(), claims, bytes(TOKEN_ENTROPY))
    return token, secret.reveal()


@pytest.fixture
async def token(broker: Broker) -> tuple[str, str]:
    return await mint(broker)


def test_where_no_token_is_given_it_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert (ended := run("token", "inspect")).status == 2
    assert "no token was given" in ended.said


def test_a_token_is_read_from_standard_input(
    run: Run, token: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{token[0]}\n"))
    ended = run("token", "inspect")
    assert json.loads(ended.shown)["arn"] == "arn:aws:iam::111111111111:root"
    assert token[1] not in ended.shown


@pytest.mark.parametrize("text", ["AAAA", "no base64"])
def test_what_this_broker_did_not_seal_is_refused(run: Run, text: str) -> None:
    ended = run("token", "inspect", text)
    assert (ended.status, ended.shown) == (1, "")
    assert "no token of this broker's keyring" in ended.said
