from typing import Any

import pytest

from broker.access.caller import Caller, root_caller
from broker.credentials.access_keys import AccessKeyPair
from broker.credentials.root_keys import ensure_root_key
from broker.names.ids import account_of_access_key_id
from broker.names.principal import AssumedRole
from broker.names.secret import SecretKey
from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Usage
from broker.storage.store import ACCESS_KEYS, FOREIGN_ACCESS_KEYS, Store

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"


@pytest.fixture
async def key(iam: Any) -> shapes.AccessKey:
    """An access key of bob."""
    await iam(shapes.CreateUserRequest(user_name="bob"))
    return await create(iam, "bob")


async def create(iam: Any, name: str | None, **who: Any) -> shapes.AccessKey:
    return (await iam(shapes.CreateAccessKeyRequest(user_name=name), **who)).access_key


async def listed(iam: Any, name: str | None, **who: Any) -> list[shapes.AccessKeyMetadata]:
    answer = await iam(shapes.ListAccessKeysRequest(user_name=name), **who)
    return list(answer.access_key_metadata)


async def test_a_new_key_carries_its_account_and_is_active(iam: Any, key: shapes.AccessKey) -> None:
    assert key.access_key_id.startswith("AKIA")
    assert account_of_access_key_id(key.access_key_id) == ACCOUNT
    assert len(key.secret_access_key) == 40
    assert (key.user_name, key.status, key.create_date) == ("bob", "Active", iam.now)


async def test_the_secret_is_in_no_repr_and_in_no_list(iam: Any, key: shapes.AccessKey) -> None:
    assert key.secret_access_key not in repr(key)
    assert key.secret_access_key not in repr(await iam(shapes.ListAccessKeysRequest(user_name="bob")))


async def test_a_third_key_is_refused(iam: Any, key: shapes.AccessKey) -> None:
    await create(iam, "bob")
    refusal = await iam.refused(shapes.CreateAccessKeyRequest(user_name="bob"))
    assert refusal == ("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")


async def test_a_key_is_switched_off_and_on(iam: Any, key: shapes.AccessKey) -> None:
    for status in ("Inactive", "Active"):
        await iam(
            shapes.UpdateAccessKeyRequest(user_name="bob", access_key_id=key.access_key_id, status=status)
        )
        assert [entry.status for entry in await listed(iam, "bob")] == [status]


async def test_nobody_sets_a_key_to_expired(iam: Any, key: shapes.AccessKey) -> None:
    refusal = await iam.refused(
        shapes.UpdateAccessKeyRequest(user_name="bob", access_key_id=key.access_key_id, status="Expired")
    )
    assert refusal[0] == "InvalidInput"


async def test_a_key_of_another_user_cannot_be_touched(iam: Any, key: shapes.AccessKey) -> None:
    await iam(shapes.CreateUserRequest(user_name="eve"))
    gone = ("NoSuchEntity", f"The Access Key with id {key.access_key_id} cannot be found.")
    assert gone == await iam.refused(
        shapes.DeleteAccessKeyRequest(user_name="eve", access_key_id=key.access_key_id)
    )
    assert gone == await iam.refused(
        shapes.UpdateAccessKeyRequest(user_name="eve", access_key_id=key.access_key_id, status="Inactive")
    )
    assert gone == await iam.refused(shapes.DeleteAccessKeyRequest(access_key_id=key.access_key_id))


async def test_a_key_of_another_account_cannot_be_seen(iam: Any, key: shapes.AccessKey) -> None:
    stranger = root_caller(OTHER_ACCOUNT)
    refusal = await iam.refused(
        shapes.GetAccessKeyLastUsedRequest(access_key_id=key.access_key_id), caller=stranger
    )
    assert refusal == (
        "AccessDenied",
        f"User: {stranger.principal.arn} is not authorized to perform: iam:GetAccessKeyLastUsed "
        f"on resource: access key {key.access_key_id}",
    )


async def test_a_deleted_key_is_gone(iam: Any, key: shapes.AccessKey) -> None:
    await iam(shapes.DeleteAccessKeyRequest(user_name="bob", access_key_id=key.access_key_id))
    assert await listed(iam, "bob") == []
    again = shapes.DeleteAccessKeyRequest(user_name="bob", access_key_id=key.access_key_id)
    assert (await iam.refused(again))[0] == "NoSuchEntity"


async def test_root_has_keys_of_its_own(iam: Any, key: shapes.AccessKey) -> None:
    root_key = await create(iam, None)
    assert root_key.user_name == ACCOUNT
    assert [entry.access_key_id for entry in await listed(iam, None)] == [root_key.access_key_id]
    summary = await iam("GetAccountSummary")
    assert summary.summary_map["AccountAccessKeysPresent"] == 1
    await iam(shapes.DeleteAccessKeyRequest(access_key_id=root_key.access_key_id))
    assert await listed(iam, None) == []


async def test_without_a_name_a_user_manages_its_own_keys(iam: Any, key: shapes.AccessKey) -> None:
    # Not even one's own keys without a permission: IAM allows no action by itself.
    refusal = await iam.refused(shapes.ListAccessKeysRequest(), user="bob")
    assert refusal[0] == "AccessDenied"
    assert "on resource: user bob because" in refusal[1]


async def test_a_session_of_a_role_must_name_a_user(iam: Any, key: shapes.AccessKey) -> None:
    session = AssumedRole(ACCOUNT, "app", "AROAEXAMPLE", "session")
    caller = Caller(principal=session, account=ACCOUNT)
    for request in (
        shapes.GetUserRequest(),
        shapes.ListAccessKeysRequest(),
        shapes.CreateAccessKeyRequest(),
        shapes.ListMFADevicesRequest(),
    ):
        refusal = await iam.refused(request, caller=caller)
        assert refusal == ("ValidationError", "Must specify userName when calling with non-User credentials")


async def test_a_key_that_was_never_used_says_so(iam: Any, key: shapes.AccessKey) -> None:
    answer = await iam(shapes.GetAccessKeyLastUsedRequest(access_key_id=key.access_key_id))
    assert answer.user_name == "bob"
    assert answer.access_key_last_used == shapes.AccessKeyLastUsed(
        last_used_date=None, service_name="N/A", region="N/A"
    )


async def test_the_last_use_of_a_key_is_shown(iam: Any, key: shapes.AccessKey, store: Store) -> None:
    usage = Usage(last_used_at=int(iam.now), region="eu-west-1", service="sts")
    store.mark_used(ACCOUNT, key.access_key_id, usage)
    expected = shapes.AccessKeyLastUsed(last_used_date=iam.now, service_name="sts", region="eu-west-1")
    for _ in range(2):
        answer = await iam(shapes.GetAccessKeyLastUsedRequest(access_key_id=key.access_key_id))
        assert answer.access_key_last_used == expected
        await store.flush_usage()


async def test_keys_are_listed_in_pages(iam: Any, key: shapes.AccessKey) -> None:
    iam.quotas = Quotas(access_keys_per_user=3)
    for _ in range(2):
        await create(iam, "bob")
    everything = [entry.access_key_id for entry in await listed(iam, "bob")]
    first = await iam(shapes.ListAccessKeysRequest(user_name="bob", max_items=2))
    second = await iam(shapes.ListAccessKeysRequest(user_name="bob", max_items=2, marker=first.marker))
    pages = first.access_key_metadata + second.access_key_metadata
    assert [entry.access_key_id for entry in pages] == everything == sorted(everything)


async def test_a_root_key_that_was_brought_along_leaves_no_trace_when_deleted(iam: Any, store: Store) -> None:
    pair = AccessKeyPair("AKIAIOSFODNN7EXAMPLE", SecretKey("x" * 40))
    await store.transact(lambda transaction: ensure_root_key(transaction, ACCOUNT, pair, iam.now))
    await iam(shapes.DeleteAccessKeyRequest(access_key_id=pair.access_key_id))
    transaction = store.transaction()
    assert await transaction.find(FOREIGN_ACCESS_KEYS, "", pair.access_key_id) is None
    assert await transaction.find(ACCESS_KEYS, ACCOUNT, pair.access_key_id) is None
    assert await listed(iam, None) == []
