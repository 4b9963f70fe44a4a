"""Client certificates, good and bad, as the handshake hands them over: with the chain that it has verified."""

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from broker.assertions.certificate_verification import verify_client_certificate
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.client_certificate import ClientCertificate
from broker.assertions.revocation_lists import parse_revocation_lists
from tests.identity_providers.client_certificates import (
    CLIENT,
    DAY,
    SERVER,
    ClientAuthority,
    Holder,
    moment,
)

ROOT = ClientAuthority()
BELOW = ClientAuthority("below.test", ROOT)
SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def verified(
    holder: Holder, authority: ClientAuthority = ROOT, *lists: bytes, after: datetime.timedelta = 0 * DAY
) -> ClientCertificate:
    chain = [one.public_bytes(Encoding.DER) for one in [holder.certificate, *authority.chain]]
    parsed = tuple(one for content in lists for one in parse_revocation_lists(content)) if lists else None
    return verify_client_certificate(chain, (moment() + after).timestamp(), parsed, Checks())


def failed(holder: Holder, *arguments: Any, **more: Any) -> str:
    with pytest.raises(CheckFailed) as caught:
        verified(holder, *arguments, **more)
    return caught.value.check.name


def test_a_good_certificate_names_its_holder():
    names = [
        x509.DNSName("Night.example.com"),
        x509.UniformResourceIdentifier("spiffe://example.com/night"),
        x509.RFC822Name("night@example.com"),
    ]
    holder = BELOW.issue("night", names=names)
    found = verified(holder, BELOW)
    assert found == ClientCertificate(
        subject="CN=night",
        issuer="CN=below.test",
        serial_number=f"{holder.certificate.serial_number:x}",
        expires_at=int(holder.certificate.not_valid_after_utc.timestamp()),
        common_name="night",
        dns_names=("Night.example.com",),
        uris=("spiffe://example.com/night",),
        email_addresses=("night@example.com",),
    )


def test_a_certificate_ends_when_the_first_of_its_chain_does():
    holder = BELOW.issue("night", ends=9 * DAY)
    assert verified(holder, BELOW).expires_at == int(BELOW.certificate.not_valid_after_utc.timestamp())


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_keys_of_curves_are_good(key: Any):
    assert verified(ROOT.issue("night", key=key)).common_name == "night"


@pytest.mark.parametrize(
    ("check", "how"),
    [
        ("no authority", {"is_authority": True}),
        ("extended key usage", {"usages": ()}),
        ("extended key usage", {"usages": (SERVER,)}),
        ("key", {"key": SMALL}),
        ("key", {"key": ec.generate_private_key(ec.SECP192R1())}),
        ("signature algorithm", {"digest": hashes.SHA224()}),
        ("validity", {"begins": DAY / 2}),
        ("validity", {"ends": -DAY / 2}),
        ("key usage", {"extensions": [x509.KeyUsage(*[False] * 2, True, *[False] * 6)]}),
    ],
)
def test_a_certificate_that_is_not_for_clients_weak_or_out_of_time_is_refused(
    check: str, how: dict[str, Any]
):
    assert failed(ROOT.issue("night", **how)) == check


def test_two_common_names_are_refused_for_either_could_be_meant():
    assert failed(ROOT.issue("night", "admin")) == "common name"


def test_a_certificate_for_servers_and_clients_is_one_for_clients():
    assert verified(ROOT.issue("night", usages=(SERVER, CLIENT))).common_name == "night"


def test_a_certificate_that_is_good_at_the_handshake_is_refused_once_it_has_expired():
    holder = ROOT.issue("night")
    assert verified(holder, after=DAY / 2)
    assert failed(holder, after=DAY * 1.1) == "validity"


def test_an_expired_authority_in_between_is_refused():
    assert failed(BELOW.issue("night", ends=9 * DAY), BELOW, after=3 * DAY) == "validity"


def test_a_revoked_certificate_is_refused_and_another_one_is_not():
    revoked, other = ROOT.issue("night"), ROOT.issue("day")
    revocations = ROOT.revocations(revoked)
    assert failed(revoked, ROOT, revocations) == "revocation"
    assert verified(other, ROOT, revocations).common_name == "day"


def test_each_issuer_of_the_chain_needs_a_list():
    holder = BELOW.issue("night")
    assert failed(holder, BELOW, BELOW.revocations()) == "revocation list"
    assert verified(holder, BELOW, BELOW.revocations(), ROOT.revocations())
    below = Holder(BELOW.key, [BELOW.certificate])
    assert failed(holder, BELOW, BELOW.revocations() + ROOT.revocations(below)) == "revocation"


@pytest.mark.parametrize(
    "revocations",
    [
        ROOT.revocations(ends=-DAY),
        ROOT.revocations(signer=BELOW.key),
        ClientAuthority("clients.test").revocations(),
        ClientAuthority("another.test").revocations(),
    ],
    ids=["expired", "signed by another", "of a namesake", "of another"],
)
def test_a_list_that_proves_nothing_is_none(revocations: bytes):
    assert failed(ROOT.issue("night"), ROOT, revocations) == "revocation list"


def test_a_list_of_an_authority_that_may_not_sign_lists_is_none():
    may_not = [x509.KeyUsage(True, *[False] * 4, True, *[False] * 3)]
    key = ec.generate_private_key(ec.SECP256R1())
    below = ClientAuthority("weak.test", ROOT, key)
    below.certificate = ROOT.issue("weak.test", key=key, is_authority=True, extensions=may_not).certificate
    assert failed(below.issue("night"), below, below.revocations(), ROOT.revocations()) == "revocation list"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no list",
        b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----",
        ROOT.pem,
        ROOT.revocations(extensions=[x509.DeltaCRLIndicator(1)]),
        ROOT.revocations(
            extensions=[x509.IssuingDistributionPoint(None, None, False, False, None, True, False)]
        ),
    ],
)
def test_what_is_no_whole_list_is_refused(content: bytes):
    with pytest.raises(ValueError, match="is no certificate revocation list"):
        parse_revocation_lists(content)


def test_several_lists_may_be_in_one_file_and_one_may_be_in_der():
    assert len(parse_revocation_lists(ROOT.revocations() + b"\n" + BELOW.revocations())) == 2
    der = x509.load_pem_x509_crl(ROOT.revocations()).public_bytes(Encoding.DER)
    assert len(parse_revocation_lists(der)) == 1


@pytest.mark.parametrize(
    "chain", [[], [b""], [b"no certificate"], [ROOT.certificate.public_bytes(Encoding.DER)] * 11]
)
def test_what_is_no_chain_is_refused(chain: list[bytes]):
    checks = Checks()
    with pytest.raises(CheckFailed):
        verify_client_certificate(chain, moment().timestamp(), None, checks)
    assert not checks.made[-1].passed
