"""TLS of a listener: a certificate from files, reloaded when they change, without a restart.

The context in use is changed in place, so a pair is first loaded into another context: OpenSSL sets the certificate
before it checks the key, and a pair that does not match would leave the context with half of it. Each file is read once
and both loads use what was read, because a renewal replaces one file after the other.
"""

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.assertions.uploaded_certificates import certificate_end
from broker.causes import explained

_logger = logging.getLogger("broker.tls")

_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


class UnusablePem(OSError):
    """What is wrong with a PEM file; the message names the file, and says what to do."""


class Certificate:
    """A pair of PEM files and the context that serves them; raises OSError, or UnusablePem, for an unusable pair."""

    def __init__(self, certificate_file: str, key_file: str) -> None:
        self._files = (Path(certificate_file), Path(key_file))
        self.context = _new_context()
        self._loaded_stamp = self._stamp_of_files()
        self._load()

    @property
    def ends_at(self) -> float:
        """When the certificate in use ends, in epoch seconds."""
        return self._ends_at

    def ask_clients(self, authorities: str) -> None:
        """Ask clients for a certificate of these authorities (a PEM file), and serve those that have none as well.

        What a client shows is verified, or its handshake fails. Raises OSError for a file that cannot be used.
        """
        try:
            self.context.load_verify_locations(cafile=authorities)
        except ssl.SSLError:
            raise UnusablePem(f"{authorities} holds no certificate in PEM ({_CERTIFICATE})") from None
        self.context.verify_mode = ssl.CERT_OPTIONAL
        # Each connection verifies again: a resumed session would carry an old verification.
        self.context.num_tickets = 0
        self.context.options |= ssl.OP_NO_TICKET

    async def reload_if_changed(self) -> None:
        """Use a changed pair for new handshakes; one that cannot be used is logged, and the old one stays."""
        try:
            stamp = self._stamp_of_files()
            if stamp == self._loaded_stamp:
                return
            # Set before the load: a broken pair is logged once, and tried again only when it changes.
            self._loaded_stamp = stamp
            self._load()
        except OSError as error:
            _logger.error(
                "the changed certificate cannot be used, the one before stays: %s", explained(error)
            )
        else:
            _logger.info("the certificate has changed: new connections get the new one")

    def _stamp_of_files(self) -> tuple[tuple[int, int, int], ...]:
        found = [file.stat() for file in self._files]
        return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)

    def _load(self) -> None:
        certificate, private_key = (file.read_bytes() for file in self._files)
        with _in_memory(certificate) as chain, _in_memory(private_key) as key:
            for context in (_new_context(), self.context):
                try:
                    context.load_cert_chain(chain, key, password=_no_password)
                except ssl.SSLError as error:
                    why = self._why_unusable(error, certificate, private_key, chain)
                    raise UnusablePem(why) from None
        self._ends_at = certificate_end(certificate)

    def _why_unusable(self, error: ssl.SSLError, certificate: bytes, key: bytes, chain: str) -> str:
        """`chain` is a path to the content of `certificate`."""
        of_certificate, of_key = self._files
        if _CERTIFICATE.encode() not in certificate:
            return f"{of_certificate} holds no certificate in PEM ({_CERTIFICATE})"
        if b"PRIVATE KEY-----" not in key:
            return f"{of_key} holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"
        reason = getattr(error, "reason", None) or ""  # that of `_no_password` has none
        if "MISMATCH" in reason:
            return f"the key {of_key} does not belong to the certificate {of_certificate}: take the two of one issue"
        if b"ENCRYPTED" in key:
            return f"the key {of_key} is protected by a password: store it without one (openssl pkey -in {of_key})"
        if "TOO" in reason:  # EE_KEY_TOO_SMALL, CA_MD_TOO_WEAK
            return f"{of_certificate} is too weak for OpenSSL ({reason}): issue another one"
        try:
            _new_context().load_verify_locations(cafile=chain)
        except ssl.SSLError:
            return f"{of_certificate} is damaged: OpenSSL cannot read a certificate in it"
        return f"{of_key} is damaged: OpenSSL cannot read its private key"


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    """Without this OpenSSL asks for a password at the terminal, and blocks the server."""
    raise ssl.SSLError("the key is protected by a password")


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path from which OpenSSL can read `content`, and which only this process can open."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
