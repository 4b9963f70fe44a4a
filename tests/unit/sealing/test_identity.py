"""The commands are those that the EC2 User Guide tells its readers to type."""

import secrets
import subprocess
from pathlib import Path

import pytest

from broker.sealing.identity import SERIAL_ENTROPY, new_signing_identity, sign_document

NOW = 1_800_000_000.0
DOCUMENT = b'{\n  "accountId" : "111122223333",\n  "instanceId" : "i-0123456789abcdef0"\n}'
IDENTITY = new_signing_identity(NOW, secrets.token_bytes(SERIAL_ENTROPY))


def openssl(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *arguments], cwd=directory, capture_output=True, text=True, timeout=20, check=False
    )


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A directory with the files that the guide's commands name."""
    signatures = sign_document(IDENTITY, DOCUMENT)
    (tmp_path / "certificate").write_text(IDENTITY.certificate)
    (tmp_path / "document").write_bytes(DOCUMENT)
    (tmp_path / "signature.base64").write_text(signatures.signature)
    for name in ("pkcs7", "rsa2048"):
        text = getattr(signatures, name)
        (tmp_path / name).write_text(f"-----BEGIN PKCS7-----\n{text}\n-----END PKCS7-----\n")
    return tmp_path


def verify_bare(room: Path) -> bool:
    openssl(room, "base64", "-d", "-in", "signature.base64", "-out", "signature")
    (room / "key").write_text(openssl(room, "x509", "-pubkey", "-noout", "-in", "certificate").stdout)
    result = openssl(room, "dgst", "-sha256", "-verify", "key", "-signature", "signature", "document")
    return result.stdout.strip() == "Verified OK"


def verify_pkcs7(room: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = ["smime", "-verify", "-in", name, "-inform", "PEM", "-content", "document"]
    return openssl(room, *command, "-certfile", "certificate", "-noverify")


def test_openssl_verifies_the_bare_signature(room: Path) -> None:
    assert verify_bare(room)


def test_openssl_finds_a_changed_document_behind_the_bare_signature(room: Path) -> None:
    (room / "document").write_bytes(DOCUMENT.replace(b"1111", b"9999"))
    assert not verify_bare(room)


@pytest.mark.parametrize("name", ["pkcs7", "rsa2048"])
def test_openssl_verifies_the_pkcs7_forms_and_prints_the_document(room: Path, name: str) -> None:
    result = verify_pkcs7(room, name)
    assert "Verification successful" in result.stderr
    assert result.stdout.encode() == DOCUMENT


@pytest.mark.parametrize("name", ["pkcs7", "rsa2048"])
def test_openssl_refuses_another_certificate_for_the_pkcs7_forms(room: Path, name: str) -> None:
    other = new_signing_identity(NOW, secrets.token_bytes(SERIAL_ENTROPY))
    (room / "certificate").write_text(other.certificate)
    assert verify_pkcs7(room, name).returncode != 0


def test_the_certificate_says_until_when_it_is_good(room: Path) -> None:
    dates = openssl(room, "x509", "-noout", "-startdate", "-enddate", "-in", "certificate").stdout
    assert "notBefore=Jan 14 08:00:00 2027 GMT" in dates
    assert "notAfter=Jan  7 08:00:00 2057 GMT" in dates


def test_the_private_key_does_not_print_itself() -> None:
    assert "PRIVATE" not in repr(IDENTITY)
