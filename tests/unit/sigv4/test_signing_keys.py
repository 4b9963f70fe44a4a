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


def test_a_cached_key_is_found():
    keys = SigningKeys()
    keys.add(NAME, OLD, b"key")
    assert keys.find(NAME, OLD) == b"key"


def test_a_rotated_secret_never_finds_the_old_key():
    keys = SigningKeys()
    keys.add(NAME, OLD, b"old key")
    assert keys.find(NAME, NEW) is None
    keys.add(NAME, NEW, b"new key")
    assert keys.find(NAME, NEW) == b"new key"
    assert keys.find(NAME, OLD) is None
    assert len(keys) == 1


def test_the_cache_is_bounded_and_evicts_the_oldest_entry():
    keys = SigningKeys(capacity=2)
    keys.add(("a",), OLD, b"a")
    keys.add(("b",), OLD, b"b")
    keys.add(("a",), NEW, b"a again")
    keys.add(("c",), OLD, b"c")
    assert len(keys) == 2
    assert keys.find(("b",), OLD) is None
    assert keys.find(("a",), NEW) == b"a again"


def test_the_cache_prints_neither_keys_nor_secrets():
    keys = SigningKeys()
    keys.add(NAME, OLD, b"a signing key")
    assert repr(keys) == "SigningKeys(1 of 4096)"


def test_the_cache_holds_no_secret():
    secret = "a secret that must not be in memory"
    keys = SigningKeys()
    keys.add(NAME, SecretKey(secret).digest, derive_signing_key(SecretKey(secret), *NAME[1:]))
    assert secret not in repr(vars(keys))
