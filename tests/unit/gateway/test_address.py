from posixpath import normpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.gateway.address import (
    Address,
    KeyRules,
    encode_key,
    is_relative,
    read_address,
    require_prefix,
)

RULES = KeyRules(domains=("s3.example.org",), reserved=frozenset({"minio"}))
LITERAL = KeyRules(domains=("s3.example.org",), relative_keys=True)


def code_of(host, path, rules=RULES):
    with pytest.raises(Refusal) as refused:
        read_address(host, path, rules)
    return refused.value.code


@pytest.mark.parametrize(
    ("host", "path", "address"),
    [
        ("127.0.0.1:9000", "/", Address()),
        ("s3.example.org", "/", Address()),
        ("127.0.0.1", "/bucket", Address("bucket")),
        ("127.0.0.1", "/bucket/", Address("bucket")),
        ("127.0.0.1", "/bucket/a/b", Address("bucket", "a/b")),
        ("127.0.0.1", "/bucket/folder/", Address("bucket", "folder/")),
        ("bucket.s3.example.org", "/", Address("bucket")),
        ("Bucket.S3.Example.org:443", "/other/key", Address("bucket", "other/key")),
        ("a.b.s3.example.org", "/key", Address("a.b", "key")),
        ("s3.example.org", "/bucket/key", Address("bucket", "key")),
        ("other.example.org", "/bucket/key", Address("bucket", "key")),
    ],
)
def test_a_bucket_is_in_the_host_or_first_in_the_path(host, path, address):
    assert read_address(host, path, RULES) == address


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("%C3%A9", "é"),
        ("a%2Fb", "a/b"),  # a slash is a slash, however it was written
        ("a%252Fb", "a%2Fb"),  # encoded twice is another key
        ("%2e%2e%2e", "..."),
        ("a%3Fversions", "a?versions"),
        ("a%5Cb", "a\\b"),
    ],
)
def test_a_key_is_decoded_once(raw, key):
    assert read_address("localhost", f"/bucket/{raw}", RULES) == Address("bucket", key)


@pytest.mark.parametrize(
    "raw",
    ["../x", "a/../b", "a/./b", "a//b", "/a", "..", ".", "a/..", "%2e%2e/x", "a%2F..%2Fb", "a/%2e", "a/b//"],
)
def test_a_key_that_a_file_system_would_take_for_another_is_refused_unless_the_store_keeps_it(raw):
    assert code_of("localhost", f"/bucket/{raw}") == "InvalidURI"
    assert code_of("bucket.s3.example.org", f"/{raw}") == "InvalidURI"
    assert read_address("localhost", f"/bucket/{raw}", LITERAL).key


@pytest.mark.parametrize(
    "path",
    [
        "bucket/key",
        "http://elsewhere/bucket/key",
        "/bucket/%zz",
        "/bucket/%",
        "/bucket/%ff",
        "/bucket/é",
        "/bucket/a%00b",
        "*",
    ],
)
def test_a_path_that_cannot_be_read_is_refused(path):
    assert code_of("localhost", path) == "InvalidURI"


@pytest.mark.parametrize(
    "path",
    ["//", "//bucket/key", "/minio/admin/v3/info", "/-/health", "/_status", "/ab", "/Bucket/key", "/a..b/key",
     "/10.0.0.1/key", "/bucket%2Fkey", "/bucket%2F..%2Fother/key", "/.well-known/x", "/bucket-/key", "/" + "b" * 64],
)  # fmt: skip
def test_what_is_no_name_of_a_bucket_is_refused(path):
    assert code_of("localhost", path) == "InvalidBucketName"


def test_a_reserved_name_is_refused_in_the_host_too():
    assert code_of("minio.s3.example.org", "/admin/v3/info") == "InvalidBucketName"


@pytest.mark.parametrize("host", ["", "a b", "evil\r\nhost", "user@store", "a/b", "bucket.s3.example.org/"])
def test_a_host_that_cannot_be_read_is_refused(host):
    assert code_of(host, "/bucket/key") == "InvalidURI"


def test_a_key_is_at_most_1024_bytes_long():
    assert read_address("localhost", "/bucket/" + "a" * 1024, RULES).key
    assert code_of("localhost", "/bucket/" + "a" * 1025) == "KeyTooLongError"
    assert code_of("localhost", "/bucket/" + "%C3%A9" * 513) == "KeyTooLongError"


@pytest.mark.parametrize("prefix", ["../", "..", "a/../../other/", "/", "//", "a//"])
def test_a_prefix_follows_the_rule_of_keys(prefix):
    with pytest.raises(Refusal):
        require_prefix("prefix", prefix, RULES)
    require_prefix("prefix", prefix, LITERAL)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "...", ".a/"])
def test_a_usual_prefix_is_accepted(prefix):
    require_prefix("prefix", prefix, RULES)


@given(st.text(min_size=1, max_size=200))
def test_the_store_is_given_the_key_that_was_judged(key):
    """Whatever the key: its canonical encoding reads as the same key again."""
    try:
        encoded = encode_key(key)
    except UnicodeEncodeError:
        return  # a lone surrogate is in no request
    if "\0" in key or len(key.encode()) > 1024:
        return
    assert read_address("localhost", f"/bucket/{encoded}", LITERAL) == Address("bucket", key)
    assert encoded.isascii() and "?" not in encoded and "#" not in encoded


@given(st.lists(st.sampled_from(["", ".", "..", "a", "b.", "..c"]), min_size=1, max_size=5).map("/".join))
def test_a_key_is_relative_exactly_where_a_file_system_reads_it_differently(key):

    if not key:
        return
    plain = key.removesuffix("/") if key != "/" else key
    assert is_relative(key) is (
        normpath(plain) != plain or plain in (".", "..", "/") or key.startswith("/") or ".." in key.split("/")
    )
