"""AssumeRoleWithSAML: a subject of a SAML provider assumes a role that trusts the provider.

STS API Reference, and "Configure SAML assertions for the authentication response" of the IAM User Guide. The assertion
has to offer the role and the provider that the request names. The sentences that a client reads are AWS's; the journal
names the failed check.
"""

import asyncio
import re

from broker.access.assumable import account_of_role
from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.identity_stores import CHECK, ProvenPerson, with_store_users
from broker.access.saml_subjects import saml_caller_of, verified_assertion
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.saml_assertion import Expected, SamlAssertion
from broker.assertions.saml_attributes import OfferedRole, offered_roles
from broker.errors import validation_error
from broker.federation.federation import Federation
from broker.federation.replay import use_once
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.storage.records import SamlProvider
from broker.storage.store import SAML_PROVIDERS, Transaction
from broker.sts.answers import credentials_shape
from broker.sts.asserted_roles import AssertedRole, asserted_role, minted_session, refused_assertion

_PROVIDER = re.compile(r"arn:aws:iam::([0-9]{12}):saml-provider/([\w._-]{1,128})", re.ASCII)

_NOT_VALIDATED = ("InvalidIdentityToken", "Invalid SAML response: it could not be validated.")
_SENTENCES = {
    "redemption": ("ExpiredTokenException", "Token must be redeemed within 5 minutes of issuance"),
    "conditions not on or after": ("ExpiredTokenException", "SAML Assertion has expired"),
    "subject confirmation not on or after": ("ExpiredTokenException", "SAML Assertion has expired"),
    "session": ("ExpiredTokenException", "SAML Assertion has expired"),
    "issuer": ("InvalidIdentityToken", "Issuer not present in specified provider"),
    "signature": ("InvalidIdentityToken", "Response signature invalid"),
    "metadata validity": ("InvalidIdentityToken", "The metadata of the specified provider has expired"),
    # As where no trust policy admits the subject.
    CHECK: ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML"),
    "role offered": (
        "InvalidIdentityToken",
        "The requested role is not among the roles that the SAML assertion offers with this provider.",
    ),
}


async def saml_caller(
    federation: Federation,
    store: Transaction,
    facts: RequestFacts,
    request: shapes.AssumeRoleWithSAMLRequest,
) -> Caller:
    """The subject that the assertion proves; raises Refusal as STS does."""
    return await prove_saml(federation, store, facts.now, request, Checks())


async def prove_saml(
    federation: Federation,
    store: Transaction,
    now: float,
    request: shapes.AssumeRoleWithSAMLRequest,
    checks: Checks,
    *,
    or_assertion: bool = False,
) -> Caller:
    """As `saml_caller`, with every check noted in `checks`, the one that failed last.

    `or_assertion`: an assertion may come without a response. AssumeRoleWithSAML does not take one.
    """
    provider = await _get_provider(store, request.principal_arn, checks)
    account = account_of_role(request.role_arn)
    rules = federation.saml
    expected = Expected(
        rules.recipients,
        rules.audiences,
        allow_sha1=rules.allow_sha1,
        leeway=federation.leeway,
        provider_id=provider.provider_id,
    )
    try:
        # In a thread: parsing, decryption and verification take milliseconds of C code.
        assertion = await asyncio.to_thread(
            verified_assertion, request.saml_assertion, provider, expected, now, checks, or_assertion
        )
        offered = offered_roles(assertion, checks)
        checks.require(
            "role offered",
            account == provider.account_id and OfferedRole(request.role_arn, provider.arn) in offered,
            found=", ".join(one.role_arn for one in offered),
            wanted=f"{request.role_arn} with {provider.arn}",
        )
        caller = saml_caller_of(provider, assertion, now, checks)
        person = ProvenPerson(assertion.name_id.value, assertion.attributes)
        caller = await with_store_users(store, caller, person, checks)
    except CheckFailed as failed:
        raise refused_assertion(*_SENTENCES.get(failed.check.name, _NOT_VALIDATED), failed) from None
    if not federation.saml.allow_replay:
        await _require_unused(store, account, assertion, now, checks)
    return caller


async def _get_provider(store: Transaction, arn: str, checks: Checks) -> SamlProvider:
    """The provider that the request names; raises ValidationError for an ARN of anything else."""
    named = _PROVIDER.fullmatch(arn)
    if named is None:
        raise validation_error(f"{arn} is invalid")
    provider = await store.find(SAML_PROVIDERS, named[1], named[2])
    if provider is None or provider.arn != arn:
        failed = checks.fail("provider", found=arn, wanted="the ARN of a SAML provider of this broker")
        raise refused_assertion("InvalidIdentityToken", "Specified provider doesn't exist", failed)
    checks.require("provider", True, found=arn)
    return provider


async def _require_unused(
    store: Transaction, account: str, assertion: SamlAssertion, now: float, checks: Checks
) -> None:
    is_first = await use_once(store, account, assertion.issuer, assertion.id, now, assertion.expires_at)
    try:
        checks.require(
            "single use",
            is_first,
            found=f"{assertion.id} was used before",
            wanted="an assertion not used yet",
        )
    except CheckFailed as failed:
        raise refused_assertion(*_NOT_VALIDATED, failed) from None


async def role_for_saml_subject(
    call: Call, request: shapes.AssumeRoleWithSAMLRequest
) -> Prepared[AssertedRole] | Absent:
    assert call.caller.asserted is not None, "the proof of this flow made the caller"
    return await asserted_role(call, request.role_arn, call.caller.asserted.session_name)


@operation("sts:AssumeRoleWithSAML", prepare=role_for_saml_subject, prove=saml_caller)
async def assume_role_with_saml(
    call: Call, request: shapes.AssumeRoleWithSAMLRequest, prepared: Prepared[AssertedRole]
) -> shapes.AssumeRoleWithSAMLResponse:
    asserted, session = call.caller.asserted, prepared.found.session
    assert asserted is not None, "the proof of this flow made the caller"
    minted = await minted_session(call, request, prepared)
    return shapes.AssumeRoleWithSAMLResponse(
        credentials=credentials_shape(minted),
        assumed_role_user=shapes.AssumedRoleUser(assumed_role_id=session.user_id, arn=session.arn),
        packed_policy_size=minted.packed_policy_size,
        subject=asserted.subject,
        subject_type=asserted.subject_type,
        issuer=asserted.issuer,
        audience=asserted.audience,
        name_qualifier=asserted.name_qualifier,
        source_identity=asserted.attributes.source_identity,
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )
