"""A payload framed as aws-chunked for the store, unsigned, with the checksums that came behind it as trailers."""

from collections.abc import AsyncIterator, Sequence
from math import ceil

from broker.gateway.body import Body
from broker.sigv4.checksums import new_checksum

CLAIM = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_BLOCK = 64 << 10  # bytes of payload in each chunk but the last


def framed_length(length: int, trailers: Sequence[str]) -> int:
    """Bytes on the wire, known beforehand: stores want a Content-Length."""
    whole, rest = divmod(length, _BLOCK)
    ends = sum(len(name) + 1 + _base64_length(name) + 2 for name in trailers)
    return whole * _chunk_length(_BLOCK) + (_chunk_length(rest) if rest else 0) + len("0\r\n") + ends + 2


def _chunk_length(length: int) -> int:
    return len(f"{length:x}") + 2 + length + 2


def _base64_length(name: str) -> int:
    return 4 * ceil(len(new_checksum(name).digest()) / 3)


class Framed:
    """`body` as the store gets it. The last chunk follows only where the body is proven."""

    def __init__(self, body: Body) -> None:
        self._body = body

    @property
    def failure(self) -> Exception | None:
        return self._body.failure

    async def __aiter__(self) -> AsyncIterator[bytes]:
        waiting = bytearray()
        async for piece in self._body:
            waiting += piece
            while len(waiting) >= _BLOCK:
                yield b"%x\r\n%b\r\n" % (_BLOCK, bytes(waiting[:_BLOCK]))
                del waiting[:_BLOCK]
        if waiting:
            yield b"%x\r\n%b\r\n" % (len(waiting), bytes(waiting))
        lines = "".join(f"{name}:{value}\r\n" for name, value in self._body.trailers.items())
        yield f"0\r\n{lines}\r\n".encode()
