"""Past requests judged again: what the record does not hold is never taken for missing."""

from typing import Any

from broker.access.past_requests import PastRequest, Replayed, ReplayRequest
from broker.operation import PAGE_OPERATIONS, perform
from broker.protocol.shapes import iam as shapes
from tests.unit.simulator.simulating import ACCOUNT, ALICE, A, allow, deny, document, trust

OWN = shapes.InlinePolicyIdentifierType(policy_name="own", attachment_type="user", attachment_name="alice")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/reader"


def past(action: str = "s3:GetObject", *resources: tuple[str, str], **keys: str) -> PastRequest:
    named = resources or (("", A),)
    return PastRequest(action, named, {key: (value,) for key, value in keys.items()})


async def replayed(iam: Any, document_text: str, *requests: PastRequest, arn: str = ALICE) -> list[Replayed]:
    request = ReplayRequest(
        policy_source_arn=arn,
        policy_exclusion_list=(shapes.PolicyIdentifier(inline_policy_identifier=OWN),),
        policy_input_list=(document_text,),
        action_names=("s3:GetObject",),
        past=requests,
    )
    answer = await iam.page(lambda call: perform(PAGE_OPERATIONS["ReplayRequests"], call, request))
    return list(answer.replayed)


async def test_one_document_is_replaced_and_the_other_policies_stay(iam, alice):
    other = document(allow("s3:ListBucket"))
    assert await replayed(iam, other, past(), past("s3:ListBucket"), past("s3:DeleteObject")) == [
        Replayed(True, False),
        Replayed(False, True),
        Replayed(True, True),
    ]


async def test_a_condition_on_a_key_that_the_record_lacks_is_uncertain_and_one_that_it_holds_is_not(
    iam, alice
):
    here = document(allow("s3:GetObject", Condition={"StringEquals": {"aws:SourceIp": "192.0.2.1"}}))
    assert await replayed(iam, here, past()) == [Replayed(True, None)]
    assert await replayed(iam, here, past(**{"aws:sourceip": "192.0.2.1"})) == [Replayed(True, True)]
    assert await replayed(iam, here, past(**{"aws:sourceip": "192.0.2.9"})) == [Replayed(True, False)]


async def test_a_key_that_is_known_to_be_missing_is_known(iam, alice):
    with_mfa = document(
        deny("s3:GetObject", Condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}})
    )
    request = past()
    assert await replayed(iam, with_mfa, request) == [Replayed(True, False)]
    without = document(
        allow("s3:GetObject", Condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}})
    )
    absent = frozenset({"aws:multifactorauthpresent"})
    known = PastRequest(request.action, request.resources, request.keys, absent)
    assert await replayed(iam, without, request, known) == [Replayed(True, None), Replayed(True, True)]


async def test_the_tags_of_a_user_are_known_and_those_of_a_session_are_not(iam, alice):
    tagged = document(allow("s3:GetObject", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}}))
    assert await replayed(iam, tagged, past()) == [Replayed(True, False)]
    role = await iam(
        shapes.CreateRoleRequest(
            role_name="reader", path="/team/", assume_role_policy_document=document(trust(ALICE))
        )
    )
    assert await replayed(iam, tagged, past(), arn=role.role.arn) == [Replayed(False, None)]


async def test_a_name_stands_for_the_entity_that_has_it_and_for_nothing_where_it_was_deleted(iam, alice):
    on_alice = document(allow("iam:GetUser", on=ALICE))
    user = "AWS::IAM::User"
    assert await replayed(
        iam, on_alice, past("iam:GetUser", (user, "alice")), past("iam:GetUser", (user, "gone"))
    ) == [Replayed(False, True), Replayed(None, None)]


async def test_where_a_record_names_several_resources_all_have_to_be_answered_alike(iam, alice):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    both = (("AWS::IAM::User", "alice"), ("AWS::IAM::User", "bob"))
    one, all_of_them = document(allow("iam:GetUser", on=ALICE)), document(allow("iam:GetUser"))
    assert await replayed(iam, one, past("iam:GetUser", *both)) == [Replayed(None, None)]
    assert await replayed(iam, all_of_them, past("iam:GetUser", *both)) == [Replayed(False, True)]


async def test_a_resource_of_another_account_is_uncertain(iam, alice):
    elsewhere = ("", "arn:aws:iam::999999999999:user/x")
    everything = document(allow("*"))
    assert await replayed(iam, everything, past("iam:GetUser", elsewhere)) == [Replayed(None, None)]


async def test_a_role_is_assumed_where_its_trust_policy_lets_the_principal(iam, alice):
    await iam(
        shapes.CreateRoleRequest(
            role_name="reader", path="/team/", assume_role_policy_document=document(trust(ACCOUNT))
        )
    )
    other = document(allow("sts:AssumeRole", on=ROLE))
    assert await replayed(iam, other, past("sts:AssumeRole", ("", ROLE))) == [Replayed(False, True)]


async def test_what_is_always_allowed_stays_so(iam, alice):
    nothing = document(deny("*"))
    assert await replayed(iam, nothing, past("sts:GetCallerIdentity")) == [Replayed(True, True)]
