"""Subjects of SAML providers: a response verified against the provider's record, and the caller that it makes.

The assertion has to offer the role together with the provider; so a subject is of one account at a time here, too.
"""

from broker.access.caller import Asserted, Caller
from broker.assertions.checks import Checks
from broker.assertions.saml_assertion import Expected, SamlAssertion
from broker.assertions.saml_attributes import (
    condition_keys,
    name_qualifier,
    role_session_name,
    session_attributes,
    session_duration,
    subject_type,
)
from broker.names.principal import SamlSubject
from broker.storage.records import SAML_ENCRYPTION_REQUIRED, SamlProvider

# Condition keys that the session has, too ("Cross-service SAML-based AWS STS federation context keys").
_SESSION_KEYS = ("saml:namequalifier", "saml:sub", "saml:sub_type")


def verified_assertion(
    unverified_response: str,
    provider: SamlProvider,
    expected: Expected,
    now: float,
    checks: Checks,
    or_assertion: bool = False,
) -> SamlAssertion:
    """The assertion of `provider` in the response, or without one where `or_assertion`; raises CheckFailed.

    Milliseconds of C code: for a thread.
    """
    # Imported with the first assertion: lxml and xmlsec take eleven megabytes.
    from broker.assertions.saml_metadata import provider_metadata
    from broker.assertions.saml_response import (
        is_assertion,
        is_encrypted,
        read_response,
        verify_assertion,
        verify_response,
    )

    root = read_response(unverified_response, checks, or_assertion=or_assertion)
    encrypted = is_encrypted(root)
    checks.require(
        "encryption mode",
        encrypted or provider.encryption_mode != SAML_ENCRYPTION_REQUIRED,
        found="a plain assertion",
        wanted="an encrypted one",
    )
    private_keys = [key.key.reveal() for key in provider.private_keys]
    verify = verify_assertion if is_assertion(root) else verify_response
    return verify(root, provider_metadata(provider.metadata), private_keys, expected, now, checks)


def saml_caller_of(provider: SamlProvider, assertion: SamlAssertion, now: float, checks: Checks) -> Caller:
    """The subject before it takes a role of the provider's account; raises CheckFailed.

    INVARIANT: the assertion is verified against `provider`, and offers the role with it.
    """
    keys = condition_keys(assertion, provider.account_id, provider.name)
    asserted = Asserted(
        account=provider.account_id,
        issuer=assertion.issuer,
        subject=assertion.name_id.value,
        audience=assertion.recipient,
        subject_type=subject_type(assertion),
        name_qualifier=name_qualifier(assertion.issuer, provider.account_id, provider.name),
        attributes=session_attributes(assertion, checks),
        session_keys={key: keys[key] for key in _SESSION_KEYS},
        session_name=role_session_name(assertion, checks),
        max_duration=longest_session(assertion, now, checks),
    )
    return Caller(
        principal=SamlSubject(provider.arn, assertion.name_id.value),
        account="",
        session_keys=keys,
        federated_provider=provider.arn,
        asserted=asserted,
    )


def longest_session(assertion: SamlAssertion, now: float, checks: Checks) -> int | None:
    """The lesser of SessionDuration and the time until SessionNotOnOrAfter, in seconds."""
    stated = session_duration(assertion, checks)
    end = assertion.session_expires_at
    left = None if end is None else max(0, int(end - now))
    return min((one for one in (stated, left) if one is not None), default=None)
