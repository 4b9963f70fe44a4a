"""Verifies the assertions of identity providers: OIDC tokens and SAML responses. Signs the broker's own tokens.

Verifies that a provider signed an assertion, and checks its times and its audience. Verification is a pure function of
the assertion, the provider's keys and the time; it notes its checks in order (`checks`), so that an operator can see
which check failed and what would have passed. Judges the keys and certificates that are uploaded.

Never fetches a key, never reads a clock, never decides what a proven subject may do, nor which claims an issued token
has.

Obeys RFC 7515 to 7519 and 8725, OpenID Connect Core 1.0 and SAML 2.0.
"""
