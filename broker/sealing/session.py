"""Session tokens: sealed claims; and the secret access key of the session, which is derived from them.

A token is the text of an envelope around packed claims. The secret access key is not in it: it is the HMAC of access
key id and session id, under a key derived from the sealing key of the token. So a node with the keyring can verify a
signature without a look-up, and the token alone does not allow to sign.
"""

from binascii import b2a_base64

import msgspec

from broker.names.secret import SecretKey
from broker.sealing.claims import SESSION_ID_SIZE, SessionClaims, Tags, claims_from_bytes, claims_to_bytes
from broker.sealing.envelope import NONCE_ENTROPY, OVERHEAD, SealBroken, key_of, open_with, seal
from broker.sealing.key import SealingKey
from broker.sealing.keyring import Keyring
from broker.sealing.packing import deflate, pack, unpack
from broker.sealing.text import decode_text, encode_text

LARGEST_TOKEN = 4096  # characters: the maximum of MinimumSessionTokenSize in the STS model
TOKEN_ENTROPY = NONCE_ENTROPY
SECRET_LENGTH = 40  # characters of base64
_SECRET_SIZE = SECRET_LENGTH * 3 // 4

# The size of session policies and session tags, packed. The other claims of a session, condition keys of a provider's
# assertion among them, have the 980 bytes that remain of a token's 3,035.
PACKED_BUDGET = 2048

_PURPOSE = b"session token"
_CONTEXT = b""  # not needed: the purpose has keys of its own


class TokenTooLarge(Exception):
    """A session whose claims do not fit a token; sizes in characters."""

    def __init__(self, size: int, largest: int = LARGEST_TOKEN) -> None:
        super().__init__(f"a session token of {size} characters is over the {largest} allowed")
        self.size = size
        self.largest = largest


class SessionExpired(Exception):
    """A token that expired at `expired_at` (epoch seconds)."""

    def __init__(self, expired_at: int, access_key_id: str) -> None:
        super().__init__("the session has expired")
        self.expired_at = expired_at
        self.reason = f"the session of {access_key_id} expired at {expired_at}"


def mint_session_token(
    keyring: Keyring, claims: SessionClaims, entropy: bytes, minimum_size: int = 0
) -> tuple[str, SecretKey, int, bytes]:
    """Token, secret access key, the token's size in characters, which is at least `minimum_size`; the encoded claims.

    Needs TOKEN_ENTROPY fresh bytes. Raises TokenTooLarge; ValueError for a session id of the wrong size.
    """
    if len(claims.session_id) != SESSION_ID_SIZE:
        raise ValueError(f"a session id has {SESSION_ID_SIZE} bytes")
    key = keyring.for_purpose(_PURPOSE).primary
    # `pack` rounds up: from this size on, the token has at least `minimum_size` characters.
    encoded = claims_to_bytes(claims)
    packed = pack(encoded, (minimum_size + 3) // 4 * 3 - OVERHEAD)
    size = (len(packed) + OVERHEAD) // 3 * 4
    if size > LARGEST_TOKEN:
        raise TokenTooLarge(size)
    token = encode_text(seal(key, packed, _CONTEXT, entropy))
    return token, _secret_of(key, claims), size, encoded


class OpenedSession(msgspec.Struct, frozen=True):
    """An opened token: the `key` of `keyring` that opened it, its claims and its secret access key.

    Correct as long as the keyring is current, so it may be cached; `require_current` checks what depends on the time.
    """

    keyring: Keyring
    key: SealingKey
    claims: SessionClaims
    secret: SecretKey


def open_session(keyring: Keyring, unverified_token: str) -> OpenedSession:
    """Raises SealBroken for a text that is not a token of this keyring. Does not check the expiry."""
    key, claims = _read(keyring, unverified_token)
    return OpenedSession(keyring, key, claims, _secret_of(key, claims))


def require_current(session: OpenedSession, unverified_access_key_id: str, now: float) -> None:
    """Raises SealBroken where the token is of another access key, or its sealing key is expired; SessionExpired."""
    key, claims = session.key, session.claims
    if claims.access_key_id != unverified_access_key_id:  # public, so no constant-time comparison
        raise SealBroken(f"the token belongs to {claims.access_key_id}, not to the key that signed")
    if now >= claims.expires_at:
        raise SessionExpired(claims.expires_at, claims.access_key_id)
    if not key.opens_at(now):
        raise SealBroken(f"key {key.id.hex()} expired at {key.opens_until:.0f}")


def inspect_session_token(keyring: Keyring, unverified_token: str) -> SessionClaims:
    """The claims of a token for an operator, expired or not; raises SealBroken. Proves no caller."""
    return _read(keyring, unverified_token)[1]


def _read(keyring: Keyring, unverified_token: str) -> tuple[SealingKey, SessionClaims]:
    envelope = decode_text(unverified_token, LARGEST_TOKEN)
    key = key_of(keyring.for_purpose(_PURPOSE), envelope)
    return key, claims_from_bytes(unpack(open_with(key, envelope, _CONTEXT)))


def _secret_of(key: SealingKey, claims: SessionClaims) -> SecretKey:
    """SECRET_LENGTH characters: 240 bits."""
    mac = key.material.authenticate(claims.access_key_id.encode() + claims.session_id)
    return SecretKey(b2a_base64(mac[:_SECRET_SIZE], newline=False).decode())


def packed_size_percent(
    session_policy: str | None,
    session_policy_arns: tuple[str, ...],
    tags: Tags,
    transitive_tag_keys: tuple[str, ...] = (),
) -> int | None:
    """PackedPolicySize: session policies and tags, packed, as percent of PACKED_BUDGET, rounded up.

    None without both, because AWS then omits the member. The caller refuses a request over 100.
    """
    if not (session_policy or session_policy_arns or tags):
        return None
    body = msgspec.msgpack.encode((session_policy, session_policy_arns, tags, transitive_tag_keys))
    return -(-100 * min(len(body), len(deflate(body))) // PACKED_BUDGET)


def utilization_percent(token_size: int) -> int:
    """SessionTokenUtilization: a token's characters as percent of the largest, rounded up."""
    return -(-100 * token_size // LARGEST_TOKEN)
