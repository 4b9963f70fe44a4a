"""CreateSession: the holder of a certificate takes on a role; "an X.509 wrapper around AssumeRole".

The service principal performs sts:AssumeRole with the certificate's attributes as session tags and its common name as
source identity. The role's trust policy decides, and may read aws:SourceArn (the trust anchor),
aws:PrincipalTag/x509Subject/CN and the like, and sts:SourceIdentity.

Sessions that exist are not ended when a certificate is revoked or expires, as on AWS; `broker revoke` ends them.
"""

from broker.access.caller import Asserted
from broker.errors import Refusal
from broker.names.arn import roles_anywhere_arn
from broker.operation import Call, Prepared, find_operation, no_resource, operation, perform_within
from broker.protocol.shapes import rolesanywhere as shapes
from broker.protocol.shapes import sts
from broker.roles_anywhere.proof import decoded, workload_caller
from broker.roles_anywhere.refusals import denied, invalid
from broker.roles_anywhere.resources import PROFILE, find_by_id
from broker.roles_anywhere.subjects import Presented, note_request, subject_id
from broker.storage.workload_records import WorkloadProfile

# Refusals of AssumeRole that are about the request, not about permission.
_DENIALS = ("AccessDenied", "AccessDeniedException")
_UNAVAILABLE = ("ServiceUnavailable", "InternalFailure")


@operation("rolesanywhere:CreateSession", prepare=no_resource, prove=workload_caller)
async def create_session(
    call: Call, request: shapes.CreateSessionRequest, prepared: Prepared[None]
) -> shapes.CreateSessionResponse:
    asserted = call.caller.asserted
    assert asserted is not None, "the proof made this caller"
    presented = _presented(call, request, asserted)
    try:
        assumed = await _assume(call, asserted)
    except Refusal as refusal:
        if refusal.code in _UNAVAILABLE:
            raise
        await note_request(call, presented, failed=True)
        call.store.make_unconditional()
        raise _refused(asserted, refusal, request) from None
    await note_request(call, presented, failed=False)
    return _answer(call, asserted, assumed, presented)


def _presented(call: Call, request: shapes.CreateSessionRequest, asserted: Asserted) -> Presented:
    from broker.assertions.certificate_attributes import issuer_of, pem_of

    own = decoded(request)
    return Presented(
        account=asserted.account,
        region=call.facts.region,
        subject=asserted.subject,
        issuer=issuer_of(own),
        serial_number=str(own.serial_number),
        pem=pem_of(own),
        properties=request.instance_properties,
    )


async def _assume(call: Call, asserted: Asserted) -> sts.AssumeRoleResponse:
    profile_id = asserted.audience.rpartition("/")[2]
    profile: WorkloadProfile = await find_by_id(
        call.store, PROFILE, asserted.account, call.facts.region, profile_id
    )
    answer: sts.AssumeRoleResponse = await perform_within(
        call,
        call.caller,
        find_operation("sts", "AssumeRole"),
        sts.AssumeRoleRequest(
            role_arn=asserted.role_arn,
            role_session_name=asserted.session_name,
            duration_seconds=asserted.max_duration,
            source_identity=asserted.attributes.source_identity,
            tags=tuple(sts.Tag(key=key, value=value) for key, value in asserted.attributes.tags.items()),
            policy=profile.session_policy,
            policy_arns=tuple(sts.PolicyDescriptorType(arn=one) for one in profile.managed_policy_arns),
        ),
    )
    return answer


def _refused(asserted: Asserted, refusal: Refusal, request: shapes.CreateSessionRequest) -> Refusal:
    """As AWS says it: of a role that does not trust the certificate no more than its name."""
    if refusal.code not in _DENIALS:
        return invalid(refusal.message)
    return denied(
        f"Unable to assume role for {asserted.role_arn}{_left_out(asserted)}",
        reason=refusal.reason or refusal.message,
    )


def _left_out(asserted: Asserted) -> str:
    """Which attributes of the certificate no session tag could have, in AWS's sentence."""
    left_out = asserted.session_keys.get("left out", ())
    if not left_out:
        return ""
    shown = {
        title: " ".join(one.partition("/")[2] for one in left_out if one.startswith(f"{field}/"))
        for title, field in (("Issuer", "x509Issuer"), ("Subject", "x509Subject"), ("SAN", "x509SAN"))
    }
    listed = "; ".join(f"{title}: [ {names} ]" for title, names in shown.items())
    return f". Some attributes failed to be mapped into session tags. {listed}"


def _answer(
    call: Call, asserted: Asserted, assumed: sts.AssumeRoleResponse, presented: Presented
) -> shapes.CreateSessionResponse:
    credentials, user = assumed.credentials, assumed.assumed_role_user
    assert credentials is not None and user is not None, "AssumeRole answers with both"
    subject = f"subject/{subject_id(presented)}"
    return shapes.CreateSessionResponse(
        credential_set=(
            shapes.CredentialResponse(
                assumed_role_user=shapes.AssumedRoleUser(arn=user.arn, assumed_role_id=user.assumed_role_id),
                credentials=shapes.SessionCredentials(
                    access_key_id=credentials.access_key_id,
                    expiration=credentials.expiration,
                    secret_access_key=credentials.secret_access_key,
                    session_token=credentials.session_token,
                ),
                packed_policy_size=assumed.packed_policy_size,
                role_arn=asserted.role_arn,
                source_identity=assumed.source_identity,
            ),
        ),
        subject_arn=roles_anywhere_arn(call.facts.region, asserted.account, subject),
    )
