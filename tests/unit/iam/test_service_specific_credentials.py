from hashlib import sha256
from typing import Any

import pytest

from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from broker.storage.store import SERVICE_SPECIFIC_CREDENTIALS
from tests.unit.simulator.simulating import allow, deny, document

ACCOUNT = "111122223333"
COMMITS, TABLES = "codecommit.amazonaws.com", "cassandra.amazonaws.com"
MODELS, LOGS = "bedrock.amazonaws.com", "logs.amazonaws.com"
DAY = 24 * 3600


@pytest.fixture(autouse=True)
async def users(iam: Any) -> None:
    for name in ("bob", "eve"):
        await iam(shapes.CreateUserRequest(user_name=name))


def new(service: str = COMMITS, user_name: str = "bob", **fields: Any) -> Any:
    return shapes.CreateServiceSpecificCredentialRequest(user_name=user_name, service_name=service, **fields)


async def created(iam: Any, *args: Any, **fields: Any) -> Any:
    return (await iam(new(*args, **fields))).service_specific_credential


async def listed(iam: Any, **fields: Any) -> Any:
    asked = shapes.ListServiceSpecificCredentialsRequest(**fields)
    return (await iam(asked)).service_specific_credentials


async def test_a_credential_is_created_and_its_password_shown_this_once(iam: Any) -> None:
    one = await created(iam)
    assert one.service_specific_credential_id.startswith("ACCA")
    assert (one.service_name, one.service_user_name) == (COMMITS, f"bob-at-{ACCOUNT}")
    assert (one.user_name, one.status, one.create_date) == ("bob", "Active", int(iam.now))
    assert (one.service_credential_alias, one.service_credential_secret, one.expiration_date) == (
        None,
        None,
        None,
    )
    (shown,) = await listed(iam, user_name="bob")
    assert shown.service_user_name == one.service_user_name
    (record,) = await iam.store.transaction().scan(SERVICE_SPECIFIC_CREDENTIALS, ACCOUNT)
    (stored,) = record.items
    assert stored.password_digest.reveal() == sha256(one.service_password.encode()).hexdigest()
    assert one.service_password not in repr((shown, record))


@pytest.mark.parametrize("service", [MODELS, LOGS])
async def test_an_api_key_has_an_alias_and_may_expire(iam: Any, service: str) -> None:
    one = await created(iam, service, credential_age_days=30)
    assert (one.service_credential_alias, one.service_user_name) == (f"bob-at-{ACCOUNT}", None)
    assert (one.service_password, one.expiration_date) == (None, int(iam.now) + 30 * DAY)
    assert len(one.service_credential_secret) > 60
    iam.now += 30 * DAY - 1
    assert [shown.status for shown in await listed(iam, user_name="bob")] == ["Active"]
    iam.now += 1
    assert [shown.status for shown in await listed(iam, user_name="bob")] == ["Expired"]


async def test_only_an_api_key_may_expire(iam: Any) -> None:
    refusal = await iam.refused(new(TABLES, credential_age_days=30))
    assert refusal == ("ValidationError", f"CredentialAgeDays is not supported for {TABLES}.")


async def test_a_user_has_two_credentials_for_each_service(iam: Any) -> None:
    names = [(await created(iam)).service_user_name for _ in range(2)]
    assert names == [f"bob-at-{ACCOUNT}", f"bob+1-at-{ACCOUNT}"]
    refusal = await iam.refused(new("CodeCommit.amazonaws.com"))
    assert refusal == (
        "LimitExceeded",
        "Cannot exceed quota for ServiceSpecificCredentialsPerUser: 2",
    )
    await created(iam, TABLES)
    await created(iam, user_name="eve")
    iam.quotas = Quotas(service_specific_credentials_per_user=3)
    await created(iam)


async def test_a_name_that_a_renamed_user_left_is_not_given_to_the_next(iam: Any) -> None:
    await created(iam)
    await iam(shapes.UpdateUserRequest(user_name="bob", new_user_name="rob"))
    await iam(shapes.CreateUserRequest(user_name="bob"))
    assert (await created(iam)).service_user_name == f"bob+1-at-{ACCOUNT}"


async def test_a_service_that_takes_none_is_refused(iam: Any) -> None:
    refusal = (
        "NoSuchEntity",
        "No such service s3.amazonaws.com is supported for Service Specific Credentials",
    )
    assert await iam.refused(new("s3.amazonaws.com")) == refusal
    asked = shapes.ListServiceSpecificCredentialsRequest(user_name="bob", service_name="s3.amazonaws.com")
    assert await iam.refused(asked) == refusal


async def test_credentials_are_listed_by_user_by_service_and_of_all(iam: Any) -> None:
    for user_name, service in (("bob", COMMITS), ("bob", MODELS), ("eve", MODELS)):
        await created(iam, service, user_name)

    async def found(**fields: Any) -> set[tuple[str, str]]:
        return {(one.user_name, one.service_name) for one in await listed(iam, **fields)}

    assert await found(user_name="bob") == {("bob", COMMITS), ("bob", MODELS)}
    assert await found(user_name="bob", service_name=MODELS) == {("bob", MODELS)}
    assert await found(all_users=True, service_name=MODELS) == {("bob", MODELS), ("eve", MODELS)}
    assert len(await found(all_users=True)) == 3
    asked = shapes.ListServiceSpecificCredentialsRequest(all_users=True, user_name="bob")
    assert (await iam.refused(asked))[0] == "ValidationError"
    first = await iam(shapes.ListServiceSpecificCredentialsRequest(all_users=True, max_items=2))
    rest = await listed(iam, all_users=True, marker=first.marker)
    assert (first.is_truncated, len(rest)) == (True, 1)


async def test_a_user_who_may_see_its_own_does_not_see_those_of_all(iam: Any) -> None:
    own = f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"
    policy = document(allow("iam:ListServiceSpecificCredentials", on=own))
    await iam(shapes.PutUserPolicyRequest(user_name="bob", policy_name="own", policy_document=policy))
    await iam(shapes.ListServiceSpecificCredentialsRequest(), user="bob")
    for fields in ({"all_users": True}, {"user_name": "eve"}):
        asked = shapes.ListServiceSpecificCredentialsRequest(**fields)
        assert (await iam.refused(asked, user="bob"))[0] == "AccessDenied"


async def test_a_password_is_reset_and_the_former_one_is_forgotten(iam: Any) -> None:
    for service, field in ((COMMITS, "service_password"), (MODELS, "service_credential_secret")):
        before = await created(iam, service)
        asked = shapes.ResetServiceSpecificCredentialRequest(
            user_name="bob", service_specific_credential_id=before.service_specific_credential_id
        )
        after = (await iam(asked)).service_specific_credential
        assert getattr(after, field) not in (None, getattr(before, field))
        assert after.service_user_name == before.service_user_name
        (record,) = await iam.store.transaction().scan(SERVICE_SPECIFIC_CREDENTIALS, ACCOUNT)
        digest = sha256(getattr(after, field).encode()).hexdigest()
        assert digest in {one.password_digest.reveal() for one in record.items}


async def test_a_credential_is_switched_off_and_deleted_and_holds_its_user(iam: Any) -> None:
    credential_id = (await created(iam)).service_specific_credential_id
    named = {"user_name": "bob", "service_specific_credential_id": credential_id}
    for status in ("Inactive", "Active"):
        await iam(shapes.UpdateServiceSpecificCredentialRequest(**named, status=status))
        assert [one.status for one in await listed(iam, user_name="bob")] == [status]
    expired = shapes.UpdateServiceSpecificCredentialRequest(**named, status="Expired")
    assert (await iam.refused(expired))[0] == "InvalidInput"
    refusal = await iam.refused(shapes.DeleteUserRequest(user_name="bob"))
    assert refusal[0] == "DeleteConflict"
    await iam(shapes.UpdateUserRequest(user_name="bob", new_user_name="rob"))
    (renamed,) = await listed(iam, user_name="rob")
    assert (renamed.user_name, renamed.service_user_name) == ("rob", f"bob-at-{ACCOUNT}")
    named["user_name"] = "rob"
    await iam(shapes.DeleteServiceSpecificCredentialRequest(**named))
    missing = ("NoSuchEntity", f"No such credential {credential_id} exists")
    for request in (
        shapes.UpdateServiceSpecificCredentialRequest(**named, status="Active"),
        shapes.ResetServiceSpecificCredentialRequest(**named),
        shapes.DeleteServiceSpecificCredentialRequest(**named),
    ):
        assert await iam.refused(request) == missing
    await iam(shapes.DeleteUserRequest(user_name="rob"))


async def test_policies_may_look_at_the_service_and_at_the_age(iam: Any) -> None:
    models = {"StringEquals": {"iam:ServiceSpecificCredentialServiceName": MODELS}}
    short = {"NumericLessThanEquals": {"iam:ServiceSpecificCredentialAgeDays": "30"}}
    policy = document(
        allow("iam:CreateServiceSpecificCredential", Condition={**models, **short}),
        allow("iam:ResetServiceSpecificCredential", Condition=models),
    )
    await iam(shapes.PutUserPolicyRequest(user_name="eve", policy_name="may", policy_document=policy))
    one = await iam(new(MODELS, credential_age_days=30), user="eve")
    for asked in (new(MODELS, credential_age_days=31), new(MODELS), new(LOGS, credential_age_days=1)):
        assert (await iam.refused(asked, user="eve"))[0] == "AccessDenied"
    denied = document(allow("*"), deny("*", Condition=models))
    await iam(shapes.PutUserPolicyRequest(user_name="bob", policy_name="not", policy_document=denied))
    assert (await iam.refused(new("Bedrock.AmazonAWS.com"), user="bob"))[0] == "AccessDenied"
    other = await created(iam)
    for credential, is_refused in ((one.service_specific_credential, False), (other, True)):
        asked = shapes.ResetServiceSpecificCredentialRequest(
            user_name="bob", service_specific_credential_id=credential.service_specific_credential_id
        )
        if is_refused:
            assert (await iam.refused(asked, user="eve"))[0] == "AccessDenied"
        else:
            await iam(asked, user="eve")
