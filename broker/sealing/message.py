"""Sealed messages as text: encoded authorization messages, metadata session tokens, pagination markers.

Each purpose has keys of its own; the context binds a message to an account or an instance. A message that expires
contains its expiry. A message of a fixed size is sealed without the header and the padding that others need.
"""

from broker.sealing.envelope import OVERHEAD, SealBroken, key_of, open_with, seal
from broker.sealing.keyring import Keyring
from broker.sealing.packing import pack, unpack
from broker.sealing.text import decode_text, encode_text

LARGEST_MESSAGE = 1 << 16  # characters


def seal_message(keyring: Keyring, purpose: bytes, message: bytes, context: bytes, entropy: bytes) -> str:
    """URL-safe text that only `open_message` with the same purpose and context reads; sixteen fresh bytes.

    Long messages are compressed. Raises ValueError where the text would be longer than LARGEST_MESSAGE.
    """
    text = seal_fixed(keyring, purpose, pack(message), context, entropy)
    if len(text) > LARGEST_MESSAGE:
        raise ValueError(f"a sealed message of {len(text)} characters is over the {LARGEST_MESSAGE} allowed")
    return text


def open_message(keyring: Keyring, purpose: bytes, unverified_text: str, context: bytes, now: float) -> bytes:
    """The message that was sealed for `purpose` and `context`; raises SealBroken.

    `now` (epoch seconds) is for the expiry of retired keys; the caller checks the expiry of the message itself.
    """
    return unpack(open_fixed(keyring, purpose, unverified_text, context, now))


def seal_fixed(keyring: Keyring, purpose: bytes, message: bytes, context: bytes, entropy: bytes) -> str:
    """As `seal_message`, for messages of one size: OVERHEAD and the message are a multiple of three bytes.

    Raises ValueError for another size, whose text would have two spellings.
    """
    if (OVERHEAD + len(message)) % 3:
        raise ValueError(f"a message of {len(message)} bytes makes no envelope of a multiple of three")
    return encode_text(seal(keyring.for_purpose(purpose).primary, message, context, entropy))


def open_fixed(keyring: Keyring, purpose: bytes, unverified_text: str, context: bytes, now: float) -> bytes:
    """The message that `seal_fixed` has sealed; raises SealBroken. The caller checks its size."""
    envelope = decode_text(unverified_text, LARGEST_MESSAGE)
    key = key_of(keyring.for_purpose(purpose), envelope)
    message = open_with(key, envelope, context)
    if not key.opens_at(now):
        raise SealBroken(f"key {key.id.hex()} expired at {key.opens_until:.0f}")
    return message
