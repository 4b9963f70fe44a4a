"""Certificates from files, reloaded while connections are served."""

import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from broker.web.tls import Certificate


def make_pair(folder: Path, name: str) -> None:
    """A key and a certificate for `name`, put where the server looks for them."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    files = ["-keyout", folder / "key.pem", "-out", folder / "chain.pem"]
    subprocess.run([*command.split(), "-subj", f"/CN={name}", *files], check=True, capture_output=True)


def served_name(certificate: Certificate) -> bytes:
    """The certificate that a client is shown in a handshake, as DER."""
    ours, theirs = socket.socketpair()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = threading.Thread(
        target=lambda: certificate.context.wrap_socket(theirs, server_side=True).close()
    )
    server.start()
    with ours, context.wrap_socket(ours) as client:
        shown = client.getpeercert(binary_form=True)
    server.join()
    theirs.close()
    assert shown is not None
    return shown


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    make_pair(tmp_path, "first.test")
    return Certificate(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem"))


async def test_a_changed_pair_is_taken(certificate: Certificate, tmp_path: Path):
    assert b"first.test" in served_name(certificate)
    make_pair(tmp_path, "second.test")
    await certificate.reload_if_changed()
    assert b"second.test" in served_name(certificate)


async def test_half_a_change_leaves_the_old_pair_in_force_until_the_other_half_comes(
    certificate: Certificate, tmp_path: Path, caplog
):
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    old_key = key.read_bytes()
    make_pair(tmp_path, "second.test")
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    await certificate.reload_if_changed()
    assert b"first.test" in served_name(certificate)
    assert "the one before stays" in caplog.text
    key.write_bytes(new_key)
    await certificate.reload_if_changed()
    assert b"second.test" in served_name(certificate)
    assert chain.exists()


@pytest.mark.parametrize("name", ["chain.pem", "key.pem"])
async def test_a_file_that_is_gone_or_garbage_changes_nothing(
    certificate: Certificate, tmp_path: Path, caplog, name: str
):
    (tmp_path / name).write_text("garbage")
    await certificate.reload_if_changed()
    (tmp_path / name).unlink()
    await certificate.reload_if_changed()
    assert b"first.test" in served_name(certificate)
    assert caplog.text.count("the one before stays") == 2


async def test_a_broken_pair_is_logged_once(certificate: Certificate, tmp_path: Path, caplog):
    (tmp_path / "chain.pem").write_text("garbage")
    for _ in range(3):
        await certificate.reload_if_changed()
    assert caplog.text.count("the one before stays") == 1


def test_a_key_with_a_password_is_refused_without_a_prompt(tmp_path: Path):
    make_pair(tmp_path, "first.test")
    command = ["openssl", "ec", "-in", tmp_path / "key.pem", "-aes256", "-passout", "pass:secret"]
    subprocess.run([*command, "-out", tmp_path / "locked.pem"], check=True, capture_output=True)
    with pytest.raises(OSError, match="password"):
        Certificate(str(tmp_path / "chain.pem"), str(tmp_path / "locked.pem"))


def test_old_versions_of_tls_are_not_spoken(certificate: Certificate):
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2
