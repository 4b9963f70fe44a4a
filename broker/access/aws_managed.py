"""AWS managed policies: the same in every account, and read-only.

Their documents are in `aws_managed.json`. They are written by us, with the meaning that the "AWS managed policy
reference" documents. Those of root tasks are AWS's, as the IAM User Guide prints them: two or three denies that leave
of root's permissions what the task needs. The actions of ReadOnlyAccess are generated into
`read_only_access.json` by `scripts/generate-read-only-access`. Both files are read at first use, not at start.
"""

import json
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from broker.names import ids
from broker.names.arn import AWS_ACCOUNT, IAM
from broker.storage.records import ManagedPolicy, PolicyVersion

_PREFIX = f"{IAM}{AWS_ACCOUNT}:policy/"
_TASK_PREFIX = f"{_PREFIX}root-task/"


def is_aws_managed(arn: str) -> bool:
    """Whether `arn` is in the namespace of AWS managed policies; the policy itself may not exist."""
    return arn.startswith(_PREFIX)


def find_aws_managed(arn: str) -> ManagedPolicy | None:
    """The AWS managed policy with this ARN, or None."""
    return _policies_by_arn().get(arn) if is_aws_managed(arn) else None


def find_task_policy(arn: str) -> ManagedPolicy | None:
    """The policy of one of AssumeRoot's tasks; None for all other policies, AWS's among them."""
    return find_aws_managed(arn) if is_task_policy(arn) else None


def is_task_policy(arn: str) -> bool:
    """Whether `arn` is in the namespace of AssumeRoot's task policies. No entity and no other session may have them."""
    return arn.startswith(_TASK_PREFIX)


def all_aws_managed() -> tuple[ManagedPolicy, ...]:
    """All AWS managed policies, sorted by name without case, as customer managed ones are."""
    return tuple(_policies_by_arn().values())


@cache
def _policies_by_arn() -> dict[str, ManagedPolicy]:
    policies = [_policy(row) for row in json.loads(_text("aws_managed.json"))]
    return {policy.arn: policy for policy in sorted(policies, key=lambda policy: policy.policy_name.lower())}


def _text(name: str) -> str:
    return files("broker.access").joinpath(name).read_text("utf-8")


def _policy(row: dict[str, Any]) -> ManagedPolicy:
    document = row["document"] if "document" in row else _read_only_document()
    version = PolicyVersion(
        version_id="v1", document=json.dumps(document, indent=4), created_at=row["created_at"]
    )
    return ManagedPolicy(
        account_id=AWS_ACCOUNT,
        policy_name=row["name"],
        # Derived from the name, because it is not stored: it must be the same on every node and after every start.
        policy_id=ids.unique_id(ids.POLICY, sha256(row["name"].encode()).digest()),
        path=row["path"],
        description=row["description"],
        versions=(version,),
        created_at=row["created_at"],
        updated_at=row["created_at"],
    )


def _read_only_document() -> dict[str, Any]:
    actions = json.loads(_text("read_only_access.json"))
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
    }
