"""A page costs a page: lists begin at their marker, and read and count nothing that they do not show."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from broker.iam.rows import _MORE, made_in_turns
from broker.names.arn import AWS_ACCOUNT, iam_arn
from broker.protocol.shapes import iam as shapes
from broker.storage.collection import Collection
from broker.storage.engine import Write, account_partition
from broker.storage.store import COUNTS, POLICIES, REFERENCES, ROLES, USERS, Store

from .conftest import ACCOUNT, Iam

DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}'
TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
    '"Principal":{"Service":"ec2.amazonaws.com"}}]}'
)
READ_ONLY = iam_arn(AWS_ACCOUNT, "policy/ReadOnlyAccess")
# Names whose order depends on how "/", "-" and the end of a name compare.
NAMES = ["a", "a-b", "a.b", "ab", "B", "ReadOnlyAccess", "z+"]


async def populate(iam: Iam) -> None:
    await iam(shapes.CreateGroupRequest(group_name="group"))
    for number, name in enumerate(NAMES):
        path = "/odd/" if number % 2 else "/"
        await iam(shapes.CreateUserRequest(user_name=name, path=path))
        await iam(shapes.AddUserToGroupRequest(group_name="group", user_name=name))
        await iam(shapes.CreateRoleRequest(role_name=name, path=path, assume_role_policy_document=TRUST))
        await iam(shapes.CreatePolicyRequest(policy_name=name, path=path, policy_document=DOCUMENT))
        await iam(shapes.CreateInstanceProfileRequest(instance_profile_name=f"p{name}"))
        await iam(shapes.AddRoleToInstanceProfileRequest(instance_profile_name=f"p{name}", role_name=name))
        for arn in (iam_arn(ACCOUNT, f"policy{path}{name}"), READ_ONLY, iam_arn(ACCOUNT, "policy/a")):
            await iam(shapes.AttachUserPolicyRequest(user_name=name, policy_arn=arn))
        await iam(shapes.AttachRolePolicyRequest(role_name=name, policy_arn=iam_arn(ACCOUNT, "policy/a")))
    await iam(shapes.PutUserPermissionsBoundaryRequest(user_name="ab", permissions_boundary=READ_ONLY))


def items_of(answer: Any) -> list[Any]:
    """What the answer lists, of all its members."""
    values = [getattr(answer, field) for field in answer.__struct_fields__]
    return [item for value in values if isinstance(value, tuple) for item in value]


LISTS: list[Any] = [
    shapes.ListUsersRequest(),
    shapes.ListUsersRequest(path_prefix="/odd/"),
    shapes.ListRolesRequest(),
    shapes.ListInstanceProfilesRequest(),
    shapes.ListPoliciesRequest(scope="Local"),
    shapes.ListPoliciesRequest(scope="Local", path_prefix="/odd/"),
    shapes.ListPoliciesRequest(only_attached=True),
    shapes.ListPoliciesRequest(scope="AWS", policy_usage_filter="PermissionsBoundary"),
    shapes.GetGroupRequest(group_name="group"),
    shapes.ListInstanceProfilesForRoleRequest(role_name="a"),
    shapes.ListEntitiesForPolicyRequest(policy_arn=READ_ONLY),
    shapes.ListEntitiesForPolicyRequest(policy_arn=iam_arn(ACCOUNT, "policy/a")),
    shapes.ListEntitiesForPolicyRequest(policy_arn=iam_arn(ACCOUNT, "policy/a"), entity_filter="Role"),
    shapes.ListEntitiesForPolicyRequest(policy_arn=READ_ONLY, policy_usage_filter="PermissionsBoundary"),
    shapes.ListEntitiesForPolicyRequest(policy_arn=iam_arn(ACCOUNT, "policy/a"), path_prefix="/odd/"),
    shapes.GetAccountAuthorizationDetailsRequest(),
    shapes.GetAccountAuthorizationDetailsRequest(filter=("Role", "AWSManagedPolicy")),
]
COUNTS_OF_LISTS = [7, 3, 7, 7, 7, 3, 8, 1, 7, 1, 7, 14, 7, 1, 6, 23, 8]


async def test_pages_of_any_size_join_to_the_whole_list(iam: Iam) -> None:
    await populate(iam)
    for request, number in zip(LISTS, COUNTS_OF_LISTS, strict=True):
        whole = items_of(await iam(request))
        assert len(whole) == number, request
        for size in (1, 2, 5):
            joined, marker, pages = [], None, 0
            while True:
                page = await iam(msgspec.structs.replace(request, marker=marker, max_items=size))
                joined += items_of(page)
                pages += 1
                assert len(items_of(page)) <= size
                if not page.is_truncated:
                    break
                marker = page.marker
            assert sorted(map(repr, joined)) == sorted(map(repr, whole)), (request, size)
            assert pages == max(1, -(-number // size)), (request, size)


async def test_pages_of_all_policies_join_to_the_whole_list(iam: Iam) -> None:
    """The account's own ReadOnlyAccess comes before AWS's, also where a page ends between them."""
    await populate(iam)
    found, marker = [], None
    while True:
        page = await iam(shapes.ListPoliciesRequest(marker=marker, max_items=97))
        found += [policy.arn for policy in page.policies]
        if not page.is_truncated:
            break
        marker = page.marker
    assert len(found) == len(set(found)) > 1000
    assert found.index(READ_ONLY) == found.index(iam_arn(ACCOUNT, "policy/odd/ReadOnlyAccess")) + 1
    names = [arn.rpartition("/")[2].lower() for arn in found]
    assert names == sorted(names)
    own = await iam(shapes.ListPoliciesRequest(max_items=found.index(READ_ONLY)))
    assert own.policies[-1].arn == iam_arn(ACCOUNT, "policy/odd/ReadOnlyAccess")
    following = await iam(shapes.ListPoliciesRequest(marker=own.marker, max_items=1))
    assert following.policies[0].arn == READ_ONLY


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many records of each collection were decoded."""
    counted: Counter[str] = Counter()
    decode = Collection.decode

    def counting(collection: Collection[Any], *arguments: Any) -> Any:
        counted[collection.name] += 1
        return decode(collection, *arguments)

    monkeypatch.setattr(Collection, "decode", counting)
    return counted


async def test_a_page_decodes_what_it_shows_in_a_small_account_and_in_a_large_one(
    iam: Iam, decoded: Counter[str]
) -> None:
    requests: list[Any] = [
        shapes.ListUsersRequest(max_items=3),
        shapes.GetPolicyRequest(policy_arn=iam_arn(ACCOUNT, "policy/a")),
        shapes.ListPoliciesRequest(scope="Local", max_items=3),
        shapes.GetGroupRequest(group_name="group", max_items=3),
        shapes.ListEntitiesForPolicyRequest(policy_arn=READ_ONLY, max_items=3),
        shapes.GetAccountAuthorizationDetailsRequest(max_items=3, filter=("Role", "User")),
        "GetAccountSummary",
    ]
    await populate(iam)

    async def work() -> dict[int, int]:
        found = {}
        for index, request in enumerate(requests):
            await iam(request)
            decoded.clear()
            await iam(request)
            found[index] = decoded.total()
        return found

    small = await work()
    transaction = iam.store.transaction()
    for number in range(300):
        user = await transaction.find(USERS, ACCOUNT, "z+")
        role = await transaction.find(ROLES, ACCOUNT, "z+")
        policy = await transaction.find(POLICIES, ACCOUNT, "z+")
        assert user is not None and role is not None and policy is not None
        transaction.put(USERS, ACCOUNT, msgspec.structs.replace(user, user_name=f"zz-{number}"))
        transaction.put(ROLES, ACCOUNT, msgspec.structs.replace(role, role_name=f"zz-{number}"))
        transaction.put(POLICIES, ACCOUNT, msgspec.structs.replace(policy, policy_name=f"zz-{number}"))
    await transaction.commit()
    assert await work() == small


async def test_a_filter_that_little_fits_is_read_in_parts_to_the_end(iam: Iam, store: Store) -> None:
    await iam(shapes.CreateUserRequest(user_name="a"))
    transaction = store.transaction()
    user = await transaction.find(USERS, ACCOUNT, "a")
    assert user is not None
    for number in range(_MORE * 2 + 20):
        transaction.put(USERS, ACCOUNT, msgspec.structs.replace(user, user_name=f"b{number}"))
    transaction.put(USERS, ACCOUNT, msgspec.structs.replace(user, user_name="z", path="/last/"))
    await transaction.commit()
    found = await iam(shapes.ListUsersRequest(path_prefix="/last/", max_items=5))
    assert [one.user_name for one in found.users] == ["z"]
    assert not found.is_truncated


async def test_details_are_fewer_than_asked_for_where_they_would_take_too_long(
    iam: Iam, store: Store
) -> None:
    await iam(shapes.CreateUserRequest(user_name="a"))
    transaction = store.transaction()
    user = await transaction.find(USERS, ACCOUNT, "a")
    assert user is not None
    for number in range(299):
        transaction.put(USERS, ACCOUNT, msgspec.structs.replace(user, user_name=f"b{number}"))
    await transaction.commit()
    first = await iam(shapes.GetAccountAuthorizationDetailsRequest(max_items=1000))
    assert len(first.user_detail_list) == 150
    assert first.is_truncated
    rest = await iam(shapes.GetAccountAuthorizationDetailsRequest(max_items=1000, marker=first.marker))
    assert len(rest.user_detail_list) == 150
    assert not rest.is_truncated


async def test_an_account_of_an_early_version_is_listed_and_counted(iam: Iam) -> None:
    await populate(iam)
    partition = account_partition(ACCOUNT)
    before = [await iam(request) for request in (*LISTS, "GetAccountSummary")]
    keys = [
        key
        for name in ("counts", "reference", "policy-use")
        for key, _ in await iam.store.engine.scan(partition, f"{name}/")
    ]
    await iam.store.engine.commit(partition, [Write(key, None) for key in keys], None)
    assert [await iam(request) for request in (*LISTS, "GetAccountSummary")] == before
    assert await iam.store.transaction().find(COUNTS, ACCOUNT) is not None
    assert len(await iam.store.transaction().scan(REFERENCES, ACCOUNT)) == len(
        [key for key in keys if key.startswith("reference/")]
    )


async def test_others_have_their_turn_while_rows_are_made() -> None:
    seen: list[int] = []

    async def make(item: int) -> int:
        return item * 2

    async def others() -> None:
        while True:
            seen.append(1)
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(others())
    made = await made_in_turns(range(3 * _MORE), make)
    beside.cancel()
    assert made == tuple(range(0, 6 * _MORE, 2))
    assert len(seen) == 3
