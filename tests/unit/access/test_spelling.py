"""Condition keys get their spelling back where the reasons of a denial are written."""

import msgspec

from broker.access.caller import Caller
from broker.access.conditions import RequestContext
from broker.access.organization import organization_keys
from broker.access.resource import Resource
from broker.access.spelling import spelled_keys
from broker.names.principal import AssumedRole, IamUser, Service
from broker.storage.organization_records import Organization, OrganizationalUnit
from tests.unit.access.conftest import NOW

ACCOUNT = "111122223333"
ALICE = Caller(principal=IamUser(ACCOUNT, "alice", "AIDA1"), account=ACCOUNT, tags={"Team": "red"})
SESSION = Caller(
    principal=AssumedRole(ACCOUNT, "worker", "AROA1", "night"),
    account=ACCOUNT,
    token_issued_at=int(NOW) - 60,
    mfa_authenticated_at=int(NOW) - 61,
    source_identity="alice",
    federated_provider="arn:idp",
    role_delivery="2.0",
    session_keys={"ec2:sourceinstancearn": ("arn:aws:ec2:us-east-1:111122223333:instance/i-1",)},
    is_assumed_root=True,
)
TRAIL = Caller(
    principal=Service("cloudtrail.amazonaws.com"),
    account="",
    source_arn=f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/all",
)
ROLE = Resource(
    f"arn:aws:iam::{ACCOUNT}:role/x",
    ACCOUNT,
    tags={"costCenter": "7"},
    keys={"iam:PermissionsBoundary": "arn", "aws:RequestTag/Plan": "b", "aws:TagKeys": ("Plan",)},
)
# The only ones that AWS itself writes so.
LOWER_CASE = {"aws:username", "aws:userid"}


def test_tags_and_an_operations_own_keys_are_spelled_as_they_came():
    spelled = spelled_keys(ALICE, ROLE)
    for key in (
        "aws:PrincipalTag/Team",
        "aws:ResourceTag/costCenter",
        "iam:ResourceTag/costCenter",
        "iam:PermissionsBoundary",
        "aws:RequestTag/Plan",
        "aws:TagKeys",
        "aws:CurrentTime",
    ):
        assert spelled[key.lower()] == key


def test_no_key_that_the_broker_fills_is_left_in_lower_case(facts):
    unit = OrganizationalUnit(parent="r-1")
    organization = Organization(
        organization_id="o-a1",
        management_account_id="999999999999",
        units={"r-1": OrganizationalUnit(parent=None)},
        accounts={ACCOUNT: unit},
    )
    facts = msgspec.structs.replace(facts, user_agent="aws-cli/2", referer="https://shop.example/")
    filled = organization_keys(organization, ACCOUNT, ACCOUNT, ACCOUNT)
    for caller in (ALICE, SESSION, TRAIL):
        spelled = spelled_keys(caller, ROLE)
        keys = set(RequestContext(caller, facts, ROLE, filled).by_key)
        left = {key for key in keys if spelled.get(key, key).islower()}
        assert left == LOWER_CASE & keys
