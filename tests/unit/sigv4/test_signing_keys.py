from broker.names.secret import SecretKey
from broker.sigv4.signing_keys import SigningKeys, derive_signing_key

NAME = ("AKIDEXAMPLE", "20260101", "eu-west-1", "sts")
OLD = SecretKey("old").digest
NEW = SecretKey("new").digest


def test_the_documented_key_is_derived():
    """IAM User Guide's example key for AKIDEXAMPLE on 20150830."""
    key = derive_signing_key(
        SecretKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "20150830", "us-east-1", "iam"
    )
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_a_kept_key_is_found_again():
    keys = SigningKeys()
    keys.keep(NAME, OLD, b"key")
    assert keys.find(NAME, OLD) == b"key"


def test_a_rotated_secret_never_finds_the_old_key():
    keys = SigningKeys()
    keys.keep(NAME, OLD, b"old key")
    assert keys.find(NAME, NEW) is None
    keys.keep(NAME, NEW, b"new key")
    assert keys.find(NAME, NEW) == b"new key"
    assert keys.find(NAME, OLD) is None
    assert len(keys) == 1


def test_the_cache_is_bounded_and_forgets_what_was_kept_first():
    keys = SigningKeys(capacity=2)
    keys.keep(("a",), OLD, b"a")
    keys.keep(("b",), OLD, b"b")
    keys.keep(("a",), NEW, b"a anew")
    keys.keep(("c",), OLD, b"c")
    assert len(keys) == 2
    assert keys.find(("b",), OLD) is None
    assert keys.find(("a",), NEW) == b"a anew"


def test_the_cache_prints_neither_keys_nor_secrets():
    keys = SigningKeys()
    keys.keep(NAME, OLD, b"a signing key")
    assert repr(keys) == "SigningKeys(1 of 4096)"


def test_the_cache_keeps_no_secret():
    secret = "a secret that nobody should find in memory"
    keys = SigningKeys()
    keys.keep(NAME, SecretKey(secret).digest, derive_signing_key(SecretKey(secret), *NAME[1:]))
    assert secret not in repr(vars(keys))
