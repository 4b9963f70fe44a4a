"""What keys and certificates are, in words."""

from base64 import b64encode
from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from broker.assertions.key_descriptions import describe_certificate, describe_keys
from tests.certificates import Certified

BEGINS, ENDS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFIED = Certified("idp", key=KEY, begins=BEGINS, ends=ENDS)
JWK = {**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "one"}
CHAIN = [b64encode(CERTIFIED.certificate.public_bytes(Encoding.DER)).decode()]


def described(*keys: dict[str, object]):
    return describe_keys(msgspec.json.encode({"keys": keys}))


def test_a_key_with_a_certificate_has_its_dates():
    (key,) = described({**JWK, "x5c": CHAIN})
    assert (key.key_id, key.kind, key.algorithm) == ("one", "EC, secp256r1", "ES256")
    assert (key.begins, key.expires) == (BEGINS.timestamp(), ENDS.timestamp())


@pytest.mark.parametrize("chain", [None, [], ["no base64"], [7], ["AAAA"], "text"])
def test_a_key_without_a_certificate_that_can_be_read_has_none(chain: object):
    (key,) = described({**JWK, "x5c": chain})
    assert (key.begins, key.expires) == (None, None)


def test_an_rsa_key_says_its_size_and_all_that_it_may_verify():
    jwk = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
    (key,) = described(jwk)
    assert (key.key_id, key.kind) == ("", "RSA, 2048 bits")
    assert key.algorithm.startswith("RS256, RS384")


def test_a_set_without_a_key_that_can_verify_is_an_error():
    with pytest.raises(ValueError, match="no key"):
        described({"kty": "oct", "k": "c2VjcmV0"})


def test_a_certificate_says_its_subject_and_dates():
    shown = describe_certificate(CERTIFIED.pem)
    assert (shown.key_id, shown.kind, shown.algorithm) == ("CN=idp", "EC, secp256r1", "sha256")
    assert (shown.begins, shown.expires) == (BEGINS.timestamp(), ENDS.timestamp())
