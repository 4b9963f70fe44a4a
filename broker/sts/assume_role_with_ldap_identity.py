"""AssumeRoleWithLDAPIdentity: a person of an LDAP directory assumes a role, by user name and password.

MinIO's addition to STS, whose names it has on the wire. MinIO's call names no role: here the groups of the person
choose one (`ldap.roles`), or the request does among those that they give. The role's trust policy has to admit the
directory (`"Federated": "ldap.example.com"`), and may read `ldap:username`, `ldap:user` and `ldap:groups`, as MinIO
calls name, distinguished name and groups. Whatever fails, the client reads one sentence; the journal names the check.
"""

from broker.access.assumable import account_of_role
from broker.access.caller import Caller
from broker.access.directory_people import ldap_caller_of, ldap_person
from broker.access.facts import RequestFacts
from broker.access.identity_stores import with_store_users
from broker.assertions.checks import CheckFailed, Checks
from broker.errors import Refusal, service_unavailable
from broker.federation.attempts import TooManyAttempts
from broker.federation.directory import DirectoryLogins, DirectoryUnavailable, Person
from broker.federation.directory_rules import chosen_role
from broker.federation.federation import Federation
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.storage.store import Transaction
from broker.sts.answers import credentials_shape
from broker.sts.asserted_roles import (
    AssertedRole,
    minted_session,
    not_configured,
    proven_role,
    refused_assertion,
    require_mapped_role,
    require_session_name,
)

# Also the message where a role does not trust the person: password guessing reveals nothing about roles.
_DENIED = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithLDAPIdentity")


async def ldap_caller(
    federation: Federation,
    store: Transaction,
    facts: RequestFacts,
    request: shapes.AssumeRoleWithLDAPIdentityRequest,
) -> Caller:
    """The person who has the password, and the role of the person's groups; raises Refusal."""
    return await prove_ldap(federation, store, facts, request, Checks())


async def prove_ldap(
    federation: Federation,
    store: Transaction,
    facts: RequestFacts,
    request: shapes.AssumeRoleWithLDAPIdentityRequest,
    checks: Checks,
) -> Caller:
    """As `ldap_caller`, with every check noted in `checks`, the one that failed last."""
    directory = federation.directory
    if directory is None:
        raise not_configured("AssumeRoleWithLDAPIdentity", "no LDAP directory is configured")
    if request.role_arn is not None:
        account_of_role(request.role_arn)  # refuses an invalid ARN before the password is tried
    try:
        person = await _logged_in(directory, facts, request, checks)
        require_session_name(person.name, "2 to 64 letters, digits and _+=,.@-", checks)
        role_arn = _require_role(directory, person, request.role_arn, checks)
        caller = ldap_caller_of(
            directory.rules.provider, person.name, person.distinguished_name, person.groups, role_arn
        )
        proven = ldap_person(person.name, person.distinguished_name)
        return await with_store_users(store, caller, proven, checks)
    except CheckFailed as failed:
        raise refused_assertion(*_DENIED, failed) from None


async def _logged_in(
    directory: DirectoryLogins,
    facts: RequestFacts,
    request: shapes.AssumeRoleWithLDAPIdentityRequest,
    checks: Checks,
) -> Person:
    try:
        return await directory.log_in(request.ldap_username, request.ldap_password, facts.source_ip, checks)
    except DirectoryUnavailable as error:
        raise service_unavailable(str(error)) from None
    except TooManyAttempts as error:
        raise Refusal("Throttling", "Rate exceeded", reason=str(error)) from None


def _require_role(directory: DirectoryLogins, person: Person, wanted: str | None, checks: Checks) -> str:
    role_arn = chosen_role(directory.rules, (person.distinguished_name, *person.groups), wanted)
    found = f"{person.distinguished_name} in {', '.join(person.groups) or 'no group'}"
    return require_mapped_role(role_arn, wanted, checks, found=found, giver="a group")


@operation("sts:AssumeRoleWithLDAPIdentity", prepare=proven_role, prove=ldap_caller)
async def assume_role_with_ldap_identity(
    call: Call, request: shapes.AssumeRoleWithLDAPIdentityRequest, prepared: Prepared[AssertedRole]
) -> shapes.AssumeRoleWithLDAPIdentityResponse:
    session = prepared.found.session
    minted = await minted_session(call, request, prepared)
    return shapes.AssumeRoleWithLDAPIdentityResponse(
        credentials=credentials_shape(minted),
        assumed_role_user=shapes.AssumedRoleUser(assumed_role_id=session.user_id, arn=session.arn),
        packed_policy_size=minted.packed_policy_size,
        provider=call.caller.principal.arn,
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )
