"""What credentials of a kind never do, and what they may."""

import pytest

from broker.access.caller import Caller, root_caller
from broker.access.restrictions import refuse_restricted
from broker.errors import Refusal
from broker.names.principal import AssumedRole, FederatedUser, IamUser, Root

ACCOUNT = "111122223333"
USER = IamUser(ACCOUNT, "alice", "AIDA1")


def temporary(principal, **facts):
    return Caller(principal=principal, account=ACCOUNT, token_issued_at=0, **facts)


LONG_TERM = Caller(principal=USER, account=ACCOUNT)
SESSION_TOKEN = temporary(USER, is_session_token=True)
WITH_MFA = temporary(USER, is_session_token=True, mfa_authenticated_at=0)
ROOT_SESSION = temporary(Root(ACCOUNT), is_session_token=True)
FEDERATED = temporary(FederatedUser(ACCOUNT, "guest"))
ROLE = temporary(AssumedRole(ACCOUNT, "worker", "AROA1", "night"))
TASK = temporary(Root(ACCOUNT), is_assumed_root=True)

DENIED, INVALID = "AccessDenied", "InvalidClientTokenId"


def answer(caller, service, operation):
    try:
        refuse_restricted(caller, service, operation)
    except Refusal as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(
    ("caller", "iam", "identity", "assume", "session", "federation", "info", "scoped"),
    [
        (LONG_TERM, "", "", "", "", "", "", DENIED),
        (root_caller(ACCOUNT), "", "", "", "", "", "", DENIED),
        (SESSION_TOKEN, INVALID, "", "", DENIED, DENIED, DENIED, ""),
        (WITH_MFA, "", "", "", DENIED, DENIED, DENIED, ""),
        (ROOT_SESSION, INVALID, "", "", DENIED, DENIED, DENIED, DENIED),
        (FEDERATED, INVALID, "", DENIED, DENIED, DENIED, DENIED, ""),
        (ROLE, "", "", "", DENIED, DENIED, "", ""),
        (TASK, "", "", DENIED, DENIED, DENIED, DENIED, DENIED),
    ],
    ids=[
        "user",
        "root",
        "session token",
        "with MFA",
        "session token of root",
        "federated",
        "role",
        "root task",
    ],
)
def test_the_table_of_aws_holds(caller, iam, identity, assume, session, federation, info, scoped):
    assert answer(caller, "iam", "ListUsers") == iam
    assert answer(caller, "sts", "GetCallerIdentity") == identity
    assert answer(caller, "sts", "AssumeRole") == assume
    assert answer(caller, "sts", "GetSessionToken") == session
    assert answer(caller, "sts", "GetFederationToken") == federation
    assert answer(caller, "sts", "GetAccessKeyInfo") == info
    assert answer(caller, "sts", "GetScopedCredentials") == scoped


def test_the_sentences_are_awss():
    with pytest.raises(Refusal) as refused:
        refuse_restricted(ROLE, "sts", "GetFederationToken")
    assert refused.value.message == "Cannot call GetFederationToken with session credentials"
    for caller in (SESSION_TOKEN, FEDERATED):
        with pytest.raises(Refusal) as refused:
            refuse_restricted(caller, "iam", "ListUsers")
        assert refused.value.message == "The security token included in the request is invalid"
