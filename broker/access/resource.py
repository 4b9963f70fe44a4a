"""The resource of a request, as the gate judges it."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from broker.policy import PolicySet

_NONE: Mapping[str, str] = {}


class Resource(msgspec.Struct, frozen=True):
    """A resource, with the facts that policies may refer to.

    `account` owns it (None: the caller's account, or unknown where the caller has none). `tags` become
    aws:ResourceTag/* (and iam:ResourceTag/* where `arn` is an IAM one). `keys` are condition keys that only this
    operation fills. `policy` is its compiled resource policy: a role's trust policy. `asked_for`, an ARN or a
    description, replaces `arn` in a refusal, where `arn` would show a caller without permission more than the request
    said. `unknown` are the beginnings, in lower case, of condition keys that this resource has but nobody here knows: a
    policy that reads one cannot be decided, and the request is refused.
    """

    arn: str = "*"
    account: str | None = None
    tags: Mapping[str, str] = _NONE
    keys: Mapping[str, str | tuple[str, ...]] = _NONE
    policy: PolicySet | None = None
    asked_for: str = ""
    unknown: tuple[str, ...] = ()


class HasArn(Protocol):
    """A record with an ARN; it may have tags, too."""

    @property
    def arn(self) -> str: ...


def resource_of(
    asked_for: str, record: HasArn | None, keys: Mapping[str, str | tuple[str, ...]] = _NONE
) -> Resource:
    """The resource for an entity that may not exist (`record` None); a refusal names it by the request's words.

    So a refusal does not show whether the entity exists.
    """
    if record is None:
        return Resource(asked_for, keys=keys)
    return Resource(record.arn, tags=getattr(record, "tags", _NONE), keys=keys, asked_for=asked_for)
