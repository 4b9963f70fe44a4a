import time
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.assertions.private_keys import is_pair, load_private_key, require_private_key
from tests.certificates import Certified, rsa_key

RSA, OTHER = Certified("rsa", key=rsa_key()), Certified("other", key=rsa_key())
CURVE = Certified("curve")


def integer(number: int) -> bytes:
    body = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return b"\x02" + length(len(body)) + body


def length(size: int) -> bytes:
    return bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")


def rsa_pem(*numbers: int) -> str:
    """An RSAPrivateKey (RFC 8017, A.1.2) of these numbers, whatever they are."""
    body = b"".join(map(integer, (0, *numbers)))
    return (
        "-----BEGIN RSA PRIVATE KEY-----\n"
        f"{b64encode(b'0' + length(len(body)) + body).decode()}\n"
        "-----END RSA PRIVATE KEY-----\n"
    )


def test_a_key_belongs_to_its_public_key_and_to_no_other() -> None:
    for own, others in ((RSA, (OTHER, CURVE)), (CURVE, (Certified("second"), RSA))):
        key = load_private_key(own.private_pem)
        assert is_pair(key, own.key.public_key())
        assert not any(is_pair(key, other.key.public_key()) for other in others)


@pytest.mark.parametrize("pem", ["", "secret text", RSA.pem, RSA.encrypted_pem, RSA.private_pem[:200]])
def test_what_is_no_unencrypted_key_is_refused_without_being_quoted(pem: str) -> None:
    with pytest.raises(ValueError, match="not an unencrypted private key in PEM") as refused:
        load_private_key(pem)
    assert not pem or pem not in str(refused.value)


def test_a_kind_of_key_that_certificates_of_servers_do_not_have_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError, match="neither"):
        load_private_key(pem)


def test_an_endless_key_is_refused_before_it_costs_anything() -> None:
    """The library looks for a minute whether the numbers of such a key are primes."""
    first, second = (1 << 8190) + 3, (1 << 8190) + 7
    pem = rsa_pem(first * second, 65537, 3, first, second, 1, 1, 1)
    began = time.process_time()
    for judge in (load_private_key, require_private_key):
        with pytest.raises(ValueError, match=r"bits|PEM"):
            judge(pem)
    assert time.process_time() - began < 1


def test_numbers_that_do_not_belong_together_are_no_key() -> None:
    numbers, other = RSA.key.private_numbers(), OTHER.key.private_numbers()
    pem = rsa_pem(
        numbers.public_numbers.n,
        65537,
        other.d,
        numbers.p,
        numbers.q,
        other.dmp1,
        other.dmq1,
        numbers.iqmp,
    )
    with pytest.raises(ValueError, match=r"PEM|sign"):
        require_private_key(pem)


def test_a_provider_needs_a_long_rsa_key() -> None:
    require_private_key(RSA.private_pem)
    for pem in (CURVE.private_pem, Certified("short", key=rsa_key(1024)).private_pem):
        with pytest.raises(ValueError, match="not an RSA key of at least 2048 bits"):
            require_private_key(pem)
