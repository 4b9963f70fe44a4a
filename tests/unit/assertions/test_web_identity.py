"""Tokens of OpenID Connect providers: which are proven, and which check refuses the others."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.key_sets import parse_key_set
from broker.assertions.unverified_token import LONGEST_TOKEN, read_token
from broker.assertions.web_identity import LEEWAY, unverified_issuer, verify_web_identity
from tests.unit.assertions.conftest import CLIENT, ISSUER, NOW, Provider, Verify, usual_claims


def encoded(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def refused_by(verify: Verify, token: str, **question: Any) -> str:
    """The name of the check that fails."""
    checks = Checks()
    with pytest.raises(CheckFailed) as failed:
        verify(token, checks=checks, **question)
    assert checks.made[-1] is failed.value.check
    assert all(check.passed for check in checks.made[:-1])
    return failed.value.check.name


@pytest.mark.parametrize(
    ("key_id", "algorithm"),
    [
        *(("rsa", name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        ("p256", "ES256"),
        ("p384", "ES384"),
        ("p521", "ES512"),
        ("ed", "EdDSA"),
    ],
)
def test_a_token_of_each_algorithm_is_proven(
    provider: Provider, verify: Verify, key_id: str, algorithm: str
) -> None:
    proven = verify(provider.sign(usual_claims(), key_id, algorithm=algorithm))
    assert (proven.issuer, proven.subject, proven.audience) == (ISSUER, "alice", (CLIENT,))
    assert (proven.issued_at, proven.expires_at) == (NOW - 10, NOW + 300)


def test_every_check_of_a_good_token_is_noted_in_order(provider: Provider, verify: Verify) -> None:
    checks = Checks()
    verify(provider.sign(usual_claims(nbf=NOW)), checks=checks)
    assert all(check.passed for check in checks.made)
    assert [check.name for check in checks.made] == [
        *("size", "parts", "algorithm", "critical headers", "key id", "issuer", "key", "signature"),
        *("expiry", "not before", "issued at", "redemption", "audience", "subject"),
    ]


def test_a_token_without_a_key_id_is_proven_by_the_key_that_made_it(
    provider: Provider, verify: Verify
) -> None:
    key, algorithm = provider.private["rsa"]
    assert verify(jwt.encode(usual_claims(), key, algorithm)).subject == "alice"


def test_the_audience_may_be_one_of_a_list(provider: Provider, verify: Verify) -> None:
    proven = verify(provider.sign(usual_claims(aud=["other", "client-2"])))
    assert proven.audience == ("other", "client-2")


def test_the_authorized_party_is_the_audience_where_there_is_one(provider: Provider, verify: Verify) -> None:
    assert verify(provider.sign(usual_claims(aud="account", azp=CLIENT))).audience == (CLIENT,)
    assert refused_by(verify, provider.sign(usual_claims(aud=CLIENT, azp="other"))) == "audience"


def test_times_may_have_fractions(provider: Provider, verify: Verify) -> None:
    assert verify(provider.sign(usual_claims(exp=NOW + 0.5))).expires_at == NOW


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"iss": "https://idp.example.com/other"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": [7]}, "audience"),
        ({"aud": {CLIENT: True}}, "audience"),
        ({"azp": 7}, "audience"),
        ({"sub": None}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": 7}, "subject"),
        ({"sub": "a" * 256}, "subject"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 10**20}, "exp"),
        ({"exp": -1}, "exp"),
        ({"iat": None}, "iat"),
        ({"nbf": "now"}, "nbf"),
        ({"exp": NOW - LEEWAY}, "expiry"),
        ({"nbf": NOW + LEEWAY + 1}, "not before"),
        ({"iat": NOW + LEEWAY + 1, "exp": NOW + 3600}, "issued at"),
        ({"iat": NOW + 10**9, "exp": NOW + 2 * 10**9}, "issued at"),
        ({"iat": NOW - 24 * 3600 - LEEWAY}, "redemption"),
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused_by_its_check(
    provider: Provider, verify: Verify, change: dict[str, Any], check: str
) -> None:
    assert refused_by(verify, provider.sign(usual_claims(**change))) == check


@pytest.mark.parametrize(
    "change", [{"exp": NOW - LEEWAY + 1}, {"nbf": NOW + LEEWAY}, {"iat": NOW + LEEWAY}], ids=str
)
def test_a_clock_that_is_a_little_off_refuses_nothing(
    provider: Provider, verify: Verify, change: dict[str, Any]
) -> None:
    assert verify(provider.sign(usual_claims(**change))).subject == "alice"


def test_an_unsigned_token_is_refused(verify: Verify) -> None:
    for name in ("none", "None", "nOnE", ""):
        token = f"{encoded({'alg': name})}.{encoded(usual_claims())}."
        assert refused_by(verify, token) == "algorithm"


def test_the_public_key_is_no_shared_secret(provider: Provider, verify: Verify) -> None:
    public = provider.private["rsa"][0].public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{encoded({'alg': 'HS256', 'kid': 'rsa'})}.{encoded(usual_claims())}"
    mac = hmac.digest(secret, signed.encode(), hashlib.sha256)
    assert refused_by(verify, f"{signed}.{encoded(mac)}") == "algorithm"


def test_a_key_in_the_tokens_own_header_is_not_looked_at(verify: Verify) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(RSAAlgorithm.to_jwk(own.public_key()))
    for header in (
        {"jwk": jwk},
        {"jku": "https://evil.example.com/keys"},
        {"x5u": "https://evil.example.com/chain"},
        {"x5c": ["MIIB"]},
    ):
        token = jwt.encode(usual_claims(), own, "RS256", headers={**header, "kid": "rsa"})
        assert refused_by(verify, token) == "signature"


def test_a_foreign_issuer_with_the_same_key_id_is_refused(verify: Verify) -> None:
    foreign = Provider()
    assert refused_by(verify, foreign.sign(usual_claims())) == "signature"


@pytest.mark.parametrize("key_id", ["unknown", "", "../../etc/passwd", "' OR 1=1 --", "rsa\x00"])
def test_a_key_id_only_chooses_among_the_providers_keys(
    provider: Provider, verify: Verify, key_id: str
) -> None:
    assert refused_by(verify, provider.sign(usual_claims(), header={"kid": key_id})) == "key"


def test_a_key_id_that_is_no_text_is_refused(verify: Verify) -> None:
    token = f"{encoded({'alg': 'RS256', 'kid': {'a': 1}})}.{encoded(usual_claims())}.AAAA"
    assert refused_by(verify, token) == "key id"


def test_a_key_verifies_only_the_algorithms_that_it_states(provider: Provider) -> None:
    stated = {**provider.public_jwk("rsa"), "alg": "RS256"}
    keys = parse_key_set(json.dumps({"keys": [stated]}).encode())
    checks = Checks()
    token = read_token(provider.sign(usual_claims(), algorithm="PS256"), checks)
    with pytest.raises(CheckFailed, match="key"):
        verify_web_identity(token, keys, issuer=ISSUER, client_ids=[CLIENT], now=NOW, checks=checks)


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"b64": False, "crit": ["b64"]}], ids=str
)
def test_extensions_that_must_be_understood_are_refused(verify: Verify, header: dict[str, Any]) -> None:
    token = f"{encoded({'alg': 'RS256', 'kid': 'rsa', **header})}.{encoded(usual_claims())}.AAAA"
    assert refused_by(verify, token) == "critical headers"


def test_a_changed_token_is_refused(provider: Provider, verify: Verify) -> None:
    header, _, signature = provider.sign(usual_claims()).split(".")
    assert refused_by(verify, f"{header}.{encoded(usual_claims(sub='root'))}.{signature}") == "signature"
    stripped = provider.sign(usual_claims()).rpartition(".")[0]
    assert refused_by(verify, f"{stripped}.") == "signature"


def test_a_member_that_is_there_twice_is_refused(verify: Verify) -> None:
    claims = f'{{"iss":"{ISSUER}","sub":"root","sub":"alice"}}'.encode()
    assert refused_by(verify, f"{encoded({'alg': 'RS256'})}.{encoded(claims)}.AAAA") == "claims"
    header = encoded(b'{"alg":"none","alg":"RS256"}')
    assert refused_by(verify, f"{header}.{encoded(usual_claims())}.AAAA") == "header"


def test_deep_nesting_is_refused(verify: Verify) -> None:
    for depth in (17, 1000, 7000):
        claims = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        assert refused_by(verify, f"{encoded({'alg': 'RS256'})}.{encoded(claims)}.AAAA"[:LONGEST_TOKEN]) in (
            "claims",
            "parts",
        )


def test_an_oversized_token_is_refused_unread(provider: Provider, verify: Verify) -> None:
    assert refused_by(verify, provider.sign(usual_claims(padding="a" * LONGEST_TOKEN))) == "size"


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b", "a.b.c", "a.b.c.d", "...", "é.é.é", "!!!!.!!!!.!!!!", "e30.e30.e30", "e30=.e30=.AAAA"],
)
def test_what_is_no_token_is_refused(verify: Verify, token: str) -> None:
    assert refused_by(verify, token) in ("parts", "header", "claims", "algorithm")


def test_half_a_character_is_refused(verify: Verify) -> None:
    claims = b'{"sub":"\\ud800"}'
    assert refused_by(verify, f"{encoded({'alg': 'RS256'})}.{encoded(claims)}.AAAA") == "claims"


def test_the_issuer_is_read_before_anything_is_proven_and_only_where_it_is_a_text(provider: Provider) -> None:
    for issuer, read in ((ISSUER, ISSUER), (7, None), (None, None)):
        token = read_token(provider.sign(usual_claims(iss=issuer)), Checks())
        assert unverified_issuer(token) == read


@given(st.text(max_size=300) | st.lists(st.binary(max_size=60).map(encoded), max_size=4).map(".".join))
def test_any_text_is_refused_without_another_error(text: str) -> None:
    checks = Checks()
    with pytest.raises(CheckFailed):
        token = read_token(text, checks)
        verify_web_identity(token, (), issuer=ISSUER, client_ids=[CLIENT], now=NOW, checks=checks)


@pytest.mark.parametrize("key_id", ["rsa", "p256"])
def test_each_part_of_a_token_has_one_spelling(verify: Verify, provider: Provider, key_id: str) -> None:
    """A lenient decoder passes over letters of no alphabet, padding, and bits that mean nothing."""
    token = provider.sign(usual_claims(), key_id)
    header, claims, signature = token.split(".")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 256 and 64 bytes end with a letter of which four bits mean nothing.
    other_bits = signature[:-1] + letters[letters.index(signature[-1]) ^ 1]
    for written in (
        other_bits,
        signature + "=",
        signature + "==",
        f"{signature[:8]}!{signature[8:]}",
        signature + "\n",
    ):
        assert refused_by(verify, f"{header}.{claims}.{written}") == "signature"
    for written in (header + "=", f"{header[:4]}!!!!{header[4:]}", header + "\n"):
        assert refused_by(verify, f"{written}.{claims}.{signature}") == "header"
    assert verify(token)
