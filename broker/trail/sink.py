"""Where files are delivered to: a store or a folder, which `app` opens."""

from collections.abc import Mapping
from typing import Protocol


class DeliveryFailed(Exception):
    """`code` is what accounts read, in S3's words; `reason` is for the operator's log."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class Sink(Protocol):
    async def put(self, bucket: str, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        """Put a whole object there, in place of one with the same name. Raises DeliveryFailed."""
