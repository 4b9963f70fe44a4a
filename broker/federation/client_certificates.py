"""Clients that TLS certificates prove: the settings that say so, and the revocation lists, read again when they change.

What verifies them is handed in: so `cryptography.x509` is imported only where this is configured.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from broker.assertions.checks import Checks
from broker.assertions.client_certificate import ClientCertificate
from broker.causes import cause_of
from broker.federation.mapped_roles import (
    EVERYONE,
    MappedRole,
    is_provider_name,
    split_mapped_role,
)

_KINDS = ("cn", "dns", "uri", "email")

_logger = logging.getLogger("broker.federation")


class CertificateRules(msgspec.Struct, frozen=True, dict=True):
    """The settings `[client_certificates]`, which `config/broker.toml` explains; without authorities there are none."""

    certificate_authorities: str = ""
    provider: str = ""
    roles: tuple[str, ...] = ()
    revocation_lists: tuple[str, ...] = ()

    @cached_property
    def mapped_roles(self) -> tuple[MappedRole, ...]:
        """`roles`, parsed once."""
        return tuple(map(parse_certificate_role, self.roles))


def faults_of_certificates(rules: CertificateRules, serves_tls: bool) -> Iterator[str]:
    """What is wrong with the settings as far as texts show it, each beginning with the setting's name."""
    if not rules.certificate_authorities:
        if rules != CertificateRules():
            yield "certificate_authorities is empty: without it nothing else of [client_certificates] counts"
        return
    if not serves_tls:
        yield (
            "certificate_authorities: clients show certificates by TLS only; set tls.certificate_file and tls.key_file"
        )
    if not is_provider_name(rules.provider):
        yield (
            f"provider: {rules.provider!r} is no name for the authority; trust policies call it by one like that of a "
            "host, such as certificates.example.com"
        )
    for role in rules.roles:
        try:
            parse_certificate_role(role)
        except ValueError as error:
            yield f"roles: {error}"


def parse_certificate_role(text: str) -> MappedRole:
    """From `KIND:NAME = ROLE-ARN`, or `* = ROLE-ARN`; raises ValueError, in words for the operator."""
    form = "NAME = ROLE, where NAME is cn:…, dns:…, uri:…, email:… or *, and ROLE the ARN of a role"
    name, role_arn = split_mapped_role(text, form)
    kind, _, value = name.partition(":")
    if name != EVERYONE and (kind not in _KINDS or not value):
        raise ValueError(f"{text!r} is not {form}")
    return MappedRole(f"dns:{value.lower()}" if kind == "dns" else name, role_arn)


def names_in(certificate: ClientCertificate) -> tuple[str, ...]:
    """The names of a certificate as `roles` writes them."""
    common_name = (certificate.common_name,) if certificate.common_name else ()
    return (
        *(f"cn:{name}" for name in common_name),
        *(f"dns:{name.lower()}" for name in certificate.dns_names),
        *(f"uri:{name}" for name in certificate.uris),
        *(f"email:{name}" for name in certificate.email_addresses),
    )


# The chain as TLS showed it, in DER; epoch seconds; what `ParseLists` gave, None without files; checks -> who holds it.
# Raises CheckFailed.
Verify = Callable[[Sequence[bytes], float, Any, Checks], ClientCertificate]
ParseLists = Callable[[bytes], tuple[Any, ...]]


class ClientCertificates:
    """Raises ValueError, in words for the operator, for a revocation list that cannot be used at the start."""

    def __init__(self, rules: CertificateRules, verify: Verify, parse_lists: ParseLists) -> None:
        self.rules = rules
        self._verify = verify
        self._parse_lists = parse_lists
        self._files = {
            Path(name): (self._stamp(Path(name)), self._read(Path(name))) for name in rules.revocation_lists
        }

    def verify(self, unverified_chain: Sequence[bytes], now: float, checks: Checks) -> ClientCertificate:
        """Raises CheckFailed."""
        lists = None
        if self._files:
            self._reload_changed()
            lists = tuple(one for _, parsed in self._files.values() for one in parsed)
        return self._verify(unverified_chain, now, lists, checks)

    def _reload_changed(self) -> None:
        """One that cannot be read is logged, and the old one stays: it refuses by itself when it has expired."""
        for file, (stamp, _) in list(self._files.items()):
            try:
                found = self._stamp(file)
                if found != stamp:
                    # Set before it is read: a broken file is logged once, and tried again when it changes.
                    self._files[file] = (found, self._files[file][1])
                    self._files[file] = (found, self._read(file))
            except ValueError as error:
                _logger.error("the changed list cannot be used, the one before stays: %s", error)

    def _stamp(self, file: Path) -> tuple[int, int, int]:
        try:
            found = file.stat()
        except OSError as error:
            raise ValueError(f"revocation_lists: {file} cannot be read: {cause_of(error)}") from None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self, file: Path) -> tuple[Any, ...]:
        try:
            return self._parse_lists(file.read_bytes())
        except OSError as error:
            raise ValueError(f"revocation_lists: {file} cannot be read: {cause_of(error)}") from None
        except ValueError as error:
            raise ValueError(f"revocation_lists: {file} {error}") from None
