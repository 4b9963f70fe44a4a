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


def test_a_cached_key_is_found_again():
    keys = SigningKeys()
    keys.put(NAME, OLD, b"key")
    assert keys.get(NAME, OLD) == b"key"


def test_a_rotated_secret_never_finds_the_old_key():
    keys = SigningKeys()
    keys.put(NAME, OLD, b"old key")
    assert keys.get(NAME, NEW) is None
    keys.put(NAME, NEW, b"new key")
    assert keys.get(NAME, NEW) == b"new key"
    assert keys.get(NAME, OLD) is None
    assert len(keys) == 1


def test_the_cache_is_bounded_and_a_key_in_use_outlives_thousands_that_are_used_once():
    keys = SigningKeys(limit=10)
    keys.put(("hot",), OLD, b"hot")
    for number in range(5000):
        assert keys.get(("hot",), OLD) == b"hot"
        keys.put((str(number),), OLD, b"once")
    assert len(keys) == 10


def test_the_cache_prints_neither_keys_nor_secrets():
    keys = SigningKeys()
    keys.put(NAME, OLD, b"a signing key")
    assert repr(keys) == "SigningKeys(1 of 16384)"


def test_the_cache_has_no_secret():
    secret = "a secret that nobody should find in memory"
    keys = SigningKeys()
    keys.put(NAME, SecretKey(secret).digest, derive_signing_key(SecretKey(secret), *NAME[1:]))
    entries = [(entry.value, name) for name, entry in keys._keys._entries.items()]
    assert entries
    assert secret not in repr(entries)
