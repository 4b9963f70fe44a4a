"""CheckFederation: why would this assertion be refused? AWS has no such operation.

What `broker federation check` shows an operator, for those who may ask about the role: the checks of
AssumeRoleWithWebIdentity, AssumeRoleWithSAML or AssumeRoleWithLDAPIdentity in their order, with what was found and what
was wanted. Nothing is used up, and no credentials are made. The answer tells what the role's trust policy wants.
"""

from msgspec.structs import replace

from broker.access.assumable import account_of_role
from broker.access.resource import Resource
from broker.errors import Refusal
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.sts.examination import ExaminedRequest, examine

_LONGEST = 2048  # characters of what was found, and of what was wanted


async def role_to_check(
    call: Call, request: shapes.CheckFederationRequest
) -> Prepared[ExaminedRequest] | Absent:
    """Whether the role is there is one of the checks, so a missing one is judged as any."""
    role_arn = request.role_arn
    role = await call.gate.assumable_roles.find(call.store, role_arn)
    resource = Resource(role_arn, account_of_role(role_arn), tags={} if role is None else role.tags)
    return Prepared(resource, _assertion_of(request))


@operation("sts:CheckFederation", prepare=role_to_check)
async def check_federation(
    call: Call, request: shapes.CheckFederationRequest, prepared: Prepared[ExaminedRequest]
) -> shapes.CheckFederationResponse:
    # What the flows write, a token that is used up among it, is thrown away.
    examined = await examine(replace(call, store=call.store.beside()), prepared.found)
    return shapes.CheckFederationResponse(
        is_allowed=not examined.refusal,
        refusal=examined.refusal or None,
        arn=examined.session_arn or None,
        checks=tuple(
            shapes.FederationCheck(
                name=check.name,
                passed=check.passed,
                found=check.found[:_LONGEST] or None,
                wanted=check.wanted[:_LONGEST] or None,
            )
            for check in examined.checks
        ),
    )


def _assertion_of(request: shapes.CheckFederationRequest) -> ExaminedRequest:
    """The request whose checks are asked for; raises InvalidParameterCombination where it is not one of them."""
    token, response, password = request.web_identity_token, request.saml_assertion, request.ldap_password
    has_saml = (response is not None, request.principal_arn is not None)
    has_ldap = (password is not None, request.ldap_username is not None)
    if (
        [token is not None, any(has_saml), any(has_ldap)].count(True) != 1
        or any(has_saml) != all(has_saml)
        or any(has_ldap) != all(has_ldap)
    ):
        raise Refusal(
            "InvalidParameterCombination",
            "Send one of these: WebIdentityToken; SAMLAssertion and PrincipalArn; LDAPUsername and LDAPPassword.",
        )
    if token is not None:
        return shapes.AssumeRoleWithWebIdentityRequest(
            role_arn=request.role_arn,
            role_session_name=request.role_session_name or "check",
            web_identity_token=token,
        )
    if response is not None and request.principal_arn is not None:
        return shapes.AssumeRoleWithSAMLRequest(
            role_arn=request.role_arn, principal_arn=request.principal_arn, saml_assertion=response
        )
    assert request.ldap_username is not None
    assert password is not None
    return shapes.AssumeRoleWithLDAPIdentityRequest(
        role_arn=request.role_arn, ldap_username=request.ldap_username, ldap_password=password
    )
