"""IMDSv2 session tokens: stateless, so that every worker opens what any worker sealed.

A token is a sealed message that holds nothing but its end and opens only for the machine it was made for. There is no
list of tokens, and so no limit on how many a machine has. EC2 User Guide, "Use the Instance Metadata Service to access
instance metadata".

INVARIANT: a token has 56 characters, as EC2's own. AWS's Common Runtime has room for 64, and fails with a longer one.
The end is five bytes for that reason: it is enough until the year 36812.
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
    """The seconds that a client asked for; None for what AWS answers with 400."""
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
    """When the token ends, in epoch seconds; raises SealBroken for another machine's, an altered or an old one."""
    message = open_fixed(keyring, _PURPOSE, unverified_text, _context(instance), now)
    if len(message) != _END_SIZE:
        message = unpack(message)  # of a version before this one, whose tokens had 68 characters
    end = int.from_bytes(message, "big")
    if now >= end:
        raise SealBroken(f"the metadata session token ended at {end}")
    return end


def _context(instance: Instance) -> bytes:
    return f"{instance.account_id}/{instance.instance_id}".encode()
