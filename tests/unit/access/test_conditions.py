"""Which condition keys a request has, and which it must not have."""

import msgspec
import pytest

from broker.access.caller import Caller, root_caller
from broker.access.conditions import RequestContext, UnknownKey
from broker.access.facts import RequestFacts
from broker.access.resource import Resource
from broker.names.principal import Anonymous, AssumedRole, FederatedUser, IamUser, Root, Service
from tests.unit.access.conftest import NOW

ACCOUNT, OTHER = "111122223333", "444455556666"
ALICE = Caller(principal=IamUser(ACCOUNT, "alice", "AIDA1", "/ops/"), account=ACCOUNT, tags={"Team": "red"})
SESSION = Caller(
    principal=AssumedRole(ACCOUNT, "worker", "AROA1", "night", "/ops/"),
    account=ACCOUNT,
    token_issued_at=int(NOW) - 60,
    source_identity="alice",
    federated_provider="arn:idp",
    role_delivery="2.0",
    session_keys={"saml:aud": ("https://idp",)},
)
NOWHERE = Resource()


def keys(caller, facts, resource=NOWHERE):
    return RequestContext(caller, facts, resource).by_key


def test_a_user_fills_the_keys_of_long_term_credentials(facts):
    found = keys(ALICE, facts)
    assert found["aws:principalarn"] == (f"arn:aws:iam::{ACCOUNT}:user/ops/alice",)
    assert found["aws:principaltype"] == ("User",)
    assert found["aws:principalaccount"] == found["aws:resourceaccount"] == (ACCOUNT,)
    assert (found["aws:userid"], found["aws:username"]) == (("AIDA1",), ("alice",))
    assert found["aws:principaltag/team"] == ("red",)
    for absent in (
        "aws:tokenissuetime",
        "aws:multifactorauthpresent",
        "aws:multifactorauthage",
        "aws:sourceidentity",
    ):
        assert absent not in found, "long-term credentials have no such key at all"


def test_a_session_fills_the_keys_of_temporary_credentials(facts):
    found = keys(SESSION, facts)
    assert found["aws:principalarn"] == (f"arn:aws:iam::{ACCOUNT}:role/ops/worker",)
    assert found["aws:principaltype"] == ("AssumedRole",)
    assert found["aws:userid"] == ("AROA1:night",)
    assert "aws:username" not in found
    assert found["aws:tokenissuetime"] == ("2027-01-15T07:59:00Z",)
    assert found["aws:sourceidentity"] == ("alice",)
    assert found["aws:federatedprovider"] == ("arn:idp",)
    assert found["ec2:roledelivery"] == ("2.0",)
    assert found["saml:aud"] == ("https://idp",)


def test_a_session_without_mfa_says_so_but_of_a_federated_identity_nothing_is_said(facts):
    own = msgspec.structs.replace(SESSION, federated_provider=None)
    found = keys(own, facts)
    assert found["aws:multifactorauthpresent"] == ("false",)
    assert "aws:multifactorauthage" not in found
    for absent in ("aws:multifactorauthpresent", "aws:multifactorauthage"):
        assert absent not in keys(SESSION, facts)


def test_a_session_with_mfa_says_how_long_ago_it_was(facts):
    proven = msgspec.structs.replace(SESSION, federated_provider=None, mfa_authenticated_at=int(NOW) - 61)
    found = keys(proven, facts)
    assert found["aws:multifactorauthpresent"] == ("true",)
    assert found["aws:multifactorauthage"] == ("61",)


@pytest.mark.parametrize(
    ("principal", "name", "user_id"),
    [
        (Root(ACCOUNT), "Account", ACCOUNT),
        (FederatedUser(ACCOUNT, "guest"), "FederatedUser", f"{ACCOUNT}:guest"),
    ],
)
def test_kinds_of_principals_have_awss_names(facts, principal, name, user_id):
    found = keys(Caller(principal=principal, account=ACCOUNT), facts)
    assert (found["aws:principaltype"], found["aws:userid"]) == ((name,), (user_id,))
    assert found["aws:principalarn"] == (principal.arn,)
    assert "aws:username" not in found


def test_who_has_proven_nothing_is_of_no_account_and_is_asked_for_no_service(facts):
    found = keys(Caller(principal=Anonymous(), account=""), facts)
    assert found["aws:principalaccount"] == found["aws:userid"] == ("anonymous",)
    assert "aws:principalarn" not in found
    assert "aws:principalisawsservice" not in found


def test_a_service_says_for_which_resource_and_account_it_acts(facts):
    trail = f"arn:aws:cloudtrail:eu-west-1:{OTHER}:trail/all"
    service = Service("cloudtrail.amazonaws.com")
    found = keys(Caller(principal=service, account="", source_arn=trail), facts)
    assert (found["aws:sourcearn"], found["aws:sourceaccount"]) == ((trail,), (OTHER,))
    assert found["aws:principalservicename"] == found["aws:principalservicenameslist"] == (service.name,)
    assert found["aws:principalisawsservice"] == ("true",)


def test_what_an_assertion_brings_replaces_nothing_of_ours(facts):
    liar = msgspec.structs.replace(
        SESSION,
        session_keys={
            "aws:principalaccount": (OTHER,),
            "aws:userid": ("root",),
            "aws:sourceip": ("10.0.0.1",),
            "aws:multifactorauthpresent": ("true",),
            "aws:multifactorauthage": ("1",),
            "aws:username": ("admin",),
            "aws:currenttime": ("1970-01-01T00:00:00Z",),
        },
    )
    honest = msgspec.structs.replace(SESSION, session_keys={})
    assert keys(liar, facts) == keys(honest, facts)


def test_a_changed_caller_does_not_keep_the_keys_of_the_first(facts):
    assert keys(ALICE, facts)["aws:principaltag/team"] == ("red",)
    changed = msgspec.structs.replace(ALICE, tags={"Team": "blue"})
    assert keys(changed, facts)["aws:principaltag/team"] == ("blue",)


def test_the_transport_and_the_moment():
    facts = RequestFacts(NOW, "id", "192.0.2.1", "aws-cli/2", True, "eu-west-1")
    found = keys(root_caller(ACCOUNT), facts)
    assert found["aws:sourceip"] == ("192.0.2.1",)
    assert found["aws:useragent"] == ("aws-cli/2",)
    assert found["aws:securetransport"] == ("true",)
    assert found["aws:requestedregion"] == ("eu-west-1",)
    assert found["aws:currenttime"] == ("2027-01-15T08:00:00Z",)
    assert found["aws:epochtime"] == ("1800000000",)
    assert found["aws:viaawsservice"] == ("false",)
    assert "aws:referer" not in found
    linked = msgspec.structs.replace(facts, referer="https://shop.example/a")
    assert keys(root_caller(ACCOUNT), linked)["aws:referer"] == ("https://shop.example/a",)


def test_a_resource_brings_its_account_its_tags_and_its_keys(facts):
    resource = Resource(
        f"arn:aws:iam::{OTHER}:role/x",
        OTHER,
        {"Team": "red"},
        {"sts:ExternalId": "42", "aws:TagKeys": ("a", "b")},
    )
    found = keys(ALICE, facts, resource)
    assert found["aws:resourceaccount"] == (OTHER,)
    assert found["aws:resourcetag/team"] == found["iam:resourcetag/team"] == ("red",)
    assert found["sts:externalid"] == ("42",)
    assert found["aws:tagkeys"] == ("a", "b")
    bucket = keys(ALICE, facts, Resource("arn:aws:s3:::b", OTHER, {"Team": "red"}))
    assert "iam:resourcetag/team" not in bucket


def test_a_key_that_is_not_known_here_cannot_be_read(facts):
    """Absent would be wrong: a Deny with StringEquals does not apply to an absent key."""
    resource = Resource(
        "arn:aws:s3:::bucket/key",
        keys={"s3:ExistingObjectTag/known": "1"},
        unknown=("s3:existingobjecttag/",),
    )
    found = keys(ALICE, facts, resource)
    assert found.get("s3:existingobjecttag/known") == ("1",)
    assert found.get("s3:prefix") is None
    assert found.get("s3:prefix", ()) == ()
    for default in (None, ()):
        with pytest.raises(UnknownKey, match="AccessDenied"):
            found.get("s3:existingobjecttag/secret", default)
