"""Envelopes: authenticated encryption under a key of the keyring.

The law:

1. An envelope is `version (1) | key id (8) | nonce (12) | AES-256-GCM ciphertext and tag (16 more)`.
   Header and context are the associated data: an envelope opens under the context it was sealed with, and
   under no other.
2. Only the primary key seals. Any key of the keyring opens; an unknown version, key or length is refused.
3. No nonce is used twice under one key. A nonce is BLAKE2b (RFC 7693: keyed, twelve bytes) of entropy, context and
   plaintext: with fresh entropy it is random, and should entropy ever repeat (a cloned machine, a forked
   worker), two different messages still get different nonces. Opening reads the nonce from the envelope, so how it
   is chosen is not part of the format. For random 96-bit nonces NIST SP 800-38D,
   8.3, bounds a key at 2^32 messages; with the daily rotation of `keyring.py` that is 49,000 seals a
   second, sustained. Each purpose (`Keyring.for_purpose`) has a key, and so a bound, of its own. A subkey
   per message would remove the bound, and cost a cipher set-up (2 us) at every seal and every open.
4. Every envelope that was ever sealed stays readable: a new format gets a new version byte, and the old one stays.
5. A client learns only that it was refused. `SealBroken.reason` is for the operator.
"""

from struct import Struct

from cryptography.exceptions import InvalidTag

from broker.sealing.key import KEY_ID_SIZE, NONCE_SIZE, KeyState, SealingKey
from broker.sealing.keyring import Keyring

VERSION = b"\x01"
NONCE_ENTROPY = 16
TAG_SIZE = 16
HEADER_SIZE = len(VERSION) + KEY_ID_SIZE
OVERHEAD = HEADER_SIZE + NONCE_SIZE + TAG_SIZE

_BODY_STARTS = HEADER_SIZE + NONCE_SIZE
_PRIMARY = KeyState.PRIMARY
_lengths = Struct(">II").pack


class SealBroken(Exception):
    """An envelope that does not open. `reason` is exact, for the operator; the error's text says nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__("the seal is broken")
        self.reason = reason


def seal(key: SealingKey, plaintext: bytes, context: bytes, nonce_entropy: bytes) -> bytes:
    """Seal `plaintext` under `key` (a primary) and `context`; needs NONCE_ENTROPY fresh bytes at every call.

    Raises ValueError where the key may not seal or the entropy is too short: both are bugs of the caller.
    """
    if key.state is not _PRIMARY:
        raise ValueError(f"a {key.state} key never seals")
    if len(nonce_entropy) < NONCE_ENTROPY:
        raise ValueError(f"sealing needs {NONCE_ENTROPY} bytes of entropy")
    material, header = key.material, VERSION + key.id
    # The lengths separate the parts: the same bytes, split otherwise, give another nonce.
    lengths = _lengths(len(nonce_entropy), len(context))
    nonce = material.nonce(b"".join((lengths, nonce_entropy, context, plaintext)))
    return header + nonce + material.aead.encrypt(nonce, plaintext, header + context)


def open_(keyring: Keyring, envelope: bytes, context: bytes) -> bytes:
    """The plaintext that was sealed under `context` with a key of `keyring`; raises SealBroken.

    Does not check when the key stops to open: for that use `key_of` and `open_with`, or rotate the keyring.
    """
    return open_with(key_of(keyring, envelope), envelope, context)


def key_of(keyring: Keyring, envelope: bytes) -> SealingKey:
    """The key that `envelope` names (only `open_with` proves that it was sealed with it); raises SealBroken."""
    if len(envelope) < OVERHEAD:
        raise SealBroken(f"an envelope has at least {OVERHEAD} bytes, this has {len(envelope)}")
    if envelope[:1] != VERSION:
        raise SealBroken(f"envelope version {envelope[0]} is unknown")
    key_id = envelope[1:HEADER_SIZE]
    key = keyring.find(key_id)
    if key is None:
        raise SealBroken(
            f"no key {key_id.hex()} in the keyring: sealed by another broker, or the key was dropped"
        )
    return key


def open_with(key: SealingKey, envelope: bytes, context: bytes) -> bytes:
    """The plaintext of `envelope`, whose key `key_of` has found; raises SealBroken."""
    try:
        return key.material.aead.decrypt(
            envelope[HEADER_SIZE:_BODY_STARTS], envelope[_BODY_STARTS:], envelope[:HEADER_SIZE] + context
        )
    except InvalidTag:
        raise SealBroken(
            f"the envelope under key {key.id.hex()} was tampered with, or sealed for another context"
        ) from None
