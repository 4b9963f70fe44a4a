"""A nonce in an instance's user-data: who presents it first, in time and from where it may, is the instance.

A nonce is the instance's id, a dot and 32 random bytes. The store has its digest alone.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from secrets import compare_digest

from broker.names.addresses import Address, parse_network
from broker.storage.instance_records import InstanceBinding

NONCE_ENTROPY = 32
LONGEST_NONCE = 512  # characters


def new_nonce(instance_id: str, entropy: bytes) -> str:
    return f"{instance_id}.{urlsafe_b64encode(entropy).decode().rstrip('=')}"


def digest_of_nonce(nonce: str) -> bytes:
    return sha256(f"instance nonce\0{nonce}".encode("utf-8", "surrogateescape")).digest()


def named_instance(unverified_nonce: str) -> str:
    """The instance whose nonce it claims to be; "" where it has not the form of one."""
    return unverified_nonce.rpartition(".")[0] if len(unverified_nonce) <= LONGEST_NONCE else ""


def why_refused(binding: InstanceBinding, unverified_nonce: str, address: Address, now: float) -> str:
    """Why `address` cannot be bound with this nonce, for the operator; "" where it can."""
    if not compare_digest(binding.nonce_digest, digest_of_nonce(unverified_nonce)):
        return "it is not the instance's latest nonce"
    if binding.address:
        return f"the nonce was used already, by {binding.address}"
    if now >= binding.nonce_expires_at:
        return f"the nonce expired at {binding.nonce_expires_at}"
    if binding.network and address not in parse_network(binding.network):
        return f"the nonce is for {binding.network} alone"
    return ""
