"""Who has to allow: where the owner of the resource is unknown, and for those who belong to no account."""

import json

import pytest

from broker.names.principal import (
    Anonymous,
    AssumedRole,
    CertificateSubject,
    FederatedUser,
    IamUser,
    LdapSubject,
    Principal,
    Root,
    SamlSubject,
    Service,
    WebIdentity,
)
from broker.policy import (
    NO_POLICIES,
    AccessRequest,
    Context,
    Decision,
    Layer,
    Layers,
    Outcome,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    access_denied_message,
    compile_policies,
    decide,
    parse_policy,
)

A = "111122223333"
BUCKET = "arn:aws:s3:::reports"
ALICE, RUN = IamUser(A, "alice", "AIDA1"), AssumedRole(A, "builder", "AROA1", "run-7")
INSIDERS: list[Principal] = [ALICE, RUN, Root(A), FederatedUser(A, "fay")]
OUTSIDERS: list[Principal] = [
    Service("sns.amazonaws.com"),
    WebIdentity("accounts.google.com", "7"),
    SamlSubject(f"arn:aws:iam::{A}:saml-provider/corp", "sam"),
    LdapSubject("ldap.example.com", "lea"),
    CertificateSubject("certificates.example.com", "CN=night"),
    Anonymous(),
]


def policies(kind: PolicyKind, effect: str = "Allow", action: str = "*", **more: object) -> PolicySet:
    statement = {"Sid": "Tested", "Effect": effect, "Action": action, "Resource": "*", **more}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    return compile_policies([(Source(SourceKind.NONE, kind.value), parse_policy(text, kind))])


EVERYTHING = policies(PolicyKind.IDENTITY)
TO_EVERYONE = policies(PolicyKind.RESOURCE, Principal="*")
TO_ACCOUNT = policies(PolicyKind.RESOURCE, Principal={"AWS": A})


def asked(who: Principal, layers: Layers, owner: str | None = None) -> Decision:
    return decide(AccessRequest(who, "s3:ListBucket", BUCKET, owner, Context()), layers)


@pytest.mark.parametrize("who", INSIDERS, ids=lambda who: type(who).__name__)
def test_of_an_unknown_owner_nobody_may_what_the_resource_does_not_grant(who: Principal) -> None:
    """It may be another account's."""
    layers = Layers(EVERYTHING, session=EVERYTHING)
    assert asked(who, layers, A).allowed
    decision = asked(who, layers)
    assert (decision.outcome, decision.layer) == (Outcome.IMPLICITLY_DENIED, Layer.RESOURCE)


@pytest.mark.parametrize("who", [ALICE, RUN, FederatedUser(A, "fay")], ids=lambda who: type(who).__name__)
def test_of_an_unknown_owner_nobody_may_what_the_callers_account_does_not_allow(who: Principal) -> None:
    nothing = Layers(NO_POLICIES, session=EVERYTHING, resource=TO_EVERYONE)
    assert asked(who, nothing, A).allowed
    decision = asked(who, nothing)
    assert (decision.outcome, decision.layer) == (Outcome.IMPLICITLY_DENIED, Layer.IDENTITY)
    for granting in (TO_EVERYONE, TO_ACCOUNT):
        assert asked(who, Layers(EVERYTHING, session=EVERYTHING, resource=granting)).allowed


def test_of_an_unknown_owners_policy_nothing_is_told() -> None:
    denying = policies(PolicyKind.RESOURCE, "Deny", Principal="*")
    for owner, is_told in ((A, True), (None, False), ("444455556666", False)):
        decision = asked(ALICE, Layers(EVERYTHING, resource=denying), owner)
        sentence = access_denied_message(decision.request, decision)
        assert ("explicit deny in a resource-based policy" in sentence) is is_told


@pytest.mark.parametrize("owner", [A, None])
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize("who", OUTSIDERS, ids=lambda who: type(who).__name__)
def test_service_control_policies_hold_nobody_who_is_in_no_account(
    who: Principal, effect: str, owner: str | None
) -> None:
    """They are an account's, and limit its users and roles."""
    scp = policies(PolicyKind.SCP, effect, "s3:*" if effect == "Deny" else "sqs:*")
    layers = Layers(NO_POLICIES, resource=TO_EVERYONE, scps=(scp, EVERYTHING))
    decision = asked(who, layers, owner)
    assert decision.allowed
    assert [account.layer for account in decision.explain().layers] == [Layer.RESOURCE, Layer.IDENTITY]
    assert asked(ALICE, layers, owner).layer is Layer.SCP


@pytest.mark.parametrize("who", OUTSIDERS, ids=lambda who: type(who).__name__)
def test_resource_control_policies_hold_everybody(who: Principal) -> None:
    everything = policies(PolicyKind.RCP, Principal="*")
    denying = policies(PolicyKind.RCP, "Deny", "s3:*", Principal="*")
    layers = Layers(NO_POLICIES, resource=TO_EVERYONE, rcps=(PolicySet.union(everything, denying),))
    assert asked(who, layers, A).layer is Layer.RCP
    assert asked(who, Layers(NO_POLICIES, resource=TO_EVERYONE, rcps=(everything,)), A).allowed
