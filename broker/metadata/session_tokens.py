"""IMDSv2 session tokens: stateless, so that every worker can open a token of any other.

A token is a sealed message that holds only its expiry and opens only for the machine it was made for. No list of tokens
is stored, so a machine may have any number of them. EC2 User Guide, "Use the Instance Metadata Service to access
instance metadata".

INVARIANT: a token has 56 characters, as on EC2. AWS's Common Runtime has room for 64, and fails with a longer one.
Therefore the expiry has five bytes, enough until the year 36812.
"""

from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.message import open_fixed, seal_fixed
from broker.sealing.packing import unpack
from broker.storage.records import Instance

SHORTEST_LIFE, LONGEST_LIFE = 1, 21_600  # seconds
TOKEN_ENTROPY = 16

_PURPOSE = b"metadata session token"
_END_SIZE = 5


def parse_life(unverified_text: str | None) -> int | None:
    """The seconds that a client asked for; None for a value that AWS answers with 400."""
    if unverified_text is None:
        return None
    text = unverified_text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    life = int(text)
    return life if SHORTEST_LIFE <= life <= LONGEST_LIFE else None


def seal_token(keyring: Keyring, instance: Instance, *, now: float, life: int, entropy: bytes) -> str:
    """A token for `instance`, good for `life` seconds from `now`; TOKEN_ENTROPY fresh bytes."""
    end = (int(now) + life).to_bytes(_END_SIZE, "big")
    return seal_fixed(keyring, _PURPOSE, end, _context(instance), entropy)


def open_token(keyring: Keyring, instance: Instance, unverified_text: str, now: float) -> int:
    """The token's expiry in epoch seconds; raises SealBroken for another machine's, an altered or an expired token."""
    message = open_fixed(keyring, _PURPOSE, unverified_text, _context(instance), now)
    if len(message) != _END_SIZE:
        message = unpack(message)  # of a version before this one, whose tokens had 68 characters
    end = int.from_bytes(message, "big")
    if now >= end:
        raise SealBroken(f"the metadata session token ended at {end}")
    return end


def _context(instance: Instance) -> bytes:
    return f"{instance.account_id}/{instance.instance_id}".encode()
