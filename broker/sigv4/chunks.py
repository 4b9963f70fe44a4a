"""The framing `aws-chunked`: pieces of a body as they arrive -> the payload, and the trailers behind it.

"Transferring payload in multiple chunks" and "Including trailing headers" (Amazon S3 API reference):

    chunk   = hexadecimal length [";chunk-signature=" signature] CRLF data CRLF
    body    = chunks, a chunk of length 0 whose data is missing, trailers
    trailer = name ":" value CRLF ... ["x-amz-trailer-signature:" signature CRLF] CRLF

Without trailers the last chunk ends with an empty line. However the body is cut into pieces, the payload is the same,
or the refusal is.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from broker.errors import Refusal

LONGEST_LINE = 1024  # bytes, of the head of a chunk and of a trailer
MOST_TRAILERS = 16
TRAILER_SIGNATURE = "x-amz-trailer-signature"
_LINE_END = b"\r\n"

_HEAD = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9a-f]{64,144}\*{0,80}))?")
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]*?)[ \t]*\n?")


class ChunkStart(msgspec.Struct, frozen=True):
    """The head of a chunk: its length in bytes, and its signature, empty where it is not signed."""

    length: int
    signature: str


class Trailers(msgspec.Struct, frozen=True):
    """What follows the last chunk: values by lower-case name, and the signature of them, empty where there is none."""

    values: Mapping[str, str]
    signature: str


Part = ChunkStart | bytes | Trailers


class ChunkReader:
    """Reads one body; `is_signed` and `has_trailers` are what the request's signature says of its form.

    `feed` gives what became complete: the head of a chunk, pieces of its data (never empty), and at the very end the
    trailers. `has_ended` is true once all of it was read.
    """

    def __init__(self, *, is_signed: bool, has_trailers: bool) -> None:
        self._is_signed = is_signed
        self._has_trailers = has_trailers
        self._line = bytearray()
        self._left = 0  # bytes of data that the chunk still has
        self._read = self._read_head
        self._trailers: dict[str, str] = {}
        self._signature = ""
        self.has_ended = False

    def feed(self, data: bytes) -> Iterator[Part]:
        """Raises Refusal, after the parts that are in front of what is wrong."""
        start = 0
        while start < len(data):
            if self.has_ended:
                raise malformed("there is more behind the last chunk")
            if self._left:
                piece = data[start : start + self._left] if start or self._left < len(data) else data
                start += len(piece)
                self._left -= len(piece)
                yield piece
                continue
            start, line = self._take_line(data, start)
            if line is not None and (part := self._read(line)) is not None:
                yield part

    def _take_line(self, data: bytes, start: int) -> tuple[int, bytes | None]:
        """Where to go on, and the line without its end; None where its end has not arrived."""
        end = data.find(b"\n", start)
        stop = len(data) if end < 0 else end + 1
        self._line += data[start:stop]
        if len(self._line) > LONGEST_LINE:
            raise malformed("a line is too long")
        if not self._line.endswith(_LINE_END):
            return stop, None
        line = bytes(self._line[:-2])
        self._line.clear()
        return stop, line

    def _read_head(self, line: bytes) -> Part | None:
        match = _HEAD.fullmatch(line)
        if match is None or (match[2] is not None) is not self._is_signed:
            raise malformed("the head of a chunk cannot be read")
        self._left = int(match[1], 16)
        if self._left:
            self._read = self._read_end_of_data
        else:
            self._read = self._read_trailer
        return ChunkStart(self._left, (match[2] or b"").decode())

    def _read_end_of_data(self, line: bytes) -> Part | None:
        if line:
            raise malformed("a chunk is longer than its head says")
        self._read = self._read_head
        return None

    def _read_trailer(self, line: bytes) -> Part | None:
        if not line:
            self.has_ended = True
            return Trailers(self._trailers, self._signature)
        match = _TRAILER.fullmatch(line)
        if match is None or not self._has_trailers:
            raise malformed("a trailer cannot be read", "MalformedTrailerError")
        name, value = match[1].decode().lower(), match[2].decode()
        if name in self._trailers or self._signature or len(self._trailers) == MOST_TRAILERS:
            raise malformed("there are too many trailers", "MalformedTrailerError")
        if name == TRAILER_SIGNATURE:
            self._signature = value
        else:
            self._trailers[name] = value
        return None


def malformed(reason: str, code: str = "IncompleteBody") -> Refusal:
    """The sentences are those of S3's list of error codes."""
    if code == "MalformedTrailerError":
        message = "The request contained trailing data that was not well-formed or did not conform to our published "
        message += "schema."
    else:
        message = "The request body is not framed as its signature says."
    return Refusal(code, message, reason=reason)
