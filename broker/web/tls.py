"""TLS of a listener: a certificate from files, taken anew when they change, without a restart.

The context in use is changed in place, so it is only ever given a pair that has just been tried on another context:
OpenSSL takes the certificate before it looks at the key, and would be left with a half. Both files are read once and
handed over as they were read, because whoever renews certificates replaces one file after the other.
"""

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_logger = logging.getLogger("broker.tls")


class Certificate:
    """A pair of PEM files and the context that serves them; raises OSError (SSLError is one) where it cannot."""

    def __init__(self, certificate_file: str, key_file: str) -> None:
        self._files = (Path(certificate_file), Path(key_file))
        self.context = _new_context()
        self._stamp = self._look()
        self._load()

    async def reload_if_changed(self) -> None:
        """Take a changed pair for handshakes from now on; one that cannot be used is logged, the old one stays."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            # Remembered before it is tried: a broken pair is logged once, and looked at again when it changes.
            self._stamp = stamp
            self._load()
        except OSError as error:
            _logger.error("the changed certificate cannot be used, the one before stays: %s", error)
        else:
            _logger.info("the certificate has changed: new connections get the new one")

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        found = [file.stat() for file in self._files]
        return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)

    def _load(self) -> None:
        with _in_memory(self._files[0].read_bytes()) as chain, _in_memory(self._files[1].read_bytes()) as key:
            for context in (_new_context(), self.context):
                context.load_cert_chain(chain, key, password=_no_password)


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    """Without this OpenSSL asks at the terminal, and the server stands still."""
    raise ssl.SSLError("the key is protected by a password")


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A name under which OpenSSL can read `content`, and that no other process has."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
