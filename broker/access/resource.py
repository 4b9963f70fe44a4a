"""What a permission is asked for."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from broker.policy import PolicySet

_NONE: Mapping[str, str] = {}


class Resource(msgspec.Struct, frozen=True):
    """A resource as the gate sees it.

    `account` owns it (None: the caller's; unknown, where the caller is in no account). `tags` become aws:ResourceTag/*
    (and iam:ResourceTag/* where `arn` is an IAM one). `keys` are condition keys that only this operation fills.
    `policy` is its resource policy, compiled: a role's trust policy. `asked_for` is what the refusal names in the place
    of `arn`, where the ARN would tell whoever may not ask more than they said: another ARN, or words.
    """

    arn: str = "*"
    account: str | None = None
    tags: Mapping[str, str] = _NONE
    keys: Mapping[str, str | tuple[str, ...]] = _NONE
    policy: PolicySet | None = None
    asked_for: str = ""


class HasArn(Protocol):
    """A record of what has an ARN, and tags where its kind has them."""

    @property
    def arn(self) -> str: ...


def resource_of(
    asked_for: str, record: HasArn | None, keys: Mapping[str, str | tuple[str, ...]] = _NONE
) -> Resource:
    """An entity as the gate sees it, there or not: a refusal calls it `asked_for`, as the request does.

    So whoever may not ask learns nothing of what exists.
    """
    if record is None:
        return Resource(asked_for, keys=keys)
    return Resource(record.arn, tags=getattr(record, "tags", _NONE), keys=keys, asked_for=asked_for)
