"""New long-lived access keys: the id carries its account, the secret is forty random characters."""

from base64 import b64encode

import msgspec

from broker.names.ids import ACCESS_KEY_ID_ENTROPY, LONG_TERM_KEY, access_key_id
from broker.names.secret import SecretKey

_SECRET_ENTROPY = 30  # bytes: exactly forty characters of base64, 240 bits
ACCESS_KEY_ENTROPY = ACCESS_KEY_ID_ENTROPY + _SECRET_ENTROPY


class AccessKeyPair(msgspec.Struct, frozen=True):
    """A new key, before it is on record: shown to its owner once."""

    access_key_id: str
    secret: SecretKey


def new_access_key_pair(account: str, entropy: bytes) -> AccessKeyPair:
    """A pair for `account`, from ACCESS_KEY_ENTROPY fresh bytes.

    The id holds 39 random bits, so two may meet: whoever puts a pair on record insists that it is new there.
    """
    if len(entropy) < ACCESS_KEY_ENTROPY:
        raise ValueError(f"an access key needs {ACCESS_KEY_ENTROPY} bytes of entropy")
    secret = b64encode(entropy[ACCESS_KEY_ID_ENTROPY:ACCESS_KEY_ENTROPY]).decode()
    return AccessKeyPair(access_key_id(LONG_TERM_KEY, account, entropy), SecretKey(secret))
