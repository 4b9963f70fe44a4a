"""Operations that some kinds of credentials can never call, whatever the policies allow.

A table, from "Compare AWS STS credentials" of the IAM User Guide: credentials of GetSessionToken call no IAM operation
unless MFA was given, and in STS only AssumeRole, GetCallerIdentity and GetScopedCredentials; those of
GetFederationToken call no IAM operation, and in STS only GetCallerIdentity and GetScopedCredentials; root task sessions
call no STS operation but GetCallerIdentity. GetScopedCredentials is for sessions only, and for none of the root user.
"""

from broker.access.caller import Caller
from broker.errors import Refusal, access_denied
from broker.names.principal import FederatedUser, IamUser, Root

_SESSION_TOKEN_STS = frozenset({"AssumeRole", "GetCallerIdentity", "GetScopedCredentials"})
_FEDERATED_STS = frozenset({"GetCallerIdentity", "GetScopedCredentials"})
_ROOT_TASK_STS = frozenset({"GetCallerIdentity"})
_LONG_TERM_ONLY = frozenset({"GetSessionToken", "GetFederationToken"})


def long_term_principal(caller: Caller, operation: str) -> IamUser | Root:
    """The owner of the caller's long-term credentials; raises AccessDenied for other credentials."""
    if caller.is_temporary or not isinstance(caller.principal, IamUser | Root):
        raise access_denied(f"Cannot call {operation} with session credentials")
    return caller.principal


def refuse_restricted(caller: Caller, service: str, operation: str) -> None:
    """Raise Refusal where credentials of this kind cannot call this operation."""
    if service == "sts" and operation == "GetScopedCredentials":
        _refuse_unscopable(caller)
    if not caller.is_temporary:
        return
    if service == "sts" and operation in _LONG_TERM_ONLY:
        raise access_denied(f"Cannot call {operation} with session credentials")
    if caller.is_session_token:
        _refuse_session_token(caller, service, operation)
    elif isinstance(caller.principal, FederatedUser):
        _refuse_federated(service, operation)
    elif caller.is_assumed_root and service == "sts" and operation not in _ROOT_TASK_STS:
        raise access_denied(f"Cannot call {operation} with credentials of AssumeRoot")


def _refuse_unscopable(caller: Caller) -> None:
    if isinstance(caller.principal, Root):
        raise access_denied("Cannot call GetScopedCredentials with root credentials")
    if not caller.is_temporary:
        raise access_denied("Cannot call GetScopedCredentials with IAM user credentials")


def _refuse_session_token(caller: Caller, service: str, operation: str) -> None:
    if service == "iam" and caller.mfa_authenticated_at is None:
        raise _not_for_iam("credentials of GetSessionToken without MFA call no IAM operation")
    if service == "sts" and operation not in _SESSION_TOKEN_STS:
        raise access_denied(f"Cannot call {operation} with session credentials")


def _refuse_federated(service: str, operation: str) -> None:
    if service == "iam":
        raise _not_for_iam("credentials of GetFederationToken call no IAM operation")
    if service == "sts" and operation not in _FEDERATED_STS:
        raise access_denied(f"Cannot call {operation} with federated user credentials")


def _not_for_iam(reason: str) -> Refusal:
    """IAM's own sentence, without the full stop that an unknown key's has (aws/aws-cli#8918, aws-vault#1056)."""
    return Refusal(
        "InvalidClientTokenId", "The security token included in the request is invalid", reason=reason
    )
