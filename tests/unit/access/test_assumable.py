"""What an assumption has to know of a role, and for how long it is true."""

import json
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.assumable import AssumableRole, AssumableRoles, SharedTags, account_of_role
from broker.access.library import PolicyLibrary
from broker.errors import Refusal
from broker.names.arn import is_account_id, parse_arn
from broker.policy import PolicySet
from broker.storage.records import Role
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ROLES, Store
from tests.unit.access.conftest import NOW

ACCOUNT = "111122223333"
ARN = f"arn:aws:iam::{ACCOUNT}:role/ops/worker"


def trust(*principals):
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": list(principals)}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(name="worker", **facts):
    fields = {"role_id": "AROA1", "path": "/ops/", "assume_role_policy": trust(ACCOUNT), **facts}
    return Role(account_id=ACCOUNT, role_name=name, created_at=0, **fields)


def trusted(found: AssumableRole):
    ((_, policy),) = found.trust_policy.policies
    return policy.statements[0].principals.aws


@pytest.fixture
def library():
    return PolicyLibrary()


@pytest.fixture
def find(library, store):
    roles = AssumableRoles(library)

    async def find(arn=ARN):
        return await roles.find(store.transaction(), arn)

    return find


@given(
    name=st.from_regex(r"[\w+=,.@-]{1,64}", fullmatch=True),
    path=st.from_regex(r"/|/[!-~]{1,20}/", fullmatch=True),
)
def test_account_path_and_name_are_read_from_the_arn_as_the_record_has_them(name, path):
    record = role(name, path=path)
    made = AssumableRole(record.arn, "AROA1", 3600, SharedTags({}, 0), PolicySet.union())
    assert (made.account, made.path, made.name) == (record.account_id, record.path, record.role_name)


async def test_a_role_is_found_with_what_its_record_says(find, put):
    await put(ROLES, ACCOUNT, role(max_session_duration=7200, tags={"team": "red"}))
    found = await find()
    assert (found.arn, found.role_id, found.max_session_duration, found.tags) == (
        ARN,
        "AROA1",
        7200,
        {"team": "red"},
    )
    assert trusted(found) == (ACCOUNT,)


async def test_it_is_cached_until_its_own_record_is_written_and_then_it_is_read_again(find, put):
    await put(ROLES, ACCOUNT, role())
    first = await find()
    assert await find() is first
    await put(ROLES, ACCOUNT, role("another", role_id="AROA2"))
    await put(ROLES, "444455556666", msgspec.structs.replace(role("far"), account_id="444455556666"))
    assert await find() is first
    await put(ROLES, ACCOUNT, role())
    second = await find()
    assert second is not first
    assert (second.role_id, trusted(second)) == (first.role_id, trusted(first))


@pytest.mark.parametrize(
    "change",
    [
        {"assume_role_policy": trust("444455556666")},
        {"max_session_duration": 43200},
        {"tags": {"team": "blue"}},
        {"role_id": "AROA9"},
    ],
)
async def test_a_changed_role_is_never_found_as_it_was(find, put, change):
    await put(ROLES, ACCOUNT, role())
    before = await find()
    await put(ROLES, ACCOUNT, role(**change))
    after = await find()

    def facts(found):
        return found.role_id, found.max_session_duration, found.tags, trusted(found)

    assert sum(a != b for a, b in zip(facts(before), facts(after), strict=True)) == 1


async def test_a_role_that_is_deleted_or_moves_to_another_path_is_not_found(find, put, store):
    await put(ROLES, ACCOUNT, role())
    assert await find() is not None
    await put(ROLES, ACCOUNT, role(path="/"))
    assert await find() is None

    async def delete(transaction):
        transaction.delete(ROLES, ACCOUNT, "worker")

    await put(ROLES, ACCOUNT, role())
    assert await find() is not None
    await store.transact(delete)
    assert await find() is None


async def test_what_another_process_commits_is_seen(find, put, tmp_path):
    await put(ROLES, ACCOUNT, role())
    assert trusted(await find()) == (ACCOUNT,)
    async with Store(
        SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, os.urandom), lambda: NOW
    ) as beside:

        async def change(transaction):
            transaction.put(ROLES, ACCOUNT, role(assume_role_policy=trust("444455556666")))

        await beside.transact(change)
        assert trusted(await find()) == ("444455556666",)


async def test_what_is_not_committed_is_not_cached(find, put, store, library):
    await put(ROLES, ACCOUNT, role())
    roles = AssumableRoles(library)
    transaction = store.transaction()
    transaction.put(ROLES, ACCOUNT, role(assume_role_policy=trust("444455556666")))
    mine = await roles.find(transaction, ARN)
    assert trusted(mine) == ("444455556666",)
    assert trusted(await roles.find(store.transaction(), ARN)) == (ACCOUNT,)


async def test_a_transaction_that_changes_a_role_finds_it_as_it_will_be(put, store, library):
    await put(ROLES, ACCOUNT, role())
    roles = AssumableRoles(library)
    assert await roles.find(store.transaction(), ARN) is not None
    transaction = store.transaction()
    transaction.put(ROLES, ACCOUNT, role(assume_role_policy=trust("444455556666")))
    assert trusted(await roles.find(transaction, ARN)) == ("444455556666",)


async def test_roles_with_one_text_share_it_and_are_named_by_themselves_in_reasons(find, put):
    await put(ROLES, ACCOUNT, role(), role("other", role_id="AROA2"))
    one, other = await find(), await find(ARN.replace("worker", "other"))
    assert one.shared_trust_policy is other.shared_trust_policy
    assert [found.trust_policy.policies[0][0].arn for found in (one, other)] == [one.arn, other.arn]


async def test_without_room_to_cache_it_a_role_is_found_all_the_same(put, store):
    await put(ROLES, ACCOUNT, role(tags={"team": "red"}))
    library = PolicyLibrary(limit=100)
    roles = AssumableRoles(library)
    for _ in range(3):
        found = await roles.find(store.transaction(), ARN)
        assert (found.tags, trusted(found)) == ({"team": "red"}, (ACCOUNT,))
    assert len(library.cache) == 0


async def test_roles_that_are_tagged_alike_share_their_tags_however_many_kinds_there_are(put, store, library):
    tags = [{"stage": str(number)} for number in range(1500)]
    records = [role(f"r{n}", role_id=f"AROA{n}", tags=tags[n % 1500]) for n in range(3000)]
    await put(ROLES, ACCOUNT, *records)
    roles = AssumableRoles(library)
    read = store.transaction()
    for record in records:
        found = await roles.find(read, record.arn)
        assert (found.role_id, found.tags) == (record.role_id, record.tags)
    await put(ROLES, ACCOUNT, role("a", tags={"stage": "new"}), role("b", tags={"stage": "new"}))
    read = store.transaction()
    one, other = [await roles.find(read, ARN.replace("worker", name)) for name in "ab"]
    assert one.tags is other.tags


PIECES = [
    "arn",
    "aws",
    "aws-cn",
    "iam",
    ":",
    ":",
    ":",
    ":",
    ACCOUNT,
    "\u0661" * 12,
    "role",
    "/",
    "/p/",
    "a",
    "\n",
    "",
]
WRITTEN = st.builds(
    "{}:{}:iam:{}:{}:role/{}{}".format,
    st.sampled_from(["arn", "ARN"]),
    st.sampled_from(["aws", "aws-cn", ""]),
    st.sampled_from(["", "", "us-east-1"]),
    st.sampled_from([ACCOUNT, ACCOUNT, ACCOUNT[1:], "\u0661" * 12]),
    st.sampled_from(["", "p/", "p/q/", "/", "\n/"]),
    st.sampled_from(["a", "a:b", ""]),
)
TEXTS = WRITTEN | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(text=TEXTS)
def test_an_arn_of_a_role_names_its_account_and_no_other_text_does(text: str) -> None:
    try:
        arn = parse_arn(text)
        is_role = arn.service == "iam" and is_account_id(arn.account) and arn.resource.startswith("role/")
    except ValueError:
        is_role = False
    if is_role:
        assert account_of_role(text) == arn.account
        return
    with pytest.raises(Refusal) as refused:
        account_of_role(text)
    assert (refused.value.code, refused.value.message) == ("ValidationError", f"{text} is invalid")
