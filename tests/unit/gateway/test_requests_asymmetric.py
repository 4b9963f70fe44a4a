"""SigV4A's streaming forms. The request is signed by the AWS common runtime, through botocore; it signs no chunks in
Python, so those are signed here as the S3 API reference says.
"""

from base64 import b64encode
from hashlib import sha256
from zlib import crc32

import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.crt.auth import CrtS3SigV4AsymAuth
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from broker.sigv4.asymmetric import derive_private_scalar
from tests.unit.gateway.conftest import EMPTY, code_of, parsed

SIGNED = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
SIGNED_TRAILER = f"{SIGNED}-TRAILER"
CRC = "x-amz-checksum-crc32"


class Signer(CrtS3SigV4AsymAuth):
    """Signs the claim in the header, whatever the body is."""

    def _get_existing_sha256(self, request):
        return request.headers.get("x-amz-content-sha256")

    def _should_sha256_sign_payload(self, request):
        return True


class Upload:
    """A PUT of `pieces` as chunks; `chunks` are its parts, the last chunk and the trailers among them."""

    def __init__(self, stack, claim, pieces, *, secret=None, checksum=None):
        self.stack, payload = stack, b"".join(pieces)
        secret = stack.credentials.secret if secret is None else secret
        key_id = stack.credentials.access_key_id
        request = AWSRequest("PUT", f"http://{stack.host}:{stack.port}/first/key")
        request.headers["x-amz-content-sha256"] = claim
        request.headers["x-amz-decoded-content-length"] = str(len(payload))
        request.headers["content-encoding"] = "aws-chunked"
        if claim == SIGNED_TRAILER:
            request.headers["x-amz-trailer"] = CRC
        Signer(Credentials(key_id, secret.reveal()), "s3", "*").add_auth(request)
        self.headers = {"host": f"{stack.host}:{stack.port}", **dict(request.headers.items())}
        moment = request.headers["X-Amz-Date"]
        self.scope = f"{moment}\n{moment[:8]}/s3/aws4_request"
        self.previous = request.headers["Authorization"].rpartition("=")[2]
        self.key = derive_private_key(derive_private_scalar(key_id, secret), SECP256R1())
        self.chunks = [self.chunk(piece) for piece in (*pieces, b"")]
        if claim == SIGNED_TRAILER:
            self.chunks.append(
                self.trailer(checksum or b64encode(crc32(payload).to_bytes(4, "big")).decode())
            )
        else:
            self.chunks.append(b"\r\n")

    def sign(self, what, ending):
        text = f"AWS4-ECDSA-P256-SHA256-{what}\n{self.scope}\n{self.previous}\n{ending}"
        self.previous = self.key.sign(text.encode(), ECDSA(SHA256())).hex()
        return self.previous.ljust(144, "*")

    def chunk(self, data):
        signature = self.sign("PAYLOAD", f"{EMPTY}\n{sha256(data).hexdigest()}")
        return f"{len(data):x};chunk-signature={signature}\r\n".encode() + (data + b"\r\n" if data else b"")

    def trailer(self, checksum):
        signature = self.sign("TRAILER", sha256(f"{CRC}:{checksum}\n".encode()).hexdigest())
        return f"{CRC}:{checksum}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()

    async def send(self, *chunks):
        body = b"".join(chunks or self.chunks)
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"PUT /first/key HTTP/1.1\r\n{lines}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        return parsed(await self.stack.send(head.encode() + body))


def other_signature(chunk):
    """`chunk` with one digit of its signature changed."""
    place = chunk.index(b"=") + 40
    return chunk[:place] + (b"0" if chunk[place : place + 1] != b"0" else b"1") + chunk[place + 1 :]


@pytest.mark.parametrize("claim", [SIGNED, SIGNED_TRAILER])
@pytest.mark.parametrize("pieces", [[], [b"x"], [b"first ", b"second"], [b"x" * 65_536, b"y" * 200]])
async def test_chunks_that_are_signed_asymmetrically_arrive_whole(stack, claim, pieces):
    status, answer = await Upload(stack, claim, pieces).send()
    assert status == 200, answer
    assert stack.store.whole == [("PUT", "/first/key")]
    _, _, headers, body = stack.store.seen[0]
    payload = b"".join(pieces)
    if claim == SIGNED or not payload:
        assert body == payload
    else:  # the checksum goes on behind the body, unsigned as a store takes it
        assert payload[:60_000] in body
        assert headers["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@pytest.mark.parametrize("claim", [SIGNED, SIGNED_TRAILER])
async def test_chunks_that_are_changed_reordered_left_out_or_cut_leave_no_object(stack, claim):
    upload = Upload(stack, claim, [b"first ", b"second"])
    first, second, last, end = upload.chunks
    unpadded = first.replace(b"*", b"")
    assert (await upload.send(unpadded, second, last, end))[0] == 200  # padding is no part of a signature
    stack.store.seen.clear()
    for attack in (
        (first.replace(b"first", b"First"), second, last, end),
        (other_signature(first), second, last, end),
        (second, first, last, end),
        (first, last, end),
        (first, first, last, end),
        (first, second),
        (first, second[:-4]),
        (first, second, last),
        (first, second, last[:-8]),
        (first, second, last, end, b"more"),
    ):  # fmt: skip
        status, body = await upload.send(*attack)
        assert status >= 400
        assert code_of(body) in ("SignatureDoesNotMatch", "IncompleteBody"), attack
    assert stack.store.whole == []


async def test_trailers_that_are_wrong_or_of_another_signature_leave_no_object(stack):
    upload = Upload(stack, SIGNED_TRAILER, [b"data"])
    first, last, trailer = upload.chunks
    checksum = trailer[len(CRC) + 1 :].partition(b"\r\n")[0]
    unsigned = trailer.partition(b"\r\n")[0] + b"\r\n\r\n"
    for wrong, code in (
        (trailer.replace(checksum, b"AAAAAA=="), "SignatureDoesNotMatch"),
        (unsigned, "SignatureDoesNotMatch"),
        (b"\r\n", "MalformedTrailerError"),
        (trailer.replace(CRC.encode(), b"x-amz-checksum-sha1"), "MalformedTrailerError"),
        (b"x-amz-acl:public-read\r\n" + trailer, "MalformedTrailerError"),
    ):
        assert code_of((await upload.send(first, last, wrong))[1]) == code
    signed_but_wrong = Upload(stack, SIGNED_TRAILER, [b"data"], checksum="AAAAAA==")
    assert code_of((await signed_but_wrong.send())[1]) == "BadDigest"
    assert stack.store.whole == []


async def test_chunks_of_another_request_or_key_are_refused(stack):
    one, other = Upload(stack, SIGNED, [b"data"]), Upload(stack, SIGNED, [b"data"])
    assert code_of((await one.send(*other.chunks))[1]) == "SignatureDoesNotMatch"
    foreign = Upload(stack, SIGNED, [b"data"], secret=type(stack.credentials.secret)("another"))
    assert code_of((await foreign.send())[1]) == "SignatureDoesNotMatch"
    assert stack.store.whole == []
