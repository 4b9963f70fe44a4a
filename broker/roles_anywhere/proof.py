"""Who holds a certificate: its signature over the request, its path to the trust anchor, revocation, the profile.

What the client reads of a certificate that is not accepted is one sentence; the journal has the check that failed.
"""

import base64
from typing import Any

from broker.access.caller import Asserted, Caller
from broker.access.facts import RequestFacts
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.requested_session import RequestedSession
from broker.federation.federation import Federation
from broker.names.arn import Arn, parse_arn
from broker.names.principal import Service
from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.refusals import denied, invalid, not_found
from broker.roles_anywhere.resources import PROFILE, SERVICE_PRINCIPAL, TRUST_ANCHOR, RegionalKind, find_by_id
from broker.roles_anywhere.revocation import lists_for
from broker.roles_anywhere.trust_anchors import REPOSITORY
from broker.sigv4.authorization import find_authorization
from broker.sigv4.verify import Dialect
from broker.storage.store import Transaction
from broker.storage.workload_records import TrustAnchor, WorkloadProfile

_DIALECT = Dialect(mismatch_code="AccessDeniedException")
_CHAIN = "x-amz-x509-chain"
_LARGEST_CERTIFICATE = 12 << 10  # bytes: one of ML-DSA-87 has 7,500
_NO_TOKEN = "Missing Authentication Token"  # noqa: S105  no password
_UNTRUSTED = "Untrusted Signing Certificate"
_DISABLED = "Access is denied."


async def workload_caller(
    federation: Federation, store: Transaction, facts: RequestFacts, request: shapes.CreateSessionRequest
) -> Caller:
    """The service principal, acting for the trust anchor, with what the certificate says; raises Refusal."""
    own = _verified_signer(facts, request)
    anchor: TrustAnchor = await _named(store, facts, TRUST_ANCHOR, _trust_anchor_arn(request))
    profile: WorkloadProfile = await _named(store, facts, PROFILE, _profile_arn(request))
    checks = Checks()
    try:
        await _require_trusted(federation, store, facts, own, anchor, checks)
    except CheckFailed as failed:
        raise denied(_UNTRUSTED, f"check failed: {failed}") from None
    role_arn = _required_role(request, anchor, profile)
    return _caller(facts, own, anchor, profile, role_arn, request)


def _verified_signer(facts: RequestFacts, request: shapes.CreateSessionRequest) -> Any:
    """The certificate whose key has signed the request; whether it is trusted is the next question."""
    from broker.sigv4.certificate_signatures import CertificateKey, verify_certificate_signature

    unverified = facts.unverified_request
    authorization = None if unverified is None else find_authorization(unverified)
    if unverified is None or authorization is None or not authorization.signer.scope.is_of_certificate:
        raise denied(_NO_TOKEN, "the request is not signed with the key of a certificate")
    own = decoded(request)
    verify_certificate_signature(
        unverified,
        authorization,
        CertificateKey(own.public_key(), own.serial_number),
        facts.now,
        service="rolesanywhere",
        dialect=_DIALECT,
    )
    return own


def decoded(request: shapes.CreateSessionRequest) -> Any:
    """The certificate in the request, read; raises Refusal."""
    # Imported with the first request: it takes megabytes.
    from broker.assertions.certificate_paths import read_certificate

    checks = Checks()
    try:
        return read_certificate(_decoded_base64(request.cert, checks), checks)
    except CheckFailed as failed:
        raise denied(_UNTRUSTED, f"check failed: {failed}") from None


def _decoded_base64(text: str, checks: Checks) -> bytes:
    try:
        found = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        raise checks.fail("certificate", found="no base64", wanted="DER in base64") from None
    checks.require(
        "certificate",
        0 < len(found) <= _LARGEST_CERTIFICATE,
        found=f"{len(found)} bytes",
        wanted=f"at most {_LARGEST_CERTIFICATE}",
    )
    return found


def _chain_of(facts: RequestFacts, checks: Checks) -> list[bytes]:
    assert facts.unverified_request is not None, "its signature was verified"
    text = next((value for name, value in facts.unverified_request.headers if name == _CHAIN), "")
    return [_decoded_base64(one, checks) for one in text.split(",")] if text.strip() else []


async def _named(store: Transaction, facts: RequestFacts, kind: RegionalKind, text: str) -> Any:
    """The record with this ARN, in the region for which the request is signed; raises ResourceNotFoundException."""
    arn = _parsed(text)
    word, _, resource_id = arn.resource.partition("/")
    found = None
    if (arn.service, word, arn.region) == ("rolesanywhere", kind.word, facts.region):
        found = await find_by_id(store, kind, arn.account, facts.region, resource_id)
    if found is None or found.arn != text:
        raise not_found(f"the {kind.title}")
    if not found.enabled:
        raise denied(_DISABLED, f"the {kind.title} {text} is disabled")
    return found


def _parsed(text: str) -> Arn:
    try:
        return parse_arn(text)
    except ValueError as error:
        raise invalid(f"{error}.") from None


def _trust_anchor_arn(request: shapes.CreateSessionRequest) -> str:
    return _given("trustAnchorArn", request.trust_anchor_arn_in_query, request.trust_anchor_arn)


def _profile_arn(request: shapes.CreateSessionRequest) -> str:
    return _given("profileArn", request.profile_arn_in_query, request.profile_arn)


def _given(name: str, in_query: str | None, in_body: str | None) -> str:
    """Either place; raises ValidationException where the two differ, or where there is none."""
    if in_query is not None and in_body is not None and in_query != in_body:
        raise invalid(f"{name} in the query string is not {name} in the body.")
    found = in_query if in_query is not None else in_body
    if found is None:
        raise invalid(f"{name} is missing.")
    return found


async def _require_trusted(
    federation: Federation,
    store: Transaction,
    facts: RequestFacts,
    own: Any,
    anchor: TrustAnchor,
    checks: Checks,
) -> None:
    """Raises CheckFailed."""
    from broker.assertions.certificate_paths import parse_anchors, require_not_revoked, verify_path

    anchors = parse_anchors(anchor.certificates, anchor.source_type == REPOSITORY)
    path = verify_path(own, _chain_of(facts, checks), anchors, facts.now, checks)
    lists = await lists_for(federation, store, anchor, path, facts.now, checks)
    require_not_revoked(path, lists, facts.now, checks)


def _required_role(
    request: shapes.CreateSessionRequest, anchor: TrustAnchor, profile: WorkloadProfile
) -> str:
    """The role that is asked for, which has to be the profile's, and of its account."""
    role_arn = _given("roleArn", request.role_arn_in_query, request.role_arn)
    message = f"Unable to assume role for {role_arn}"
    if profile.account_id != anchor.account_id:
        raise denied(message, f"{profile.arn} and {anchor.arn} are not of one account")
    if role_arn not in profile.role_arns:
        raise denied(message, f"{role_arn} is not among the roles of {profile.arn}")
    if _parsed(role_arn).account != profile.account_id:
        raise denied(message, f"{role_arn} is not of the account of {profile.arn}")
    if profile.requires_instance_properties and not request.instance_properties:
        raise invalid("The profile requires instanceProperties.")
    return role_arn


def _caller(
    facts: RequestFacts,
    own: Any,
    anchor: TrustAnchor,
    profile: WorkloadProfile,
    role_arn: str,
    request: shapes.CreateSessionRequest,
) -> Caller:
    from broker.assertions.certificate_attributes import mapped_attributes, source_identity_of, subject_of

    attributes = mapped_attributes(own, profile.attribute_mappings)
    try:
        source_identity = source_identity_of(own)
    except ValueError as error:
        raise denied(
            f"Unable to assume role for {role_arn}", f"check failed: source identity: {error}"
        ) from None
    return Caller(
        principal=Service(SERVICE_PRINCIPAL),
        account="",
        tags=attributes.tags,
        source_arn=anchor.arn,
        asserted=Asserted(
            account=anchor.account_id,
            issuer=anchor.arn,
            subject=subject_of(own),
            audience=profile.arn,
            attributes=RequestedSession(tags=dict(attributes.tags), source_identity=source_identity),
            session_keys={"left out": attributes.left_out} if attributes.left_out else {},
            session_name=_session_name(own, profile, request),
            role_arn=role_arn,
            max_duration=min(profile.duration_seconds, request.duration_seconds or profile.duration_seconds),
        ),
    )


def _session_name(own: Any, profile: WorkloadProfile, request: shapes.CreateSessionRequest) -> str:
    """The serial number, unless the profile accepts the name that is asked for. `sessionName` is no longer used."""
    from broker.assertions.certificate_attributes import hex_serial_number

    if request.role_session_name is None:
        return hex_serial_number(own)
    if not profile.accepts_session_name:
        raise denied(
            "Not authorized to set roleSessionName.", f"{profile.arn} does not accept names of sessions"
        )
    return request.role_session_name
