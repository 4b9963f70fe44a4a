"""The instance identity document, and the identity that signs it: made once, kept in the store.

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
    """The document, to the byte: its signatures are over this text."""
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
    """The broker's signing identity, made where there is none yet. The certificate is for the operator to hand out."""

    async def found(transaction: Transaction) -> SigningIdentity | None:
        return await transaction.find(SIGNING_IDENTITY, "")

    record = await store.transact(found)
    if record is None:
        # An RSA key takes a tenth of a second to make: not on the event loop. Of two that are made at once, one stays.
        made = await asyncio.to_thread(new_signing_identity, now, entropy(SERIAL_ENTROPY))
        new = SigningIdentity(private_key=made.private_key, certificate=made.certificate)

        async def keep(transaction: Transaction) -> SigningIdentity:
            other = await found(transaction)
            if other is None:
                transaction.put(SIGNING_IDENTITY, "", new)
            return other or new

        record = await store.transact(keep)
    return KeyAndCertificate(record.private_key, record.certificate)


@lru_cache(maxsize=512)
def signatures_of(identity: KeyAndCertificate, document: str) -> Signatures:
    """Kept, for signing takes milliseconds and always gives what verifies the same document."""
    return sign_document(identity, document.encode())
