"""Bodies as S3's clients send them, cut anywhere: the same payload, or the same refusal."""

import hmac
from base64 import b64encode
from hashlib import sha256
from zlib import crc32

import msgspec
import pytest
from botocore.auth import S3SigV4Auth
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.sigv4.authorization import find_authorization
from broker.sigv4.canonical import EMPTY_SHA256
from broker.sigv4.checksums import new_checksum
from broker.sigv4.payload import UNSIGNED, PayloadForm, read_payload_form
from broker.sigv4.signer import ASYMMETRIC, SYMMETRIC
from broker.sigv4.signing_keys import SigningKeys, derive_signing_key
from broker.sigv4.streaming import BodyCheck
from broker.sigv4.verify import S3_STREAMED, verify
from tests.unit.sigv4.conftest import SECRET, sign

NOW = 1767268800.0
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = f"{SIGNED}-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CRC = "x-amz-checksum-crc32"


def verified(claim):
    """A request that signs `claim`, whatever botocore would put there."""

    class Signer(S3SigV4Auth):
        def payload(self, request):
            return claim

    request = sign(Signer, method="PUT", url="http://127.0.0.1:8080/bucket/key", service="s3")
    return verify(
        request,
        find_authorization(request),
        SecretKey(SECRET),
        NOW,
        SigningKeys(),
        services=("s3",),
        dialect=S3_STREAMED,
    )


class ClientSide:
    """Signs chunks as the S3 API reference says, by its own few lines."""

    def __init__(self, request):
        scope = request.authorization.signer.scope
        self.key = derive_signing_key(SecretKey(SECRET), scope.date, scope.region, "s3")
        self.prefix = f"{request.authorization.signed_at}\n{scope.text}"
        self.previous = request.authorization.signature

    def sign(self, kind, ending):
        text = f"AWS4-HMAC-SHA256-{kind}\n{self.prefix}\n{self.previous}\n{ending}"
        self.previous = hmac.digest(self.key, text.encode(), "sha256").hex()
        return self.previous

    def chunk(self, data):
        signature = self.sign("PAYLOAD", f"{EMPTY_SHA256}\n{sha256(data).hexdigest()}")
        head = f"{len(data):x};chunk-signature={signature}\r\n".encode()
        return head + (data + b"\r\n" if data else b"")

    def trailer(self, values):
        lines = "".join(f"{name}:{value}\n" for name, value in values.items())
        signature = self.sign("TRAILER", sha256(lines.encode()).hexdigest())
        return (lines.replace("\n", "\r\n") + f"x-amz-trailer-signature:{signature}\r\n\r\n").encode()


def crc_of(data):
    return b64encode(crc32(data).to_bytes(4, "big")).decode()


def signed_body(request, pieces):
    client = ClientSide(request)
    return b"".join(client.chunk(piece) for piece in (*pieces, b"")) + b"\r\n"


def signed_body_with_trailer(request, pieces):
    client = ClientSide(request)
    chunks = b"".join(client.chunk(piece) for piece in (*pieces, b""))
    return chunks + client.trailer({CRC: crc_of(b"".join(pieces))})


def unsigned_body(pieces, trailers=None):
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    values = {CRC: crc_of(b"".join(pieces))} if trailers is None else trailers
    lines = "".join(f"{name}:{value}\r\n" for name, value in values.items())
    return chunks + f"0\r\n{lines}\r\n".encode()


def read(body, form, length, request=None, cuts=(), claims=None, trailers=()):
    """The payload, or the code of the refusal; the body arrives in pieces that end at `cuts`."""
    check = BodyCheck(request, form, length, claims or {}, trailers)
    given = b""
    try:
        start = 0
        for end in (*sorted(cuts), len(body)):
            for piece in check.feed(body[start:end]):
                assert piece
                given += piece
            start = end
        check.finish()
    except Refusal as refusal:
        return refusal.code
    return given


PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=4)
FORM_SIGNED = read_payload_form(SIGNED, SYMMETRIC)
FORM_SIGNED_TRAILER = read_payload_form(SIGNED_TRAILER, SYMMETRIC)
FORM_UNSIGNED_TRAILER = read_payload_form(UNSIGNED_TRAILER, SYMMETRIC)
SIGNING = verified(SIGNED)
SIGNING_TRAILER = verified(SIGNED_TRAILER)


def of_form(number, pieces):
    """A body of one of the forms, and how it is read."""
    if number == 0:
        return signed_body(SIGNING, pieces), {"form": FORM_SIGNED, "request": SIGNING}
    if number == 1:
        body = signed_body_with_trailer(SIGNING_TRAILER, pieces)
        return body, {"form": FORM_SIGNED_TRAILER, "request": SIGNING_TRAILER, "trailers": (CRC,)}
    return unsigned_body(pieces), {"form": FORM_UNSIGNED_TRAILER, "trailers": (CRC,)}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2), PIECES, st.data())
def test_however_a_body_is_cut_its_payload_is_the_same(number, pieces, data):
    body, how = of_form(number, pieces)
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8))
    payload = b"".join(pieces)
    assert read(body, length=len(payload), cuts=cuts, **how) == payload


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2), PIECES, st.data())
def test_a_body_that_was_changed_anywhere_is_refused_however_it_is_cut(number, pieces, data):
    body, how = of_form(number, pieces)
    place, value = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 255))
    changed = bytearray(body)
    changed[place] = value
    length = len(b"".join(pieces))
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8))
    whole = read(bytes(changed), length=length, **how)
    in_pieces = read(bytes(changed), length=length, cuts=cuts, **how)
    assert in_pieces == whole
    # What means the same is no change: the case of a length's digits, of a trailer's name.
    assert isinstance(whole, str) or whole == b"".join(pieces)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2), PIECES, st.data())
def test_a_body_that_ends_early_is_refused(number, pieces, data):
    body, how = of_form(number, pieces)
    end = data.draw(st.integers(0, len(body) - 1))
    assert isinstance(read(body[:end], length=len(b"".join(pieces)), **how), str)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2), PIECES, st.binary(min_size=1, max_size=30))
def test_what_follows_a_body_is_refused(number, pieces, more):
    body, how = of_form(number, pieces)
    assert read(body + more, length=len(b"".join(pieces)), **how) == "IncompleteBody"


@pytest.mark.parametrize("number", [0, 1])
def test_chunks_in_another_order_are_refused(number):
    pieces = [b"first", b"other"]
    body, how = of_form(number, pieces)
    size = body.index(b"\r\n", body.index(b"\r\n") + 2) + 2
    swapped = body[size : 2 * size] + body[:size] + body[2 * size :]
    assert read(swapped, length=10, **how) == "SignatureDoesNotMatch"


def test_a_chunk_that_is_left_out_is_refused():
    body = signed_body(SIGNING, [b"first", b"other"])
    size = body.index(b"\r\n", body.index(b"\r\n") + 2) + 2
    assert read(body[size:], FORM_SIGNED, 5, SIGNING) == "SignatureDoesNotMatch"


def test_chunks_of_another_request_are_refused():
    other = msgspec.structs.replace(
        SIGNING, authorization=msgspec.structs.replace(SIGNING.authorization, signature="0" * 64)
    )
    body = signed_body(other, [b"data"])
    assert read(body, FORM_SIGNED, 4, SIGNING) == "SignatureDoesNotMatch"


def test_an_unsigned_chunk_is_refused_where_chunks_are_signed_and_the_other_way_round():
    assert read(unsigned_body([b"data"], {}), FORM_SIGNED, 4, SIGNING) == "IncompleteBody"
    signed = signed_body(SIGNING, [b"data"])
    assert read(signed, FORM_UNSIGNED_TRAILER, 4) == "IncompleteBody"


def test_a_payload_of_another_length_than_announced_is_refused():
    for length in (3, 5):
        body, how = of_form(2, [b"data"])
        assert read(body, length=length, **how) == "IncompleteBody"
    assert read(b"data", UNSIGNED, 5) == "IncompleteBody"
    assert read(b"data", UNSIGNED, 3) == "IncompleteBody"


@pytest.mark.parametrize(
    ("trailers", "announced", "code"),
    [
        ({CRC: crc_of(b"other")}, (CRC,), "BadDigest"),
        ({CRC: "no base64!"}, (CRC,), "InvalidDigest"),
        ({}, (CRC,), "MalformedTrailerError"),
        ({CRC: crc_of(b"data")}, (), "MalformedTrailerError"),
        ({CRC: crc_of(b"data"), "x-amz-acl": "public-read"}, (CRC,), "MalformedTrailerError"),
        ({CRC: crc_of(b"data"), "x-amz-trailer-signature": "0" * 64}, (CRC,), "MalformedTrailerError"),
    ],
)
def test_trailers_that_were_not_announced_or_are_wrong_are_refused(trailers, announced, code):
    body = unsigned_body([b"data"], trailers)
    assert read(body, FORM_UNSIGNED_TRAILER, 4, trailers=announced) == code


def test_a_trailer_that_is_signed_is_needed_where_the_form_says_so():
    client = ClientSide(SIGNING_TRAILER)
    body = b"".join(client.chunk(piece) for piece in (b"data", b""))
    body += f"{CRC}:{crc_of(b'data')}\r\n\r\n".encode()
    assert read(body, FORM_SIGNED_TRAILER, 4, SIGNING_TRAILER, trailers=(CRC,)) == "SignatureDoesNotMatch"


def test_the_hash_of_a_whole_body_is_checked():
    form = PayloadForm(sha256=sha256(b"data").hexdigest())
    assert read(b"data", form, 4, cuts=(1, 2)) == b"data"
    assert read(b"dato", form, 4) == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize(
    ("name", "digest"),  # of 123456789: the check values of the catalogues of checksums
    [
        ("content-md5", "25f9e794323b453885f5181f1b624d0b"),
        ("x-amz-checksum-md5", "25f9e794323b453885f5181f1b624d0b"),
        ("x-amz-checksum-crc32", "cbf43926"),
        ("x-amz-checksum-crc32c", "e3069283"),
        ("x-amz-checksum-crc64nvme", "ae8b14860a799888"),
        ("x-amz-checksum-sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("x-amz-checksum-sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ("x-amz-checksum-xxhash64", "8cb841db40e6ae83"),
    ],
)
def test_checksums_in_headers_are_checked(name, digest):
    claims = {name: b64encode(bytes.fromhex(digest)).decode()}
    assert read(b"123456789", UNSIGNED, 9, claims=claims, cuts=(4,)) == b"123456789"
    assert read(b"123456780", UNSIGNED, 9, claims=claims) == "BadDigest"


@pytest.mark.parametrize("name", ["sha512", "xxhash3", "xxhash128"])
def test_the_other_checksums_tell_bodies_apart(name):
    checksum = new_checksum(f"x-amz-checksum-{name}")
    checksum.update(b"data")
    claims = {f"x-amz-checksum-{name}": b64encode(checksum.digest()).decode()}
    assert read(b"data", UNSIGNED, 4, claims=claims, cuts=(1,)) == b"data"
    assert read(b"dato", UNSIGNED, 4, claims=claims) == "BadDigest"


@pytest.mark.parametrize(
    ("claim", "algorithm"),
    [
        ("", SYMMETRIC),
        ("STREAMING", SYMMETRIC),
        ("0" * 63, SYMMETRIC),
        ("A" * 64, SYMMETRIC),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", SYMMETRIC),
        (SIGNED, ASYMMETRIC),
    ],
)
def test_a_claim_that_is_no_form_is_refused(claim, algorithm):
    with pytest.raises(Refusal, match="InvalidArgument"):
        read_payload_form(claim, algorithm)


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory():
    check = BodyCheck(None, FORM_UNSIGNED_TRAILER, 4)
    with pytest.raises(Refusal):
        for _ in range(100):
            list(check.feed(b"0" * 100))
