"""The master key: 32 bytes that the operator provides; it seals the keyrings.

It can be rotated: the current master seals, the current and the previous ones open.
"""

import base64
import binascii
from collections.abc import Iterable

import msgspec

from broker.sealing.envelope import open_, seal
from broker.sealing.key import KEY_ID_SIZE, SECRET_SIZE, KeyMaterial, KeyState, SealingKey
from broker.sealing.keyring import Keyring, keyring_from_bytes, keyring_to_bytes

_FEWEST_DIFFERENT_BYTES = 12  # 32 random bytes have about 30 different values; fewer than 12 are not random


class MasterKey(msgspec.Struct, frozen=True):
    """The current master as primary, previous ones as retired keys of a ring."""

    ring: Keyring

    @property
    def id(self) -> str:
        """The public id of the current master, in hex; derived from it."""
        return self.ring.primary.id.hex()


def parse_master_key(current: str | bytes, previous: Iterable[str | bytes] = ()) -> MasterKey:
    """A master key from base64 or hex text, or 32 raw bytes; raises ValueError, whose text quotes nothing of it.

    `previous` masters open what they sealed; a repetition of the current one among them is ignored.
    """
    keys = {key.id: key for key in (_master(one, KeyState.RETIRED) for one in previous)}
    primary = _master(current, KeyState.PRIMARY)
    keys.pop(primary.id, None)
    return MasterKey(Keyring((*keys.values(), primary)))


def _master(text: str | bytes, state: KeyState) -> SealingKey:
    material = KeyMaterial(_master_secret(text))
    return SealingKey(
        id=material.derive(b"master id", KEY_ID_SIZE), material=material, created_at=0, state=state
    )


def _master_secret(text: str | bytes) -> bytes:
    secret = text if isinstance(text, bytes) and _is_raw(text) else _decoded(text)
    if len(secret) != SECRET_SIZE:
        raise ValueError(
            f"the master key must be 32 bytes, as base64 (44 characters) or hex (64): this is {len(secret)}"
        )
    if len(set(secret)) < _FEWEST_DIFFERENT_BYTES:
        raise ValueError("the master key repeats itself: it must be 32 random bytes")
    return secret


def _is_raw(text: bytes) -> bool:
    # 32 ASCII characters are a pass phrase, not a key: they are decoded as text, and refused.
    return len(text) == SECRET_SIZE and not text.isascii()


def _decoded(text: str | bytes) -> bytes:
    try:
        plain = (text.decode("ascii") if isinstance(text, bytes) else text).strip()
        if len(plain) == 2 * SECRET_SIZE:
            return bytes.fromhex(plain)
        standard = plain.replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError("the master key is neither base64 nor hex of 32 bytes") from None


def new_master_key_text(entropy: bytes) -> str:
    """The base64 text of a new master key, from 32 bytes of entropy."""
    if len(entropy) < SECRET_SIZE:
        raise ValueError("a master key needs 32 bytes of entropy")
    return base64.b64encode(entropy[:SECRET_SIZE]).decode()


def seal_keyring(master: MasterKey, keyring: Keyring, entropy: bytes, name: str = "") -> bytes:
    """The keyring sealed by the current master and bound to its `name`; needs sixteen fresh bytes of entropy."""
    return seal(master.ring.primary, keyring_to_bytes(keyring), _context(name), entropy)


def open_keyring(master: MasterKey, sealed: bytes, name: str = "") -> Keyring:
    """The keyring that this or a previous master sealed as `name`; raises SealBroken.

    Raises ValueError for a form that this version does not know.
    """
    return keyring_from_bytes(open_(master.ring, sealed, _context(name)))


def _context(name: str) -> bytes:
    """With the name, so that one ring in the store cannot be replaced by the other."""
    return b"broker keyring " + name.encode()


def is_sealed_by_current(master: MasterKey, sealed: bytes) -> bool:
    """Whether the current master sealed it: if not, seal it again to finish a rotation of the master."""
    return sealed[1 : 1 + KEY_ID_SIZE] == master.ring.primary.id
