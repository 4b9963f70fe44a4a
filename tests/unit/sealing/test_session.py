import hashlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.sealing.claims import AssumedRoleClaims
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import new_keyring, promote, stage
from broker.sealing.message import seal_message
from broker.sealing.session import (
    LARGEST_TOKEN,
    SessionExpired,
    TokenTooLarge,
    inspect_session_token,
    mint_session_token,
    packed_size_percent,
    utilization_percent,
)
from tests.unit.session_tokens import open_session_token

NOW = 1_800_000_000.0
RING = new_keyring(NOW, bytes(range(40)))
NEXT_ENTROPY = bytes(range(100, 140))
ENTROPY = bytes(range(16))
CLAIMS = AssumedRoleClaims(
    access_key_id="ASIAQAAAAAAAAAAAAAAA",
    session_id=bytes(range(16)),
    issued_at=int(NOW),
    expires_at=int(NOW) + 3600,
    account="123456789012",
    role_name="deploy",
    role_id="AROAAAAAAAAAAAAAAAAAA",
    session_name="ada",
)
POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],'
    '"Resource":["arn:aws:s3:::company-reports","arn:aws:s3:::company-reports/2026/*"],'
    '"Condition":{"StringEquals":{"aws:RequestedRegion":"eu-central-1"}}}]}'
)
WITH_POLICY = msgspec.structs.replace(
    CLAIMS, session_policy=POLICY, tags=(("Team", "billing"),), transitive_tag_keys=("Team",)
)
TOKEN, SECRET, SIZE, _ = mint_session_token(RING, CLAIMS, ENTROPY)

# Minted by version 1 with the values above: valid for ever, and their secrets with them.
GOLDEN_PLAIN = (
    "AQABAgMEBQYHwA58OPx037_B8b9rv7JB5SqZFLHdDtwxO651oJj7istwTX7SwCBXc2ml7Hq9Mr15KsGl05FxShfaLv"
    "tEwBfXt_fPSCEHoS15AgJ7wi95TSmsj1XU8qiBH0n2AShkPA-sMsjLnQKPwdiPdNqvBV-Dq0Ordlcxg-vxt835gXAe"
    "TwiZ"
)
GOLDEN_POLICY = (
    "AQABAgMEBQYHsZKu0ZpnpXFLgvR83IrB1U4Fwn4E2XFf-pguCPnUbf3rKNfRVIsDjfnLb9MePnVVCDiVltwiXyMP-4"
    "Lmozi4mlF4uMP60oQV6FLTnIsoLPh1R5nE_YqSUGEAmsLaz8St_-irnFPMDSvlHOn0qEHguxS9tlFLtxNyzw1PAuUl"
    "zZIoJhv-9PZyK3PUDZurIXEYAGY_Vjbi5KqyO2iGV7s4HrY3NrhB9CN7AfvFW9_-SH7s44MRtq3Nu4zC-9Mh"
)
GOLDEN_SECRET = "ldEdmE1r74Vqv8BmwSbfRpKl6L+aWKXec/1OKjKn"


def incompressible(length: int) -> str:
    digests = (hashlib.sha512(number.to_bytes(4, "big")).hexdigest() for number in range(length // 128 + 1))
    return "".join(digests)[:length]


def test_a_token_opens_to_its_claims_and_its_secret() -> None:
    assert open_session_token(RING, TOKEN, CLAIMS.access_key_id, NOW) == (CLAIMS, SECRET)
    assert len(TOKEN) == SIZE
    assert len(SECRET.reveal()) == 40


@pytest.mark.parametrize(
    ("token", "claims"),
    [
        pytest.param(GOLDEN_PLAIN, CLAIMS, id="plain"),
        pytest.param(GOLDEN_POLICY, WITH_POLICY, id="compressed"),
    ],
)
def test_tokens_of_version_one_still_open(token: str, claims: AssumedRoleClaims) -> None:
    opened, secret = open_session_token(RING, token, claims.access_key_id, NOW)
    assert opened == claims
    assert secret.reveal() == GOLDEN_SECRET


def test_a_token_is_spelled_in_characters_that_survive_headers_urls_and_xml() -> None:
    token = mint_session_token(RING, WITH_POLICY, ENTROPY)[0]
    assert all(character.isascii() and (character.isalnum() or character in "-_") for character in token)


def test_tokens_of_the_same_claims_differ_and_their_secret_does_not() -> None:
    token, secret, *_ = mint_session_token(RING, CLAIMS, bytes(16))
    assert token != TOKEN
    assert secret == SECRET


def test_sessions_that_differ_in_id_or_key_id_have_different_secrets() -> None:
    other_session = msgspec.structs.replace(CLAIMS, session_id=bytes(16))
    other_key = msgspec.structs.replace(CLAIMS, access_key_id="ASIAQAAAAAAAAAAAAAAB")
    secrets = {mint_session_token(RING, claims, ENTROPY)[1] for claims in (CLAIMS, other_session, other_key)}
    assert len(secrets) == 3


def test_another_keyring_derives_another_secret() -> None:
    assert mint_session_token(new_keyring(NOW, NEXT_ENTROPY), CLAIMS, ENTROPY)[1] != SECRET


@settings(max_examples=300)
@given(st.integers(min_value=0), st.sampled_from("AEIMQUYcgkosw048BZaz19-_"))
def test_one_changed_character_anywhere_refuses(position: int, character: str) -> None:
    position %= len(TOKEN)
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]
    if changed == TOKEN:
        return
    with pytest.raises(SealBroken):
        open_session_token(RING, changed, CLAIMS.access_key_id, NOW)


@given(st.text(max_size=60))
def test_no_other_text_is_a_token(unverified_token: str) -> None:
    with pytest.raises(SealBroken):
        open_session_token(RING, unverified_token, CLAIMS.access_key_id, NOW)


@pytest.mark.parametrize(
    "access_key_id", ["", "ASIAQAAAAAAAAAAAAAAB", "asiaqaaaaaaaaaaaaaaa", "ASIAQAAAAAAAAAAAAAAÄ", "\udc80"]
)
def test_a_token_beside_another_access_key_id_is_refused(access_key_id: str) -> None:
    with pytest.raises(SealBroken) as broken:
        open_session_token(RING, TOKEN, access_key_id, NOW)
    assert CLAIMS.access_key_id in broken.value.reason


def test_a_token_expires_at_its_second_and_not_before() -> None:
    assert open_session_token(RING, TOKEN, CLAIMS.access_key_id, CLAIMS.expires_at - 0.01)[0] == CLAIMS
    with pytest.raises(SessionExpired) as expired:
        open_session_token(RING, TOKEN, CLAIMS.access_key_id, CLAIMS.expires_at)
    assert expired.value.expired_at == CLAIMS.expires_at


def test_an_expired_token_beside_another_access_key_id_is_broken_rather_than_expired() -> None:
    with pytest.raises(SealBroken):
        open_session_token(RING, TOKEN, "ASIAQAAAAAAAAAAAAAAB", CLAIMS.expires_at)


def test_a_token_sealed_by_an_unknown_key_is_refused() -> None:
    with pytest.raises(SealBroken) as broken:
        open_session_token(new_keyring(NOW, NEXT_ENTROPY), TOKEN, CLAIMS.access_key_id, NOW)
    assert RING.primary.id.hex() in broken.value.reason


def test_a_sealed_message_is_no_token() -> None:
    text = seal_message(RING, b"metadata session", b"message", b"", ENTROPY)
    with pytest.raises(SealBroken):
        open_session_token(RING, text, CLAIMS.access_key_id, NOW)


def test_a_token_of_a_retired_key_opens_until_the_key_expires() -> None:
    after = promote(stage(RING, NOW, NEXT_ENTROPY), NOW, open_for=600)
    assert open_session_token(after, TOKEN, CLAIMS.access_key_id, NOW + 599) == (CLAIMS, SECRET)
    with pytest.raises(SealBroken) as broken:
        open_session_token(after, TOKEN, CLAIMS.access_key_id, NOW + 600)
    assert "expired at" in broken.value.reason


def test_a_node_that_only_staged_a_key_opens_what_another_node_sealed_with_it() -> None:
    staged = stage(RING, NOW, NEXT_ENTROPY)
    token, secret, *_ = mint_session_token(promote(staged, NOW, open_for=600), CLAIMS, ENTROPY)
    assert open_session_token(staged, token, CLAIMS.access_key_id, NOW) == (CLAIMS, secret)


@given(st.integers(0, LARGEST_TOKEN))
def test_a_token_is_padded_to_the_size_that_was_asked_for(minimum: int) -> None:
    token, _, size, *_ = mint_session_token(RING, CLAIMS, ENTROPY, minimum)
    assert len(token) == size
    assert max(minimum, SIZE) <= size <= max(minimum + 3, SIZE)
    assert open_session_token(RING, token, CLAIMS.access_key_id, NOW)[0] == CLAIMS


@settings(max_examples=60)
@given(st.integers(0, 6_000))
def test_a_token_is_never_over_4096_characters(length: int) -> None:
    claims = msgspec.structs.replace(CLAIMS, session_policy=incompressible(length))
    try:
        token, *_ = mint_session_token(RING, claims, ENTROPY)
    except TokenTooLarge as refused:
        assert refused.size > refused.largest == 4096
        return
    assert len(token) <= 4096
    assert open_session_token(RING, token, CLAIMS.access_key_id, NOW)[0] == claims


def test_whatever_the_packed_budget_allows_fits_a_token() -> None:
    """The rest of the claims at their longest, beside policies and tags of exactly 100 percent."""
    full = msgspec.structs.replace(
        CLAIMS,
        role_name=incompressible(64),
        role_path="/" + incompressible(510) + "/",
        session_name=incompressible(64),
        source_identity=incompressible(64),
        mfa_authenticated_at=int(NOW),
        chained=True,
        issuer_access_key_id="AKIAQAAAAAAAAAAAAAAA",
    )
    length = 6_000
    while (packed_size_percent(incompressible(length), (), (), ()) or 0) > 100:
        length -= 10
    claims = msgspec.structs.replace(full, session_policy=incompressible(length))
    token, *_ = mint_session_token(RING, claims, ENTROPY)
    assert open_session_token(RING, token, CLAIMS.access_key_id, NOW)[0] == claims


def test_a_policy_of_2048_characters_with_ten_policies_and_ten_tags_fits() -> None:
    statements = ",".join(
        f'{{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket-{number}/*"}}'
        for number in range(24)
    )
    policy = f'{{"Version":"2012-10-17","Statement":[{statements}]}}'
    assert 1_900 < len(policy) <= 2_048
    arns = tuple(f"arn:aws:iam::123456789012:policy/teams/policy-{number}" for number in range(10))
    tags = tuple((f"key-{number}", incompressible(40)) for number in range(10))
    percent = packed_size_percent(policy, arns, tags)
    assert percent is not None
    assert percent <= 100
    claims = msgspec.structs.replace(CLAIMS, session_policy=policy, session_policy_arns=arns, tags=tags)
    assert mint_session_token(RING, claims, ENTROPY)[2] <= LARGEST_TOKEN


def test_packed_size_is_left_out_where_nothing_was_packed() -> None:
    assert packed_size_percent(None, (), (), ()) is None


def test_packed_size_grows_with_what_is_packed_and_passes_a_hundred() -> None:
    sizes = [
        packed_size_percent(incompressible(length), (), (), ()) or 0 for length in (1, 500, 1_000, 8_000)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1
    assert sizes[-1] > 100


@pytest.mark.parametrize(("size", "percent"), [(4096, 100), (4095, 100), (2048, 50), (236, 6)])
def test_utilization_is_a_percentage_of_the_largest_token(size: int, percent: int) -> None:
    assert utilization_percent(size) == percent


def test_an_operator_reads_an_expired_token() -> None:
    assert inspect_session_token(RING, TOKEN) == CLAIMS
    with pytest.raises(SealBroken):
        inspect_session_token(RING, TOKEN[:-4])


def test_a_session_id_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        mint_session_token(RING, msgspec.structs.replace(CLAIMS, session_id=b"short"), ENTROPY)


def test_no_repr_holds_the_secret_access_key() -> None:
    assert SECRET.reveal() not in repr(open_session_token(RING, TOKEN, CLAIMS.access_key_id, NOW))
