"""Minted credentials in the form of answers."""

from broker.credentials.mint import TemporaryCredentials
from broker.protocol.shapes import sts as shapes


def credentials_shape(minted: TemporaryCredentials) -> shapes.Credentials:
    return shapes.Credentials(
        access_key_id=minted.access_key_id,
        secret_access_key=minted.secret.reveal(),
        session_token=minted.session_token,
        expiration=float(minted.expires_at),
    )
