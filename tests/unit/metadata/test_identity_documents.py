"""The document and its signatures as a verifier fetches them; openssl judges."""

import asyncio
import json
import subprocess
from pathlib import Path

from broker.metadata.identity_documents import signing_identity
from broker.storage.store import INSTANCES
from tests.unit.metadata.conftest import NOW, World, instance

IDENTITY = "/latest/dynamic/instance-identity/"


async def test_openssl_verifies_what_the_machine_fetches_of_itself(world: World, tmp_path: Path):
    await world.machine()
    client = await world.client()
    token = await client.token()
    assert (await client.get(IDENTITY, token)).text == "document\npkcs7\nrsa2048\nsignature"
    document = await client.get(IDENTITY + "document", token)
    assert json.loads(document.body)["instanceId"] == instance().instance_id
    known = await signing_identity(world.store, NOW, bytes)
    (tmp_path / "certificate").write_text(known.certificate)
    (tmp_path / "document").write_bytes(document.body)
    for form in ("pkcs7", "rsa2048"):
        answer = await client.get(IDENTITY + form, token)
        wrapped = f"-----BEGIN PKCS7-----\n{answer.text}\n-----END PKCS7-----\n"
        (tmp_path / form).write_text(wrapped)
        command = f"smime -verify -in {form} -inform PEM -content document -certfile certificate -noverify"
        verified = await asyncio.to_thread(
            subprocess.run, ["openssl", *command.split()], cwd=tmp_path, capture_output=True, check=False
        )
        assert verified.stdout == document.body, verified.stderr


async def test_every_worker_signs_with_the_same_identity_however_many_begin_at_once(world: World):
    made = await asyncio.gather(*(signing_identity(world.store, NOW, bytes) for _ in range(4)))
    assert len(set(made)) == 1
    assert await signing_identity(world.store, NOW, bytes) == made[0]


async def test_the_signature_follows_the_document(world: World):
    await world.machine()
    client = await world.client()
    token = await client.token()
    before = await client.get(IDENTITY + "signature", token)
    assert (await client.get(IDENTITY + "signature", token)).body == before.body
    await world.put(INSTANCES, instance(instance_type="m7.large"))
    assert (await client.get(IDENTITY + "signature", token)).body != before.body


async def test_the_private_key_lies_sealed_in_the_store(world: World):
    await signing_identity(world.store, NOW, bytes)
    await world.store.engine.close()
    content = b"".join(path.read_bytes() for path in world.folder.glob("broker.sqlite*"))
    assert b"signing-identity" in content
    assert b"PRIVATE KEY" not in content
