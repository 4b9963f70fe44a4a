import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.assertions.ssh_public_keys import BrokenPublicKey, UnknownEncoding, read_ssh_public_key
from tests.certificates import Certified, rsa_key

KEY, SHORT = rsa_key().public_key(), rsa_key(1024).public_key()
CURVE, EDWARDS = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()


def ssh(key) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def pem(key, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> str:
    return key.public_bytes(Encoding.PEM, form).decode()


@pytest.mark.parametrize(
    "text",
    [ssh(KEY), f"{ssh(KEY)} bob@example.com\n", f"\n{pem(KEY)}", pem(KEY, PublicFormat.PKCS1)],
)
def test_a_key_is_the_same_in_either_encoding(text: str) -> None:
    facts = read_ssh_public_key(text)
    assert (facts.ssh, facts.pem) == (ssh(KEY), pem(KEY))
    assert facts == read_ssh_public_key(facts.ssh) == read_ssh_public_key(facts.pem)


def test_the_fingerprint_is_that_of_openssh_and_its_length_that_of_md5(tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(ssh(KEY))
    fingerprint = read_ssh_public_key(ssh(KEY)).fingerprint
    assert [len(pair) for pair in fingerprint.split(":")] == [2] * 16
    try:
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-E", "md5", "-f", file], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("no ssh-keygen here")
    assert f"MD5:{fingerprint} " in shown


@pytest.mark.parametrize("text", ["", "text", ssh(CURVE.public_key()), ssh(EDWARDS.public_key()), "ssh-rsa"])
def test_another_encoding_is_not_known(text: str) -> None:
    with pytest.raises(UnknownEncoding):
        read_ssh_public_key(text)


@pytest.mark.parametrize(
    "text",
    [
        "ssh-rsa text",
        "ssh-rsa AAAA",
        ssh(KEY)[:-40],
        ssh(SHORT),
        pem(SHORT),
        pem(CURVE.public_key()),
        f"{ssh(KEY)}\n{ssh(KEY)}",
        f"ssh-rsa {ssh(EDWARDS.public_key()).split()[1]}",
        Certified("certificate").pem,
        Certified("private").private_pem,
    ],
)
def test_what_is_no_long_rsa_key_is_refused(text: str) -> None:
    with pytest.raises(BrokenPublicKey):
        read_ssh_public_key(text)
