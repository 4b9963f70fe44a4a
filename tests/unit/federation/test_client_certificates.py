"""Client certificates as the operator sets them up: which settings are impossible, and lists that change."""

from pathlib import Path

import pytest

from broker.assertions.certificate_verification import verify_client_certificate
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.client_certificate import ClientCertificate
from broker.assertions.revocation_lists import parse_revocation_lists
from broker.federation.client_certificates import (
    CertificateRules,
    ClientCertificates,
    faults_of_certificates,
    names_in,
    parse_certificate_role,
)
from broker.federation.mapped_roles import chosen_among
from tests.identity_providers.client_certificates import DAY, ClientAuthority, Holder, moment

READER, WRITER = (f"arn:aws:iam::111111111111:role/{name}" for name in ("reader", "writer"))
GOOD = CertificateRules(
    certificate_authorities="clients.pem",
    provider="certificates.example.com",
    roles=(f"cn:night = {READER}", f"dns:Host.example.com = {WRITER}", f"* = {READER}"),
)
ROOT = ClientAuthority()


def faults(rules: CertificateRules = GOOD, serves_tls: bool = True) -> list[str]:
    return list(faults_of_certificates(rules, serves_tls))


def test_good_settings_have_no_faults():
    assert faults() == []
    assert faults(CertificateRules(), serves_tls=False) == []


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("provider", "www.amazon.com"),
        ("provider", ""),
        ("roles", (f"night = {READER}",)),
        ("roles", (f"ou:night = {READER}",)),
        ("roles", (f"cn: = {READER}",)),
        ("roles", ("cn:night",)),
        ("roles", ("cn:night = reader",)),
        ("certificate_authorities", ""),
    ],
)
def test_an_impossible_setting_is_named(setting: str, wrong: object):
    rules = CertificateRules(
        **{**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__}, setting: wrong}
    )
    (fault,) = faults(rules)
    assert fault.startswith(setting)


def test_without_tls_nobody_could_show_a_certificate():
    (fault,) = faults(serves_tls=False)
    assert "tls.certificate_file" in fault


def test_the_first_rule_that_fits_gives_the_role():
    mapped = [parse_certificate_role(one) for one in GOOD.roles]

    def chosen(wanted: str | None = None, **names: object) -> str | None:
        return chosen_among(mapped[:2], names_in(ClientCertificate("", "", "1f", 0, **names)), wanted)

    assert chosen(common_name="night") == READER
    assert chosen(dns_names=("HOST.example.com",)) == WRITER
    assert chosen(WRITER, common_name="night") is None
    assert chosen(WRITER, common_name="night", dns_names=("host.example.com",)) == WRITER
    assert chosen(common_name="Night") is None
    assert chosen(uris=("cn:night",), email_addresses=("night",), dns_names=("night",)) is None
    assert chosen_among(mapped, (), None) == READER


def certificates(*files: Path) -> ClientCertificates:
    rules = CertificateRules(certificate_authorities="x", revocation_lists=tuple(map(str, files)))
    return ClientCertificates(rules, verify_client_certificate, parse_revocation_lists)


def is_good(known: ClientCertificates, holder: Holder) -> bool:
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = [one.public_bytes(Encoding.DER) for one in (holder.certificate, ROOT.certificate)]
    try:
        return bool(known.verify(chain, moment().timestamp(), Checks()))
    except CheckFailed:
        return False


def test_a_changed_list_counts_with_the_next_request_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    holder, file = ROOT.issue("night"), tmp_path / "revoked.pem"
    file.write_bytes(ROOT.revocations())
    known = certificates(file)
    assert is_good(known, holder)
    file.write_bytes(b"broken")
    assert is_good(known, holder)
    assert is_good(known, holder)
    assert caplog.text.count("the one before stays") == 1
    file.write_bytes(ROOT.revocations(holder))
    assert not is_good(known, holder)
    file.write_bytes(ROOT.revocations(ends=-DAY))
    assert not is_good(known, ROOT.issue("day"))


def test_a_list_that_is_deleted_while_serving_stays_in_force(tmp_path: Path):
    holder, file = ROOT.issue("night"), tmp_path / "revoked.pem"
    file.write_bytes(ROOT.revocations(holder))
    known = certificates(file)
    file.unlink()
    assert not is_good(known, holder)
    assert is_good(known, ROOT.issue("day"))


def test_a_list_that_cannot_be_used_at_the_start_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"revocation_lists: .*missing\.pem cannot be read"):
        certificates(tmp_path / "missing.pem")
    (tmp_path / "broken.pem").write_text("broken")
    with pytest.raises(
        ValueError, match=r"revocation_lists: .*broken\.pem is no certificate revocation list"
    ):
        certificates(tmp_path / "broken.pem")
