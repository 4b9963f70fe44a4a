"""What an identity provider claims: OIDC tokens and SAML responses, verified.

Owns the proof that a provider signed an assertion, that it is within its time, and that it is meant for us. A proof is
a pure function of the assertion, the provider's keys and the moment; it notes its checks in order (`checks`), so that a
person can be shown which check failed and what would have passed. The other way round, it makes the keys and the
signatures of tokens that the broker issues. Never fetches a key, never reads a clock, never decides what a proven
subject may do, nor what a token may say. Obeys RFC 7515 to 7519 and 8725, OpenID Connect Core 1.0 and SAML 2.0.
"""
