"""Signing a request to S3, in its Authorization header: what the verification of this package accepts, made.

"Create a signed AWS API request"; S3's paths are encoded once and never normalised.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.hmac import HMAC

from broker.names.secret import SecretKey
from broker.sigv4.encoding import encode
from broker.sigv4.signer import SYMMETRIC, TERMINATOR
from broker.sigv4.signing_keys import authenticate, derive_signing_key, set_up
from broker.sigv4.timestamps import format_timestamp

SERVICE = "s3"


class SigningCredentials(msgspec.Struct, frozen=True):
    """A key pair that signs; `session_token` is empty for a long-term one."""

    access_key_id: str
    secret: SecretKey
    session_token: str = ""


def encode_query(pairs: Sequence[tuple[str, str]]) -> str:
    """The canonical query, which is also the one to send."""
    encoded = sorted((encode(name.encode()), encode(value.encode())) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def sign_request(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    payload: str,
    credentials: SigningCredentials,
    region: str,
    now: float,
) -> dict[str, str]:
    """`headers` and those of the signature, by lower-case name; `host` is among those given.

    `path` and `query` are encoded as they are sent. `payload` is the hash of the body, or what S3 takes in its place.
    """
    moment = format_timestamp(now)
    signed = {**headers, "x-amz-date": moment, "x-amz-content-sha256": payload}
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    names = sorted(signed)
    lines = "".join(f"{name}:{' '.join(signed[name].split())}\n" for name in names)
    canonical = "\n".join((method, path, query, lines, ";".join(names), payload))
    scope = f"{moment[:8]}/{region}/{SERVICE}/{TERMINATOR}"
    to_sign = f"{SYMMETRIC}\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = _cached_key(credentials, moment[:8], region)
    signature = authenticate(key, to_sign.encode()).hex()
    signed["authorization"] = (
        f"{SYMMETRIC} Credential={credentials.access_key_id}/{scope}, SignedHeaders={';'.join(names)}, "
        f"Signature={signature}"
    )
    return signed


@lru_cache(maxsize=8)
def _cached_key(credentials: SigningCredentials, day: str, region: str) -> HMAC:
    return set_up(derive_signing_key(credentials.secret, day, region, SERVICE))
