"""What a resource policy says of a bucket: whether it makes it public, and whether it is one that S3 takes."""

from broker.policy.elements import Effect, MalformedPolicy, Policy, Statement
from broker.policy.operands import read_network

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
# Ranges of addresses that are broader are public, too: the bits of the network by the version of IP.
_FEWEST_BITS = {4: 8, 6: 32}
_NARROWING = ("stringequals", "stringlike", "arnequals", "arnlike", "ipaddress")


def require_bucket_policy(policy: Policy, arn: str) -> None:
    """Raises MalformedPolicy, with S3's sentences, unless `policy` is about the bucket with this ARN alone."""
    for statement in policy.statements:
        _require_bucket_statement(statement, arn)


def _require_bucket_statement(statement: Statement, arn: str) -> None:
    if statement.principals is None and statement.not_principals is None:
        raise MalformedPolicy("Missing required field Principal", statement.fault("no Principal"))
    resources = statement.resources or statement.not_resources
    if not resources:
        raise MalformedPolicy("Missing required field Resource", statement.fault("no Resource"))
    if any(one != arn and not one.startswith(f"{arn}/") for one in resources):
        raise MalformedPolicy(
            "Policy has invalid resource", statement.fault("a resource outside of the bucket")
        )
    actions = statement.actions or statement.not_actions or ()
    if any(one != "*" and not one.lower().startswith("s3:") for one in actions):
        raise MalformedPolicy("Policy has invalid action", statement.fault("an action of another service"))


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
    return "*" in value or "?" in value or "${" in value or _is_broad(value)


def _is_broad(value: str) -> bool:
    network = read_network(value)
    return network is not None and network[2].bit_count() < _FEWEST_BITS[network[0]]
