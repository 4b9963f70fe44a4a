"""Proofs of possession: of one request, of now, with the key that they are signed with."""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_decode, base64url_encode

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.proof_of_possession import LEEWAY, thumbprint_of, verify_possession
from tests.growth import cpu_seconds

NOW = 1_800_000_000
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
CLAIMS = {"htm": "POST", "htu": "https://api.example.com/v1/token", "iat": NOW, "jti": "an-id"}


def public(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return dict(ECAlgorithm.to_jwk(key.public_key(), as_dict=True))


def proof(
    claims: dict[str, Any] | None = None, *, key: Any = KEY, algorithm: str = "ES256", **header: Any
) -> str:
    headers = {"typ": "dpop+jwt", "jwk": public(KEY), **header}
    return jwt.encode({**CLAIMS, **(claims or {})}, key, algorithm=algorithm, headers=headers)


def verified(text: str, host: str = "api.example.com", now: float = NOW) -> Any:
    return verify_possession(text, "POST", host, "/v1/token", now, Checks())


def failed_check(text: str, **where: Any) -> str:
    with pytest.raises(CheckFailed) as caught:
        verified(text, **where)
    return caught.value.check.name


def test_a_proof_names_its_key_and_its_id() -> None:
    found = verified(proof())
    assert (found.thumbprint, found.proof_id) == (thumbprint_of(public(KEY)), "an-id")
    assert thumbprint_of(public(OTHER)) != found.thumbprint


@pytest.mark.parametrize("name", ["x", "y"])
def test_a_coordinate_that_lacks_its_zero_octets_is_of_the_same_key(name: str) -> None:
    """As the AWS CLI writes one key in 128 (RFC 7518, 6.2.1.2, demands all octets)."""
    key = next(
        key
        for key in (ec.derive_private_key(number, ec.SECP256R1()) for number in range(2, 10_000))
        if getattr(key.public_key().public_numbers(), name) < 1 << 248
    )
    whole = public(key)
    short = base64url_encode(base64url_decode(whole[name]).lstrip(b"\0")).decode()
    found = verified(proof(key=key, jwk={**whole, name: short}))
    assert len(short) < len(whole[name])
    assert found.thumbprint == thumbprint_of(whole)


@pytest.mark.parametrize("coordinate", [7, None, "", "A" * 44, "!", "A", "AAAA"])
def test_a_coordinate_of_no_point_is_refused(coordinate: object) -> None:
    assert failed_check(proof(jwk={**public(KEY), "x": coordinate})) == "proof key"


def test_a_thumbprint_is_that_of_the_rfc() -> None:
    """The key of RFC 9449, section 4.1, and its thumbprint in section 6.1."""
    jwk = {
        "kty": "EC",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        "crv": "P-256",
    }
    assert thumbprint_of(jwk) == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@pytest.mark.parametrize(
    ("claims", "check"),
    [
        ({"htm": "GET"}, "htm"),
        ({"htu": "https://api.example.com/token"}, "htu"),
        ({"htu": "https://evil.example/v1/token"}, "htu"),
        ({"htu": "https://api.example.com@evil.example/v1/token"}, "htu"),
        ({"htu": "https://api.example.com/v1/token?a=b"}, "htu"),
        ({"htu": "https://[/v1/token"}, "htu"),
        ({"htu": None}, "htu"),
        ({"iat": NOW - LEEWAY - 1}, "iat"),
        ({"iat": NOW + LEEWAY + 1}, "iat"),
        ({"iat": None}, "iat"),
        ({"iat": 10**400}, "iat"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": "a" * 257}, "jti"),
    ],
)
def test_a_proof_for_something_else_is_refused(claims: dict[str, Any], check: str) -> None:
    # PyJWT refuses to write what is no string; a client of another make would.
    text = proof({key: value for key, value in claims.items() if key != "jti" or type(value) is str})
    if claims.get("jti") == 7:
        text = jwt.api_jws.encode(
            b'{"htm":"POST","htu":"https://api.example.com/v1/token","iat":%d,"jti":7}' % NOW,
            KEY,
            algorithm="ES256",
            headers={"typ": "dpop+jwt", "jwk": public(KEY)},
        )
    assert failed_check(text) == check


def test_a_proof_of_another_key_than_it_shows_is_refused() -> None:
    assert failed_check(proof(key=OTHER)) == "signature"


def test_a_key_that_is_not_of_the_curve_or_is_private_is_refused() -> None:
    private = {**public(KEY), "d": "AAAA"}
    assert failed_check(proof(jwk=private)) == "proof key"
    assert failed_check(proof(jwk=None)) == "proof key"
    assert failed_check(proof(jwk=[public(KEY)])) == "proof key"
    numbers = rsa.generate_private_key(65537, 2048)
    of_rsa = dict(RSAAlgorithm.to_jwk(numbers.public_key(), as_dict=True))
    assert failed_check(proof(key=numbers, algorithm="RS256", jwk=of_rsa)) == "proof algorithm"


@pytest.mark.parametrize("text", ["", "a.b.c", "." * 30_000])
def test_what_is_no_token_is_refused(text: str) -> None:
    assert cpu_seconds(lambda: failed_check(text)) < 0.1


def test_another_type_of_token_is_no_proof() -> None:
    assert failed_check(proof(typ="JWT")) == "type"
