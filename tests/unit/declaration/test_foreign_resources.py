import json
from typing import Any

import pytest

from broker.declaration.source import DeclarationError
from broker.storage.store import FOREIGN_RESOURCES

A = "111111111111"
BUCKET = "arn:aws:s3:::photos"


def resources(policy: str, user: str = "alice") -> str:
    return f"""
accounts:
  "{A}":
    foreign_resources:
      {BUCKET}: {{policy: {policy}}}
    users: {{{user}: {{}}}}
"""


def readable_by(user: str) -> str:
    principal = {"AWS": f"arn:aws:iam::{A}:user/{user}"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


async def test_a_resource_is_registered_and_its_policy_follows_the_file(declare: Any) -> None:
    assert len(await declare(resources(readable_by("alice")))) == 4
    record = await declare.find(FOREIGN_RESOURCES, A, BUCKET)
    assert json.loads(record.policy) == json.loads(readable_by("alice"))
    assert list(record.trusted_ids) == [f"arn:aws:iam::{A}:user/alice"]
    assert await declare(resources(readable_by("alice"))) == []
    await declare(resources("null"))
    assert (await declare.find(FOREIGN_RESOURCES, A, BUCKET)).policy is None


async def test_a_resource_that_the_file_does_not_name_is_pruned(declare: Any) -> None:
    await declare(resources("null"))
    await declare(f'accounts: {{"{A}": {{users: {{alice: {{}}}}}}}}', prune=True)
    assert await declare.find(FOREIGN_RESOURCES, A, BUCKET) is None


async def test_a_policy_that_names_nobody_is_refused_with_its_place(declare: Any) -> None:
    with pytest.raises(DeclarationError, match=r"foreign_resources.*Invalid principal"):
        await declare(resources(readable_by("nobody")))
    assert await declare.find(FOREIGN_RESOURCES, A, BUCKET) is None


async def test_two_accounts_cannot_declare_the_same_bucket(declare: Any) -> None:
    text = "\n".join(
        f'  "{account}": {{foreign_resources: {{"{BUCKET}": {{}}}}}}' for account in (A, "2" * 12)
    )
    with pytest.raises(DeclarationError, match="was refused"):
        await declare(f"accounts:\n{text}")
