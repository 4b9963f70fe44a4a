"""A request's body on its way to the store: checked as it passes, and completed only once it is proven."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from aiohttp import web

from broker.errors import Refusal
from broker.gateway.incoming import Incoming
from broker.gateway.refusals import invalid_argument
from broker.sigv4.checksums import CONTENT_MD5, is_checksum
from broker.sigv4.payload import PayloadForm
from broker.sigv4.streaming import BodyCheck, incomplete_body
from broker.sigv4.verify import VerifiedRequest

SILENT_SECONDS = 60.0  # how long a client may send nothing of a body
LARGEST_OBJECT = 5 << 30  # bytes, in one request ("Uploading objects")
_EMPTY: Mapping[str, str] = {}


def payload_length(incoming: Incoming, form: PayloadForm) -> int:
    """Bytes of the payload, as the request announces them. Raises Refusal MissingContentLength."""
    name = "x-amz-decoded-content-length" if form.is_chunked else "content-length"
    text = incoming.header(name)
    if not text:
        if name == "content-length" and "transfer-encoding" not in incoming.headers:
            return 0
        raise Refusal("MissingContentLength", "You must provide the Content-Length HTTP header.")
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise invalid_argument(f"{name} is not a number of bytes.")
    if int(text) > LARGEST_OBJECT:
        raise Refusal("EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")
    return int(text)


def nothing_arrives() -> Refusal:
    return Refusal(
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout period.",
    )


def body_check(
    verified: VerifiedRequest | None, incoming: Incoming, form: PayloadForm, *, covers_headers: bool
) -> BodyCheck:
    """`covers_headers` says whether the checksums in the headers are the body's: those of
    CompleteMultipartUpload are the object's.
    """
    claims = {
        name: value
        for name, value in incoming.headers.items()
        if is_checksum(name) and (covers_headers or name == CONTENT_MD5)
    }
    return BodyCheck(verified, form, payload_length(incoming, form), claims, announced_trailers(incoming))


def announced_trailers(incoming: Incoming) -> tuple[str, ...]:
    """The names in x-amz-trailer; only checksums may come there. Raises Refusal."""
    names = tuple(
        name.strip().lower() for name in incoming.header("x-amz-trailer").split(",") if name.strip()
    )
    if len(set(names)) != len(names) or not all(is_checksum(name) and name != CONTENT_MD5 for name in names):
        raise Refusal("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return names


class ByteSource(Protocol):
    """Gives the next bytes that have arrived, and none at the end."""

    async def readany(self) -> bytes: ...


class Body:
    """The payload of a request as it arrives: an asynchronous iterator of pieces, for one reader.

    # INVARIANT: the last piece is given only after `check.finish()`, so what a store holds by then is incomplete
    wherever the body is not proven. `failure` is why it ended early; `trailers` are known once `is_proven`.
    """

    def __init__(self, stream: ByteSource, check: BodyCheck) -> None:
        self._stream, self._check = stream, check
        self.is_empty = check.is_empty
        self.is_proven = False
        self.failure: Refusal | None = None
        self.trailers: Mapping[str, str] = _EMPTY

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            held = b""
            while data := await self._next():
                for piece in self._check.feed(data):
                    if held:
                        yield held
                    held = piece
            self.trailers = self._check.finish()
            self.is_proven = True
            if held:
                yield held
        except Refusal as refusal:
            self.failure = refusal
            raise
        except (web.RequestPayloadError, ConnectionError):
            self.failure = incomplete_body()
            raise self.failure from None
        except TimeoutError:
            self.failure = nothing_arrives()
            raise self.failure from None

    async def _next(self) -> bytes:
        async with asyncio.timeout(SILENT_SECONDS):
            return await self._stream.readany()

    async def read(self, limit: int, too_large: Callable[[], Refusal]) -> bytes:
        """All of it, proven; raises Refusal where it is longer than `limit` bytes."""
        pieces, length = [], 0
        async for piece in self:
            length += len(piece)
            if length > limit:
                raise too_large()
            pieces.append(piece)
        return b"".join(pieces)
