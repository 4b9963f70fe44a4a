"""Foreign resources: which account owns a resource of another service, and what its resource policies say.

A decision about such a resource needs its owner: in the owner's account an identity policy is enough, in another one
the resource policy has to allow, too. So the rule for a resource that is not on record is the safe one:

- The account in an ARN owns it, with no resource policy.
- An ARN without an account (a bucket's) that nobody has taken has no owner, and nothing is allowed on it.

Policies on the way down to the resource count together: of a bucket for its objects, of an API for its stages.
"""

import json
from collections.abc import Iterator
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from broker.access.bound_principals import bound_ids
from broker.access.library import PolicyLibrary
from broker.access.resource import Resource
from broker.access.trust import bound_policy
from broker.cache import Cache
from broker.errors import Refusal, access_denied
from broker.names.arn import is_account_id, parse_arn
from broker.names.foreign_arn import covering_arns
from broker.policy import (
    MalformedPolicy,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    is_public,
    parse_policy,
    policy_size,
)
from broker.storage.resource_records import ForeignResource, ResourceOwner
from broker.storage.store import COUNTS, FOREIGN_RESOURCES, RESOURCE_OWNERS, Transaction

_MOST_REGISTERED = 4096  # accounts


class Owned(msgspec.Struct, frozen=True):
    """The owner of a resource, and the compiled resource policies that speak of it; None for none."""

    account: str
    policy: PolicySet | None


class ForeignResources:
    """Finds owners and policies. The records are cached by the store, the compiled policies by the library.

    Which resources an account has registered is cached: of those that a resource lies
    below, mostly none is, and each would be asked for with each request.
    """

    def __init__(self, library: PolicyLibrary) -> None:
        self._library = library
        self._registered: Cache[str, frozenset[str]] = Cache(_MOST_REGISTERED)

    async def find(self, store: Transaction, arn: str) -> Owned | None:
        """None where nobody owns the resource."""
        covering = covering_arns(arn)
        account = await _owner(store, covering)
        if account is None:
            return None
        registered: frozenset[str] = await self._registered.at(
            store, account, lambda: _registered(store, account)
        )
        found = [await store.find(FOREIGN_RESOURCES, account, one) for one in covering if one in registered]
        sets = [one for record in found if record is not None for one in self._policies(record)]
        return Owned(account, PolicySet.union(*sets) if sets else None)

    async def resource(self, store: Transaction, arn: str) -> Resource:
        """The resource as the gate judges it; raises AccessDenied where nobody owns it."""
        owned = await self.find(store, arn)
        if owned is None:
            raise access_denied("Access Denied", reason=f"nobody owns {arn}: no account has taken its name")
        return Resource(arn, owned.account, policy=owned.policy)

    def _policies(self, resource: ForeignResource) -> Iterator[PolicySet]:
        if resource.policy is None:
            return
        yield self._compiled(resource, resource.policy)
        block = resource.public_access_block
        if block is not None and block.restrict_public_buckets and is_public_policy(resource.policy):
            yield self._compiled(resource, own_account_alone(resource))

    def _compiled(self, resource: ForeignResource, text: str) -> PolicySet:
        source = Source(SourceKind.RESOURCE, "ResourcePolicy", resource.arn)
        return self._library.compiled(source, bound_policy(text, resource.trusted_ids), PolicyKind.RESOURCE)


@lru_cache(maxsize=1024)
def is_public_policy(text: str) -> bool:
    """Of a stored policy of a bucket."""
    return is_public(parse_policy(text, PolicyKind.RESOURCE))


def own_account_alone(resource: ForeignResource) -> str:
    """The clause of RestrictPublicBuckets: access to a bucket with a public policy is restricted "to only AWS service
    principals and authorized users within the bucket owner's account".
    """
    others = {
        "StringNotEquals": {"aws:PrincipalAccount": resource.account_id},
        "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
    }
    statement = {
        "Sid": "RestrictPublicBuckets",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "*",
        "Resource": [resource.arn, f"{resource.arn}/*"],
        "Condition": others,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


async def _registered(store: Transaction, account: str) -> frozenset[str]:
    return frozenset(one.arn for one in await store.scan(FOREIGN_RESOURCES, account))


async def find_owner(store: Transaction, arn: str) -> str | None:
    """The account that owns the resource with this ARN: the one in the ARN, else the one that took the name."""
    return await _owner(store, covering_arns(arn))


async def _owner(store: Transaction, covering: tuple[str, ...]) -> str | None:
    if not covering:
        return None
    account = parse_arn(covering[0]).account
    if account:
        return account if is_account_id(account) else None
    owner = await store.find(RESOURCE_OWNERS, "", covering[0])
    return None if owner is None else owner.account_id


async def register_resource(
    store: Transaction, account: str, arn: str, now: int, most: int
) -> ForeignResource:
    """The record of a resource of `account`, made where there is none; its name is the account's from now on.

    `arn` has been parsed by `parse_foreign_arn`; `most` is the quota. Raises EntityAlreadyExists where the name is
    another account's, LimitExceeded.
    """
    current = await store.find(FOREIGN_RESOURCES, account, arn)
    if current is not None:
        return current
    owner = await find_owner(store, arn)
    if owner not in (None, account):
        raise Refusal("EntityAlreadyExists", f"The name of {arn} is taken.", status=409)
    counted = await store.find(COUNTS, account, "")
    if counted is not None and counted.counts.get(FOREIGN_RESOURCES.name, 0) >= most:
        raise Refusal("LimitExceeded", f"Cannot exceed quota for ForeignResourcesPerAccount: {most}")
    if owner is None:
        store.put(RESOURCE_OWNERS, "", ResourceOwner(arn=arn, account_id=account))
    record = ForeignResource(account_id=account, arn=arn, created_at=now, updated_at=now)
    store.put(FOREIGN_RESOURCES, account, record)
    return record


async def put_resource_policy(
    store: Transaction,
    resource: ForeignResource,
    text: str | None,
    now: int,
    most: int,
    own_services: frozenset[str],
) -> ForeignResource:
    """Set the policy of a resource on record, or take it away (None); `most` is the quota in characters.

    Raises MalformedPolicyDocument and LimitExceeded.
    """
    trusted_ids: dict[str, str] = {}
    if text is not None:
        if policy_size(text) > most:
            raise Refusal("LimitExceeded", f"Cannot exceed quota for ForeignResourcePolicySize: {most}")
        try:
            policy = parse_policy(text, PolicyKind.RESOURCE, is_new=True, own_services=own_services)
        except MalformedPolicy as error:
            reason = f"{error.message} ({error.fault})" if error.fault else ""
            raise Refusal("MalformedPolicyDocument", error.message, reason=reason) from None
        trusted_ids = await bound_ids(store, resource.account_id, policy)
    changed = replace(resource, policy=text, trusted_ids=trusted_ids, updated_at=now)
    store.put(FOREIGN_RESOURCES, resource.account_id, changed)
    return changed


async def deregister_resource(store: Transaction, resource: ForeignResource) -> None:
    """Forget the resource and its policy: its name may be taken by any account."""
    store.delete(FOREIGN_RESOURCES, resource.account_id, resource.arn)
    if not parse_arn(resource.arn).account:
        store.delete(RESOURCE_OWNERS, "", resource.arn)
