"""What an identity provider claims: OIDC tokens and SAML responses, verified. Empty until federation is built.

Will own the proof that a provider signed an assertion and that it is within its time; never fetches a key, never reads
a clock. Will obey OpenID Connect Core 1.0 and SAML 2.0.
"""
