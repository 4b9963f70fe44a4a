"""Authorization codes with PKCE (RFC 7636): made when a person allows a client, traded for tokens once.

A code is bound to the client, the redirect URI and the challenge. Only S256 is known: with `plain`, anyone who
reads the request in the browser's history could trade the code.
"""

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from secrets import compare_digest

from msgspec.structs import replace

from broker.credentials.sso_sessions import (
    Entropy,
    end_session_of,
    hash_of,
    invalid_grant,
    is_hexadecimal,
    promise_session,
    take_promised,
)
from broker.storage.sso_records import Approval, AuthorizationCode
from broker.storage.store import SSO_CODES, Transaction

CODE_SECONDS = 60
_ID_SIZE, _SECRET_SIZE = 32, 64  # characters, hexadecimal

is_challenge = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII).fullmatch
_is_verifier = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII).fullmatch


def put_code(
    store: Transaction,
    approval: Approval,
    client_hash: str,
    client_name: str,
    redirect_uri: str,
    code_challenge: str,
    entropy: Entropy,
    now: float,
    *,
    is_refreshable: bool,
) -> str:
    """A new code; it is the id of the session that it will begin, and a secret."""
    secret, expires_at = entropy(32).hex(), int(now) + CODE_SECONDS
    code = AuthorizationCode(
        code_hash=hash_of(secret),
        client_hash=client_hash,
        client_name=client_name,
        is_refreshable=is_refreshable,
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        expires_at=expires_at,
        approval=approval,
    )
    store.put(SSO_CODES, approval.session_id[:2], code, key=approval.session_id, expires_at=expires_at)
    promise_session(store, approval, client_hash, client_name, expires_at)
    return approval.session_id + secret


async def find_code(store: Transaction, unverified_code: str, now: float) -> AuthorizationCode | None:
    """The record of the code, also of a used one; None for an unknown or expired code."""
    code_id, secret = unverified_code[:_ID_SIZE], unverified_code[_ID_SIZE:]
    if len(secret) != _SECRET_SIZE or not is_hexadecimal(unverified_code):
        return None
    code = await store.find(SSO_CODES, code_id[:2], code_id)
    if code is None or now >= code.expires_at or not compare_digest(code.code_hash, hash_of(secret)):
        return None
    return code


async def take_code(
    store: Transaction,
    unverified_code: str,
    client_hash: str,
    redirect_uri: str,
    unverified_verifier: str,
    now: float,
) -> AuthorizationCode:
    """The code, which is used up; raises InvalidGrantException. A second time ends what it began (RFC 6749, 4.1.2)."""
    code = await find_code(store, unverified_code, now)
    if code is None:
        raise invalid_grant("the code is none that was given out, or has expired")
    if code.is_used:
        await end_session_of(store, code.approval)
        store.make_unconditional()
        raise invalid_grant("the code was used before: the session that it began has ended")
    if code.client_hash != client_hash:
        raise invalid_grant("the code is of another client")
    if code.redirect_uri != redirect_uri:
        raise invalid_grant("the redirect URI is not that of the authorization")
    if not is_verified(code.code_challenge, unverified_verifier):
        raise invalid_grant("the code verifier does not fit")
    approval = code.approval
    await take_promised(store, approval)
    used = replace(code, is_used=True)
    store.put(SSO_CODES, approval.session_id[:2], used, key=approval.session_id, expires_at=code.expires_at)
    return code


def is_verified(challenge: str, unverified_verifier: str) -> bool:
    """Whether the challenge was made of this verifier."""
    if not _is_verifier(unverified_verifier):
        return False
    made = urlsafe_b64encode(sha256(unverified_verifier.encode()).digest()).rstrip(b"=").decode()
    return compare_digest(made, challenge)
