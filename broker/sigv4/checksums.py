"""The checksums of S3's `x-amz-checksum-…` headers and trailers, and of Content-MD5.

"Checking object integrity" (Amazon S3 user guide): the value is the base64 of the checksum, most significant byte
first. CRC-32C and CRC-64/NVME come from AWS's Common Runtime: in Python they would take a second for 5 MB.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from hashlib import md5, sha1, sha256, sha512
from typing import Protocol
from zlib import crc32

from awscrt.checksums import XXHash, crc32c, crc64nvme

from broker.errors import Refusal

PREFIX = "x-amz-checksum-"


class Checksum(Protocol):
    """As the hashes of hashlib."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A cyclic redundancy check; `function` continues the value of the data before."""

    def __init__(self, function: Callable[[bytes, int], int], length: int) -> None:
        self._function, self._length, self._value = function, length, 0

    def update(self, data: bytes, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")


class _XxHash:
    def __init__(self, hash_of: XXHash) -> None:
        self._hash = hash_of

    def update(self, data: bytes, /) -> None:
        self._hash.update(data)

    def digest(self) -> bytes:
        return bytes(self._hash.finalize())


CONTENT_MD5 = "content-md5"

_NEW: Mapping[str, Callable[[], Checksum]] = {
    CONTENT_MD5: lambda: md5(usedforsecurity=False),
    f"{PREFIX}crc32": lambda: _Crc(crc32, 4),
    f"{PREFIX}crc32c": lambda: _Crc(crc32c, 4),
    f"{PREFIX}crc64nvme": lambda: _Crc(crc64nvme, 8),
    f"{PREFIX}md5": lambda: md5(usedforsecurity=False),
    f"{PREFIX}sha1": lambda: sha1(usedforsecurity=False),
    f"{PREFIX}sha256": sha256,
    f"{PREFIX}sha512": sha512,
    f"{PREFIX}xxhash64": lambda: _XxHash(XXHash.new_xxhash64()),
    f"{PREFIX}xxhash3": lambda: _XxHash(XXHash.new_xxhash3_64()),
    f"{PREFIX}xxhash128": lambda: _XxHash(XXHash.new_xxhash3_128()),
}


def is_checksum(name: str) -> bool:
    """Whether a header of that name states a checksum of the body."""
    return name in _NEW


def new_checksum(name: str) -> Checksum:
    """Raises KeyError for a name that is none."""
    return _NEW[name]()


def require_checksum(name: str, checksum: Checksum, claimed: str) -> None:
    """Raises Refusal BadDigest where the body has another checksum, InvalidDigest for what is no base64."""
    try:
        expected = b64decode(claimed, validate=True)
    except (Base64Error, ValueError):
        raise Refusal(
            "InvalidDigest", "The Content-MD5 or checksum value that you specified is not valid."
        ) from None
    computed = checksum.digest()
    if computed != expected:
        what = "Content-MD5" if name == CONTENT_MD5 else name.removeprefix(PREFIX).upper()
        raise Refusal(
            "BadDigest",
            f"The {what} you specified did not match the calculated checksum.",
            reason=f"{name} is {b64encode(computed).decode()}, not what was claimed",
        )
