"""Attacks on CreateSession: what an attacker sends, and the check that refuses it.

The attacker sees all requests of workloads, and has certificates of the same authority that are not good for this, or
an authority of their own. Where an attack is about what a certificate says, the authority itself has signed it.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.e2e.conftest import REGION
from tests.e2e.roles_anywhere import Anywhere
from tests.workload_certificates import (
    END_ENTITY,
    Issued,
    Signing,
    authority,
    new_key,
    workload,
)

SERVERS_ONLY = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), True)
IN_EXAMPLE_COM = (x509.NameConstraints([x509.DNSName("example.com")], None), True)
Attack = Callable[["Attacked"], Signing]


def dns(name: str) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName([x509.DNSName(name)]), False


@dataclass
class Attacked:
    """A role that the root's certificates may take, through `between` or without it."""

    scene: Anywhere
    root: Issued
    between: Issued
    own: Issued
    foreign: Issued = field(default_factory=lambda: authority("an authority"))

    def by(self, own: Issued, *chain: Issued, **more: Any) -> Signing:
        return Signing(self.scene.server.api, own, chain, REGION, self.scene.arns, **more)

    @cached_property
    def good(self) -> Signing:
        return self.by(self.own, self.between)

    def under(self, issuer: Issued, *chain: Issued, **more: Any) -> Signing:
        """A request by a new certificate of `issuer`."""
        return self.by(workload(issuer, **more), *chain)

    def through(self, **more: Any) -> Signing:
        """A request through an intermediate authority of the root that is like this."""
        between = authority("another between", issuer=self.root, **more)
        return self.under(between, between)


def _mixed(one: Attacked) -> Signing:
    """Signed by a key of the attacker's, with the certificate of another in the header."""
    return replace(one.good, own=_with_key(one.own, new_key()))


def _with_key(certified: Issued, key: Any) -> Issued:
    other = workload(None)
    other.certificate, other.key = certified.certificate, key
    return other


def _lookalike(one: Attacked) -> Signing:
    """An authority of the root's name, with a key of the attacker's, in the chain."""
    return one.under(one.foreign, one.foreign)


def _longer(one: Attacked) -> Signing:
    below = authority("below", issuer=one.between)
    return one.under(below, below, one.between)


def _loop(one: Attacked) -> Signing:
    """Two authorities that have certified each other."""
    first, second = authority("first"), authority("second")
    first_by_second = authority("first", issuer=second, key=first.key)
    second_by_first = authority("second", issuer=first, key=second.key)
    return one.under(first_by_second, first_by_second, second_by_first)


def _huge(one: Attacked) -> Signing:
    return one.by(one.own, *(authority(f"authority {number}", issuer=one.root) for number in range(6)))


def _constrained(one: Attacked) -> Signing:
    between = authority("another between", issuer=one.root, extensions=[IN_EXAMPLE_COM])
    return one.under(between, between, extensions=[dns("machine.example.org")])


def _ends(days: int) -> dict[str, Any]:
    return {"begins": timedelta(days=days - 30), "ends": timedelta(days=days)}


# Attacks by a certificate that its key has signed for: name -> the request, and the check that the journal names.
ON_CERTIFICATES: dict[str, tuple[Attack, str]] = {
    "of an authority of the attacker's": (lambda one: one.under(authority("evil")), "path"),
    "of an authority with the root's name": (lambda one: one.under(one.foreign), "path"),
    "with that authority in the chain": (_lookalike, "path"),
    "signed by itself": (lambda one: one.by(workload(None)), "path"),
    "an intermediate authority left out": (lambda one: one.by(one.own), "path"),
    "a certificate of a workload as an authority": (
        lambda one: one.under(one.own, one.own, one.between),
        "path",
    ),
    "an authority as a workload": (
        lambda one: one.under(one.root, usage=(True, True, True), constraints=(True, None)),
        "no authority",
    ),
    "the trust anchor itself": (lambda one: one.by(one.root), "no authority"),
    "for servers only": (lambda one: one.under(one.root, extensions=[SERVERS_ONLY]), "extended key usage"),
    "an authority for servers only": (
        lambda one: one.through(extensions=[SERVERS_ONLY]),
        "extended key usage",
    ),
    "not for signatures": (lambda one: one.under(one.root, usage=(False, False, False)), "key usage"),
    "without key usage": (lambda one: one.under(one.root, usage=None), "key usage"),
    "an authority that may not sign certificates": (
        lambda one: one.through(usage=END_ENTITY),
        "key usage of an issuer",
    ),
    "an authority without basic constraints": (lambda one: one.through(constraints=None), "path"),
    "a longer path than an authority allows": (_longer, "path"),
    "a name that an authority may not give": (_constrained, "path"),
    "an unknown critical extension": (lambda one: one.under(one.root, extensions=[UNKNOWN]), "path"),
    "an unknown critical extension of an authority": (lambda one: one.through(extensions=[UNKNOWN]), "path"),
    "expired": (lambda one: one.under(one.root, **_ends(-1)), "validity"),
    "not valid yet": (lambda one: one.under(one.root, begins=timedelta(days=1)), "validity"),
    "an expired authority": (lambda one: one.through(**_ends(-1)), "path"),
    "a small RSA key": (lambda one: one.under(one.root, key=new_key("rsa-1024")), "key"),
    "an authority with a small RSA key": (lambda one: one.through(key=new_key("rsa-1024")), "path"),
    "a weak curve": (lambda one: one.under(one.root, key=new_key("p-192")), "key"),
    "an empty subject": (lambda one: one.under(one.root, name=[]), "subject"),
    "two authorities that certify each other": (_loop, "path"),
    "six certificates in the chain": (_huge, "chain"),
}


def _at(seconds: int) -> Callable[[Attacked], Signing]:
    return lambda one: replace(one.good, at=datetime.now(UTC) + timedelta(seconds=seconds))


# Attacks on the signature: name -> the request, and the words of the journal.
ON_SIGNATURES: dict[str, tuple[Attack, str]] = {
    "the certificate of another": (_mixed, "is not that of the certificate's key"),
    "the serial number of another": (
        lambda one: replace(one.good, serial_number=str(one.between.certificate.serial_number)),
        "not the serial number of the certificate",
    ),
    "a serial number in hexadecimal digits": (
        lambda one: replace(one.good, serial_number=f"{one.own.certificate.serial_number:x}a"),
        "not the serial number of the certificate",
    ),
    "an algorithm of another kind of key": (
        lambda one: replace(one.good, algorithm="AWS4-X509-RSA-SHA256"),
        "The algorithm is not that of the certificate's key",
    ),
    "the certificate not signed": (
        lambda one: replace(one.good, unsigned=["x-amz-x509"]),
        "'x-amz-x509' must be a 'SignedHeader'",
    ),
    "the chain not signed": (
        lambda one: replace(one.good, unsigned=["x-amz-x509-chain"]),
        "'x-amz-x509-chain' must be a 'SignedHeader'",
    ),
    "the host not signed": (lambda one: replace(one.good, unsigned=["host"]), "must be a 'SignedHeader'"),
    "the date not signed": (
        lambda one: replace(one.good, unsigned=["x-amz-date"]),
        "'x-amz-date' must be a 'SignedHeader'",
    ),
    "a replay after a quarter of an hour": (_at(-960), "Signature expired"),
    "a signature of the future": (_at(960), "Signature not yet current"),
    "signed for another service": (
        lambda one: replace(one.good, service="sts"),
        "should be scoped to correct service: 'rolesanywhere'",
    ),
    "a body that hashes to something else": (
        lambda one: replace(one.good, headers={"x-amz-content-sha256": "0" * 64}),
        "'x-amz-content-sha256' header does not match",
    ),
}


def swapped_header(signing: Signing, name: str, value: str) -> tuple[str, dict[str, str], bytes]:
    path, headers, body = signing.request()
    return path, {**headers, name: value}, body


def _replaced_chain(one: Attacked) -> tuple[str, dict[str, str], bytes]:
    return swapped_header(one.good, "x-amz-x509-chain", base64.b64encode(one.foreign.der).decode())


def _replaced_certificate(one: Attacked) -> tuple[str, dict[str, str], bytes]:
    """The certificate and the chain change places: both are signed, each under its own name."""
    _, headers, _ = one.good.request()
    path, sent, body = swapped_header(one.good, "x-amz-x509", headers["x-amz-x509-chain"])
    return path, {**sent, "x-amz-x509-chain": headers["x-amz-x509"]}, body


def _replaced_query(one: Attacked) -> tuple[str, dict[str, str], bytes]:
    path, headers, body = one.good.request()
    return path.replace("workload-", "workload-9"), headers, body


def _replaced_body(one: Attacked) -> tuple[str, dict[str, str], bytes]:
    path, headers, _ = one.good.request()
    return path, headers, b'{"durationSeconds": 43200}'


def _replaced_date(one: Attacked) -> tuple[str, dict[str, str], bytes]:
    later = datetime.now(UTC) + timedelta(seconds=30)
    return swapped_header(one.good, "x-amz-date", later.strftime("%Y%m%dT%H%M%SZ"))


# What an attacker changes in a request that a workload has signed.
CHANGED: dict[str, tuple[Callable[[Attacked], tuple[str, dict[str, str], bytes]], str]] = {
    "another chain": (_replaced_chain, "is not that of the certificate's key"),
    "certificate and chain swapped": (_replaced_certificate, "not the serial number of the certificate"),
    "another role in the query": (_replaced_query, "is not that of the certificate's key"),
    "another body": (_replaced_body, "is not that of the certificate's key"),
    "another date": (_replaced_date, "is not that of the certificate's key"),
}


def new_attacked(scene: Anywhere, root: Issued) -> Attacked:
    between = authority("between", issuer=root, constraints=(True, 0))
    return Attacked(scene, root, between, workload(between))
