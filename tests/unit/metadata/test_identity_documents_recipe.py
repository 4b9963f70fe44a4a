"""The recipe of config/workloads.md with which others verify an instance's document, and what it refuses."""

import asyncio
import re
import subprocess
from pathlib import Path

from broker.metadata.identity_documents import signing_identity
from tests.certificates import Certified
from tests.unit.metadata.conftest import NOW, World

ROOT = Path(__file__).parents[3]
IDENTITY = "/latest/dynamic/instance-identity/"


def recipe() -> str:
    """The line of the guide that begins with `openssl smime`, with the ones that it goes on in."""
    text = (ROOT / "config" / "workloads.md").read_text("utf-8")
    found = re.search(r"^openssl smime .*?[^\\]$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


async def verify(folder: Path) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(
        subprocess.run, ["sh", "-c", recipe()], cwd=folder, capture_output=True, check=False
    )


async def test_the_recipe_verifies_a_document_and_refuses_a_changed_one(world: World, tmp_path: Path) -> None:
    await world.machine()
    client = await world.client()
    token = await client.token()
    document = (await client.get(IDENTITY + "document", token)).body
    signed = (await client.get(IDENTITY + "rsa2048", token)).text
    (tmp_path / "broker-instances.pem").write_text(
        (await signing_identity(world.store, NOW, bytes)).certificate
    )
    (tmp_path / "document").write_bytes(document)
    (tmp_path / "rsa2048").write_text(f"-----BEGIN PKCS7-----\n{signed}\n-----END PKCS7-----\n")
    assert (await verify(tmp_path)).returncode == 0
    (tmp_path / "document").write_bytes(document.replace(b"i-", b"j-"))
    assert (await verify(tmp_path)).returncode != 0


async def test_the_recipe_refuses_a_signature_that_brings_its_own_certificate(
    world: World, tmp_path: Path
) -> None:
    """Without -nointern openssl would take the certificate in the message for the signer's."""
    forger = Certified("forger")
    (tmp_path / "broker-instances.pem").write_text(
        (await signing_identity(world.store, NOW, bytes)).certificate
    )
    (tmp_path / "document").write_text('{"instanceId":"i-forged"}')
    (tmp_path / "forger.pem").write_text(forger.pem)
    (tmp_path / "forger.key").write_text(forger.private_pem)
    signing = (
        "smime -sign -in document -binary -signer forger.pem -inkey forger.key -outform PEM -out rsa2048"
    )
    made = await asyncio.to_thread(
        subprocess.run, ["openssl", *signing.split()], cwd=tmp_path, capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert (await verify(tmp_path)).returncode != 0
    careless = recipe().replace(" -nointern", "")
    taken = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", careless], cwd=tmp_path, capture_output=True, check=False
    )
    assert taken.returncode == 0  # what the option is for
