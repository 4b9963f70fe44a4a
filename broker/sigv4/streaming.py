"""A body checked while it is streamed: its framing, signatures, hash, checksums and length.

# DANGER: what `feed` gives is proven only once `finish` has returned. Who passes it on must be able to take it back: a
store gets the length beforehand, and is given the last byte only afterwards.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256

from broker.errors import Refusal
from broker.sigv4.checksums import Checksum, is_checksum, new_checksum, require_checksum
from broker.sigv4.chunk_signatures import ChunkSignatures
from broker.sigv4.chunks import ChunkReader, ChunkStart, Part, Trailers, malformed
from broker.sigv4.payload import PayloadForm
from broker.sigv4.verify import VerifiedRequest

_NONE: Mapping[str, str] = {}


class BodyCheck:
    """One body. `length` is that of its payload in bytes; `claims` are the checksums in its headers, by name.

    `trailers` are the names, in lower case, that the request announces.
    """

    def __init__(
        self,
        request: VerifiedRequest | None,
        form: PayloadForm,
        length: int,
        claims: Mapping[str, str] = _NONE,
        trailers: tuple[str, ...] = (),
    ) -> None:
        self._form, self._left, self._claims, self._announced = form, length, claims, trailers
        self.is_empty = not length
        self._checksums: dict[str, Checksum] = {
            name: new_checksum(name) for name in (*claims, *trailers) if is_checksum(name)
        }
        self._hash = sha256() if form.sha256 else None
        self._chunks = (
            ChunkReader(is_signed=bool(form.algorithm), has_trailers=form.has_trailer)
            if form.is_chunked
            else None
        )
        self._signatures = ChunkSignatures(request) if request is not None and form.algorithm else None
        self._trailers = Trailers(_NONE, "")

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payload in `data`. Raises Refusal, after what is in front of the error."""
        if self._chunks is None:
            yield self._counted(data)
            return
        for part in self._chunks.feed(data):
            if isinstance(part, bytes):
                if self._signatures is not None:
                    self._signatures.update(part)
                yield self._counted(part)
            else:
                self._take(part)

    def finish(self) -> Mapping[str, str]:
        """The trailers. Raises Refusal where the body is not what its request says: IncompleteBody, BadDigest, ..."""
        if self._left or (self._chunks is not None and not self._chunks.has_ended):
            raise incomplete_body()
        if self._hash is not None and self._hash.hexdigest() != self._form.sha256:
            raise Refusal(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        for name, checksum in self._checksums.items():
            for claimed in filter(None, (self._claims.get(name), self._trailers.values.get(name))):
                require_checksum(name, checksum, claimed)
        return self._trailers.values

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise malformed("the payload is longer than was announced")
        if self._hash is not None:
            self._hash.update(data)
        for checksum in self._checksums.values():
            checksum.update(data)
        return data

    def _take(self, part: Part) -> None:
        if isinstance(part, ChunkStart):
            if self._signatures is not None:
                self._signatures.begin(part.signature)
            return
        assert isinstance(part, Trailers)
        if set(part.values) != set(self._announced):
            raise malformed("the trailers are not those that were announced", "MalformedTrailerError")
        if self._signatures is not None:
            self._signatures.end()
            if self._form.has_trailer:
                self._signatures.require_trailers(part.values, part.signature)
        elif part.signature:
            raise malformed("a trailer is signed where no chunk is", "MalformedTrailerError")
        self._trailers = part


def incomplete_body() -> Refusal:
    return Refusal(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    )
