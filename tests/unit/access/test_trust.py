import json

import pytest

from broker.access.trust import bound_trust_policy
from broker.names.principal import AssumedRole, IamUser
from broker.policy import (
    AccessRequest,
    Context,
    Layers,
    PolicyKind,
    Source,
    SourceKind,
    compile_policies,
    decide,
    parse_policy,
)
from broker.storage.records import Role

ACCOUNT = "111122223333"
APP = f"arn:aws:iam::{ACCOUNT}:role/app"
BOB = f"arn:aws:iam::{ACCOUNT}:user/bob"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/deployer"
NIGHT = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/night"
OLD_USER, NEW_USER = "AIDAOLD00000000000001", "AIDANEW00000000000001"
OLD_ROLE, NEW_ROLE = "AROAOLD00000000000001", "AROANEW00000000000001"


def role(trusted, trusted_ids, effect="Allow", element="Principal"):
    statement = {"Effect": effect, element: {"AWS": trusted}, "Action": "sts:AssumeRole"}
    allow_all = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    statements = [statement] if effect == "Allow" else [allow_all, statement]
    return Role(
        account_id=ACCOUNT,
        role_name="app",
        role_id="AROAAPP00000000000001",
        created_at=0,
        assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": statements}),
        trusted_ids=trusted_ids,
    )


def may_assume(principal, role):
    policy = parse_policy(str(bound_trust_policy(role)), PolicyKind.TRUST)
    trust = compile_policies([(Source(SourceKind.RESOURCE, "trust"), policy)])
    request = AccessRequest(principal, "sts:AssumeRole", APP, ACCOUNT, Context())
    return decide(request, Layers(compile_policies([]), resource=trust)).allowed


def session(role_id, name="night"):
    return AssumedRole(ACCOUNT, "deployer", role_id, name)


@pytest.mark.parametrize(
    ("entry", "bound", "trusted", "same_name"),
    [
        (BOB, OLD_USER, IamUser(ACCOUNT, "bob", OLD_USER), IamUser(ACCOUNT, "bob", NEW_USER)),
        (DEPLOYER, OLD_ROLE, session(OLD_ROLE), session(NEW_ROLE)),
        (NIGHT, f"{OLD_ROLE}:night", session(OLD_ROLE), session(NEW_ROLE)),
    ],
    ids=["a user", "a role", "a session"],
)
@pytest.mark.parametrize("written", [lambda entry: entry, lambda entry: [entry]], ids=["one", "in a list"])
def test_a_bound_arn_does_not_match_another_principal_of_the_same_name(
    written, entry, bound, trusted, same_name
):
    bound_role = role(written(entry), {entry: bound})
    assert may_assume(trusted, bound_role)
    assert not may_assume(same_name, bound_role)


def test_a_bound_session_means_no_other_session_of_the_role():
    assert not may_assume(session(OLD_ROLE, "day"), role(NIGHT, {NIGHT: f"{OLD_ROLE}:night"}))


def test_an_arn_of_an_account_that_is_not_on_record_is_matched_by_name():
    assert may_assume(IamUser(ACCOUNT, "bob", NEW_USER), role(BOB, {}))


def test_a_deny_that_is_bound_denies_its_bearer_and_no_namesake():
    denying = role(BOB, {BOB: OLD_USER}, effect="Deny")
    assert not may_assume(IamUser(ACCOUNT, "bob", OLD_USER), denying)
    assert may_assume(IamUser(ACCOUNT, "bob", NEW_USER), denying)


def test_what_is_bound_in_not_principal_spares_its_bearer_and_no_namesake():
    spared = [BOB, f"arn:aws:iam::{ACCOUNT}:root"]
    sparing = role(spared, {BOB: OLD_USER}, effect="Deny", element="NotPrincipal")
    assert may_assume(IamUser(ACCOUNT, "bob", OLD_USER), sparing)
    assert not may_assume(IamUser(ACCOUNT, "bob", NEW_USER), sparing)
