"""The gate asked all that a request to S3 needs: whose the buckets are, and what their policies say."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from broker.access.caller import Caller
from broker.access.conditions import UnknownKey
from broker.access.facts import RequestFacts
from broker.access.foreign_resources import Owned
from broker.access.gate import Gate
from broker.access.resource import Resource
from broker.errors import Refusal
from broker.gateway.permissions import NeededPermission
from broker.gateway.refusals import no_such_bucket
from broker.names.principal import Anonymous
from broker.storage.store import Transaction

# The store alone knows the tags of an object that exists.
EXISTING_TAGS = "s3:existingobjecttag/"

CREATE_BUCKET = "s3:CreateBucket"

# Gives the tags of the object that a question is about.
FetchTags = Callable[[NeededPermission], Awaitable[Mapping[str, str]]]


def bucket_arn(name: str) -> str:
    return f"arn:aws:s3:::{name}"


# The buckets that were found in one transaction, by name.
Buckets = dict[str, Owned]


async def find_bucket(gate: Gate, store: Transaction, name: str, found: Buckets | None = None) -> Owned:
    """Raises Refusal NoSuchBucket for a bucket that no account owns, whatever the store has."""
    if found is not None and name in found:
        return found[name]
    owned = await gate.foreign_resources.find(store, bucket_arn(name))
    if owned is None:
        raise no_such_bucket(name)
    if found is not None:
        found[name] = owned
    return owned


async def require_all(
    gate: Gate,
    store: Transaction,
    caller: Caller,
    facts: RequestFacts,
    questions: Sequence[NeededPermission],
    fetch_tags: FetchTags | None,
    found: Buckets,
) -> None:
    """Pass, or raise Refusal: AccessDenied, NoSuchBucket. Without `fetch_tags`, what depends on tags is refused."""
    for question in questions:
        resource = await _resource(gate, store, question, found)
        try:
            await _require(gate, store, caller, facts, question.action, resource)
        except UnknownKey:
            if fetch_tags is None:
                raise
            tags = await fetch_tags(question)
            await _require(gate, store, caller, facts, question.action, _with_tags(resource, tags))


async def _resource(gate: Gate, store: Transaction, question: NeededPermission, found: Buckets) -> Resource:
    if not question.bucket:
        return Resource(keys=question.keys)
    if question.action == CREATE_BUCKET:
        return Resource(question.arn, keys=question.keys)  # it will be the caller's account's
    owned = await find_bucket(gate, store, question.bucket, found)
    keys = {**question.keys, "s3:ResourceAccount": owned.account}
    unknown = (EXISTING_TAGS,) if question.key else ()
    return Resource(question.arn, owned.account, keys=keys, policy=owned.policy, unknown=unknown)


def _with_tags(resource: Resource, tags: Mapping[str, str]) -> Resource:
    """With the tags, and with nothing unknown. Keys that differ in case only are one key with several values."""
    keys = dict(resource.keys)
    for key, value in tags.items():
        name = f"{EXISTING_TAGS}{key.lower()}"
        had = keys.get(name, ())
        keys[name] = (*((had,) if isinstance(had, str) else had), value)
    return Resource(resource.arn, resource.account, keys=keys, policy=resource.policy)


async def _require(
    gate: Gate, store: Transaction, caller: Caller, facts: RequestFacts, action: str, resource: Resource
) -> None:
    try:
        await gate.require(store, caller, facts, action, resource)
    except UnknownKey:
        raise
    except Refusal as refusal:
        if isinstance(caller.principal, Anonymous) and refusal.code == "AccessDenied":
            raise Refusal("AccessDenied", "Access Denied", reason=refusal.reason or refusal.message) from None
        raise
