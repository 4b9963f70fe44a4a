"""Whether a trail may be delivered to a bucket: whoever owns the bucket has to allow it to CloudTrail, as on AWS.

The operator's credentials reach every bucket of the store. So the gate judges each delivery, for the service principal
and with the trail as `aws:SourceArn`, by the bucket's policy ("Amazon S3 bucket policy for CloudTrail").
"""

from collections.abc import Iterable

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.foreign_resources import Owned
from broker.access.gate import Gate
from broker.access.resource import Resource
from broker.names.principal import Service
from broker.storage.store import Transaction

SERVICE_PRINCIPAL = "cloudtrail.amazonaws.com"
NO_SUCH_BUCKET, ACCESS_DENIED = "NoSuchBucket", "AccessDenied"
# What the policies that AWS documents ask for. Objects belong to the owner of their bucket here.
_OWNED_BY_BUCKET_OWNER = {"s3:x-amz-acl": "bucket-owner-full-control"}


async def find_bucket_fault(
    gate: Gate, store: Transaction, trail_arn: str, bucket: str, keys: Iterable[str], now: float
) -> str:
    """Why objects with `keys` may not be put into the bucket, as S3 names it; "" where they may."""
    owned = await gate.foreign_resources.find(store, f"arn:aws:s3:::{bucket}")
    if owned is None:
        return NO_SUCH_BUCKET
    judged = [("s3:GetBucketAcl", ""), *(("s3:PutObject", key) for key in keys)]
    caller = Caller(principal=Service(SERVICE_PRINCIPAL), account="", source_arn=trail_arn)
    facts = RequestFacts(now, "", "", secure_transport=True, service="s3")
    for action, key in judged:
        resource = _resource(bucket, key, owned)
        if not (await gate.decide(store, caller, facts, action, resource)).allowed:
            return ACCESS_DENIED
    return ""


def _resource(bucket: str, key: str, owned: Owned) -> Resource:
    keys = {"s3:ResourceAccount": owned.account, **(_OWNED_BY_BUCKET_OWNER if key else {})}
    arn = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
    return Resource(arn, owned.account, keys=keys, policy=owned.policy)
