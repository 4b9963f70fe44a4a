"""The chain of signatures over the chunks of a body: each covers the one before it, the first the request's own.

"Signature calculations for the Authorization header: transferring payload in multiple chunks" (Amazon S3 API
reference):

    StringToSign of a chunk    = algorithm "-PAYLOAD" LF time LF scope LF previous signature LF Hex(SHA256("")) LF
                                 Hex(SHA256(data))
    StringToSign of a trailer  = algorithm "-TRAILER" LF time LF scope LF previous signature LF
                                 Hex(SHA256(name ":" value LF ...))

A chunk's signature precedes its data, and is judged at the end of it: what has been passed on by then is
not proven yet. `broker.sigv4.streaming` says what its callers must do about it.
"""

from collections.abc import Mapping
from hashlib import sha256

from broker.errors import Refusal
from broker.sigv4.canonical import EMPTY_SHA256
from broker.sigv4.verify import VerifiedRequest, is_signed_with

_PADDING = "*"  # signatures of SigV4A have no fixed length, so those of chunks are padded to 144 characters


class ChunkSignatures:
    """Judges the chunks of `request` in their order."""

    def __init__(self, request: VerifiedRequest) -> None:
        authorization = request.authorization
        scope = authorization.signer.scope
        self._key = request.signing_key
        self._algorithm = scope.algorithm
        self._scope = f"{authorization.signed_at}\n{scope.text}"
        self._previous = authorization.signature
        self._claimed: str | None = None
        self._hash = sha256()

    def begin(self, signature: str) -> None:
        """A chunk begins that claims `signature`; the one before it ends here. Raises Refusal."""
        self.end()
        self._claimed, self._hash = signature.rstrip(_PADDING), sha256()

    def update(self, data: bytes) -> None:
        self._hash.update(data)

    def end(self) -> None:
        """Judge the chunk that has ended, where there is one. Raises Refusal SignatureDoesNotMatch."""
        if self._claimed is None:
            return
        self._require("PAYLOAD", self._claimed, f"{EMPTY_SHA256}\n{self._hash.hexdigest()}")
        self._claimed = None

    def require_trailers(self, values: Mapping[str, str], signature: str) -> None:
        """Raises Refusal where `signature` is not that of the trailers, given in the order in which they arrived."""
        lines = "".join(f"{name}:{value}\n" for name, value in values.items())
        self._require("TRAILER", signature.rstrip(_PADDING), sha256(lines.encode()).hexdigest())

    def _require(self, what: str, signature: str, ending: str) -> None:
        to_sign = f"{self._algorithm}-{what}\n{self._scope}\n{self._previous}\n{ending}"
        if not is_signed_with(self._key, signature, to_sign.encode()):
            raise Refusal(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and "
                "signing method.",
                reason=f"the signature of a chunk does not match: {what.lower()}",
            )
        self._previous = signature
