"""Bucket policies: validated as S3 does, kept by the broker, never sent to the store."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from broker.access.foreign_resources import put_resource_policy
from broker.access.trust import named_policy
from broker.errors import Refusal
from broker.gateway import answers
from broker.gateway.deciding import bucket_arn, find_bucket
from broker.gateway.exchange import Exchange, Gateway
from broker.gateway.refusals import no_such_bucket
from broker.policy import MalformedPolicy, Policy, PolicyKind, parse_policy
from broker.policy.elements import Effect, Statement
from broker.storage.resource_records import ForeignResource
from broker.storage.store import FOREIGN_RESOURCES, Transaction

Judge = Callable[[Transaction], Awaitable[object]]

# "The meaning of public": an Allow for everybody is public unless one of these has a fixed value.
_LIMITING = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    }
)
_NARROWING = ("stringequals", "stringlike", "arnequals", "arnlike", "ipaddress")


async def get_bucket_policy(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    async def read(store: Transaction) -> str:
        record = await _own_bucket(gateway, exchange, store, judge)
        return await named_policy(store, _policy_of(record), record.trusted_ids)

    text = await gateway.store.transact(read)
    return web.Response(body=text.encode(), content_type="application/json")


async def put_bucket_policy(gateway: Gateway, exchange: Exchange, judge: Judge, body: bytes) -> web.Response:
    text = _checked(body, exchange.incoming.bucket)
    await _put(gateway, exchange, judge, text)
    return web.Response(status=204)


async def delete_bucket_policy(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    await _put(gateway, exchange, judge, None)
    return web.Response(status=204)


async def get_bucket_policy_status(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    async def read(store: Transaction) -> str:
        return _policy_of(await _own_bucket(gateway, exchange, store, judge))

    policy = parse_policy(await gateway.store.transact(read), PolicyKind.RESOURCE)
    return answers.policy_status(is_public=is_public(policy))


async def _put(gateway: Gateway, exchange: Exchange, judge: Judge, text: str | None) -> None:
    async def write(store: Transaction) -> None:
        record = await _own_bucket(gateway, exchange, store, judge)
        most = gateway.quotas.foreign_resource_policy_size
        try:
            await put_resource_policy(
                store, record, text, int(exchange.facts.now), most, gateway.service_principals
            )
        except Refusal as refusal:
            if refusal.code not in ("MalformedPolicyDocument", "LimitExceeded"):
                raise
            raise malformed(refusal.message, refusal.reason) from None

    await gateway.store.transact(write)


async def _own_bucket(
    gateway: Gateway, exchange: Exchange, store: Transaction, judge: Judge
) -> ForeignResource:
    """The clause: an identity of another account "receives a 405 Method Not Allowed error", though it be allowed."""
    await judge(store)
    name = exchange.incoming.bucket
    owned = await find_bucket(gateway.gate, store, name)
    if owned.account != exchange.account:
        raise Refusal("MethodNotAllowed", "The specified method is not allowed against this resource.")
    record = await store.find(FOREIGN_RESOURCES, owned.account, bucket_arn(name))
    if record is None:
        raise no_such_bucket(name)
    return record


def _policy_of(record: ForeignResource) -> str:
    if record.policy is None:
        raise Refusal(
            "NoSuchBucketPolicy",
            "The bucket policy does not exist",
            members={"BucketName": answers.name_of(record)},
        )
    return record.policy


def _checked(body: bytes, bucket: str) -> str:
    """The text of a policy for this bucket; raises Refusal MalformedPolicy with S3's sentences."""
    try:
        text = body.decode()
        policy = parse_policy(text, PolicyKind.RESOURCE)
    except UnicodeDecodeError:
        raise malformed("Policies must be valid JSON and the first byte must be '{'") from None
    except MalformedPolicy as error:
        raise malformed(error.message, error.fault) from None
    for statement in policy.statements:
        _check(statement, bucket)
    return text


def _check(statement: Statement, bucket: str) -> None:
    if statement.principals is None and statement.not_principals is None:
        raise malformed("Missing required field Principal", statement.fault("no Principal"))
    resources = statement.resources or statement.not_resources
    if not resources:
        raise malformed("Missing required field Resource", statement.fault("no Resource"))
    arn = bucket_arn(bucket)
    if any(one != arn and not one.startswith(f"{arn}/") for one in resources):
        raise malformed("Policy has invalid resource", statement.fault("a resource outside of the bucket"))
    actions = statement.actions or statement.not_actions or ()
    if any(one != "*" and not one.lower().startswith("s3:") for one in actions):
        raise malformed("Policy has invalid action", statement.fault("an action of another service"))


def is_public(policy: Policy) -> bool:
    return any(
        statement.effect is Effect.ALLOW and _is_for_everyone(statement) and not _is_limited(statement)
        for statement in policy.statements
    )


def _is_for_everyone(statement: Statement) -> bool:
    named = statement.principals
    return statement.not_principals is not None or (
        named is not None and (named.everyone or "*" in named.aws)
    )


def _is_limited(statement: Statement) -> bool:
    return any(
        condition.operator.lower() in _NARROWING
        and condition.key.lower() in _LIMITING
        and not any(_is_open(value) for value in condition.values)
        for condition in statement.conditions
    )


def _is_open(value: str) -> bool:
    return "*" in value or "?" in value or "${" in value or value in ("0.0.0.0/0", "::/0")


def malformed(message: str, reason: str = "") -> Refusal:
    return Refusal("MalformedPolicy", message, reason=reason)
