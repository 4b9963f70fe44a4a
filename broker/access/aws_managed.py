"""The managed policies that AWS keeps, in every account the same and for nobody to change.

Their documents stand in `aws_managed.json`, in our own words with the meaning that the "AWS managed policy
reference" documents, but for those of root tasks: these are AWS's as the IAM User Guide prints them, two or three
denies that leave of root's permissions what the task needs. The actions of ReadOnlyAccess are generated into
`read_only_access.json` by `scripts/generate-read-only-access`. Both are read when first asked for, not at start.
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
    """Whether `arn` names a policy that AWS would keep, whether or not it exists."""
    return arn.startswith(_PREFIX)


def find_aws_managed(arn: str) -> ManagedPolicy | None:
    """The policy that AWS manages under `arn`; None where there is no such policy."""
    return _policies_by_arn().get(arn) if is_aws_managed(arn) else None


def find_task_policy(arn: str) -> ManagedPolicy | None:
    """The policy of one of AssumeRoot's tasks; None for every other policy, AWS's own included."""
    return find_aws_managed(arn) if is_task_policy(arn) else None


def is_task_policy(arn: str) -> bool:
    """Whether `arn` names what only AssumeRoot may take: such a policy is attached to no entity and no session."""
    return arn.startswith(_TASK_PREFIX)


def all_aws_managed() -> tuple[ManagedPolicy, ...]:
    """All policies that AWS manages, sorted by name without case, as customer managed ones are."""
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
        # The same on every node and after every start, for it is stored nowhere.
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
