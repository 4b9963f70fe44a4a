"""The instance identity document, and the identity that signs it, which is made once and stored.

EC2 User Guide, "Instance identity documents". The document is a function of the record, so its signatures are too.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache

from broker.audit.event import iso_time
from broker.metadata.texts import json_text
from broker.sealing.identity import (
    SERIAL_ENTROPY,
    KeyAndCertificate,
    Signatures,
    new_signing_identity,
    sign_document,
)
from broker.storage.records import Instance, SigningIdentity
from broker.storage.store import SIGNING_IDENTITY, Store, Transaction


def document_text(instance: Instance, private_ip: str | None) -> str:
    """The document's exact text, which its signatures cover."""
    return json_text(
        {
            "accountId": instance.account_id,
            "architecture": instance.architecture,
            "availabilityZone": instance.availability_zone,
            "billingProducts": None,
            "devpayProductCodes": None,
            "marketplaceProductCodes": None,
            "imageId": instance.image_id,
            "instanceId": instance.instance_id,
            "instanceType": instance.instance_type,
            "kernelId": None,
            "pendingTime": iso_time(instance.launched_at),
            "privateIp": private_ip,
            "ramdiskId": None,
            "region": instance.region,
            "version": "2017-09-30",
        }
    )


async def signing_identity(store: Store, now: float, entropy: Callable[[int], bytes]) -> KeyAndCertificate:
    """The broker's signing identity, made where there is none yet. The operator publishes its certificate."""

    async def found(transaction: Transaction) -> SigningIdentity | None:
        return await transaction.find(SIGNING_IDENTITY, "")

    record = await store.transact(found)
    if record is None:
        # Making an RSA key takes a tenth of a second, so a thread does it. Of two that are made at once, one is stored.
        made = await asyncio.to_thread(new_signing_identity, now, entropy(SERIAL_ENTROPY))
        new = SigningIdentity(private_key=made.private_key, certificate=made.certificate)

        async def put_if_absent(transaction: Transaction) -> SigningIdentity:
            other = await found(transaction)
            if other is None:
                transaction.put(SIGNING_IDENTITY, "", new)
            return other or new

        record = await store.transact(put_if_absent)
    return KeyAndCertificate(record.private_key, record.certificate)


@lru_cache(maxsize=512)
def signatures_of(identity: KeyAndCertificate, document: str) -> Signatures:
    """Cached, because signing takes milliseconds and any signature of a document verifies it."""
    return sign_document(identity, document.encode())
