"""AWS Sign-In's service for command lines: `aws login` trades codes and refresh tokens for the person's credentials.

Owns CreateOAuth2Token. The credentials are the person's own, a quarter of an hour at a time; the mint makes them, and
the gate is asked each time. The page at which the person allows it is the portal's.

Obeys OAuth 2.0 (RFC 6749), PKCE (RFC 7636), DPoP (RFC 9449) and the security best practice (RFC 9700), in the spelling
of AWS's model.
"""

from broker.signin import create_token

__all__ = ["create_token"]
