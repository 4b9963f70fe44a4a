"""AWS managed policies: the same in every account, and read-only.

`aws_managed.json` lists them with all versions that are known, `aws_managed_documents.xz` has the documents, in blocks
that are opened one at a time. `scripts/generate-aws-managed` writes both, and says what they look like. The list is
read when the first of AWS's policies is named; a document when it is compiled or shown, and not kept.
"""

import lzma
from functools import cache, lru_cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import accumulate

import msgspec

from broker.names import ids
from broker.names.arn import AWS_ACCOUNT, IAM
from broker.storage.records import ManagedPolicy

_PREFIX = f"{IAM}{AWS_ACCOUNT}:policy"
_TASK_PATH = "/root-task/"
_SERVICE_LINKED_PATH = "/aws-service-role/"


class AwsPolicyVersion(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A version, whose document is a line of a block. It is a key of the document, and `str` is the document."""

    number: int
    created_at: int
    block: int
    line: int

    @property
    def version_id(self) -> str:
        return f"v{self.number}"

    @property
    def document(self) -> str:
        return _block(self.block)[self.line]

    def __str__(self) -> str:
        return self.document


class AwsManagedPolicy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A policy that AWS manages, with the attributes of a ManagedPolicy."""

    policy_name: str
    path: str
    created_at: int
    updated_at: int
    default_number: int
    versions: tuple[AwsPolicyVersion, ...]

    @property
    def arn(self) -> str:
        return f"{_PREFIX}{self.path}{self.policy_name}"

    @property
    def policy_id(self) -> str:
        """Made of the name, because AWS's is not known: the same on every node and after every start."""
        return _policy_id(self.policy_name)

    @property
    def default_version(self) -> AwsPolicyVersion:
        return next(version for version in self.versions if version.number == self.default_number)

    @property
    def default_version_id(self) -> str:
        return f"v{self.default_number}"

    @property
    def document(self) -> str:
        """The text of the default version."""
        return self.default_version.document

    @property
    def description(self) -> None:
        """AWS's descriptions are not known."""

    @property
    def tags(self) -> dict[str, str]:
        return {}


AnyManagedPolicy = ManagedPolicy | AwsManagedPolicy


class _List(msgspec.Struct, frozen=True):
    """The JSON file; `blocks` are the sizes of the blocks, in bytes."""

    blocks: tuple[int, ...]
    policies: tuple[AwsManagedPolicy, ...]


def is_aws_managed(arn: str) -> bool:
    """Whether `arn` is in the namespace of AWS managed policies; the policy itself may not exist."""
    return arn.startswith(f"{_PREFIX}/")


def find_aws_managed(arn: str) -> AwsManagedPolicy | None:
    """The AWS managed policy with this ARN, or None."""
    return _policies_by_arn().get(arn) if is_aws_managed(arn) else None


def find_task_policy(arn: str) -> AwsManagedPolicy | None:
    """The policy of one of AssumeRoot's tasks; None for all other policies, AWS's among them."""
    return find_aws_managed(arn) if is_task_policy(arn) else None


def is_task_policy(arn: str) -> bool:
    """Whether `arn` is in the namespace of AssumeRoot's task policies. No entity and no other session may have them."""
    return arn.startswith(_PREFIX + _TASK_PATH)


def is_service_linked_policy(arn: str) -> bool:
    """Whether `arn` is in the namespace of the policies that only service-linked roles have."""
    return arn.startswith(_PREFIX + _SERVICE_LINKED_PATH)


def all_aws_managed() -> tuple[AwsManagedPolicy, ...]:
    """All AWS managed policies, sorted by name without case, as customer managed ones are."""
    return _list().policies


@cache  # as many as AWS has policies
def _policy_id(name: str) -> str:
    return ids.unique_id(ids.POLICY, sha256(name.encode()).digest())


@cache
def _list() -> _List:
    return msgspec.json.decode(_file("aws_managed.json").read_bytes(), type=_List)


@cache
def _policies_by_arn() -> dict[str, AwsManagedPolicy]:
    return {policy.arn: policy for policy in all_aws_managed()}


# One, for a reader of many versions of a policy: they stand next to each other. A block is a megabyte at most.
@lru_cache(maxsize=1)
def _block(number: int) -> list[str]:
    """The documents of a block."""
    start, end = _bounds()[number : number + 2]
    with _file("aws_managed_documents.xz").open("rb") as documents:
        documents.seek(start)
        packed = documents.read(end - start)
    return lzma.decompress(packed).decode("ascii").splitlines()


@cache
def _bounds() -> tuple[int, ...]:
    return tuple(accumulate(_list().blocks, initial=0))


def _file(name: str) -> Traversable:
    return files("broker.access").joinpath(name)
