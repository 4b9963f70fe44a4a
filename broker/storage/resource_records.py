"""Foreign resources: those of other services, as their buckets and queues, that an account owns here.

The account is part of most ARNs. Those without one (a bucket's) are names that all accounts share: `ResourceOwner` says
whose a name is, in a partition of its own.
"""

import msgspec

from broker.storage.records import Record


class PublicAccessBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Of a bucket: what S3's PublicAccessBlockConfiguration has."""

    block_public_acls: bool = False
    ignore_public_acls: bool = False
    block_public_policy: bool = False
    restrict_public_buckets: bool = False


class CrossOriginRule(msgspec.Struct, frozen=True, kw_only=True):
    """One CORSRule of a bucket. An origin and the name of a header may hold one `*`."""

    id: str = ""
    allowed_origins: tuple[str, ...]
    allowed_methods: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_seconds: int | None = None


class ForeignResource(Record, frozen=True, kw_only=True):
    """A resource of another service, by its ARN. `policy` is its resource policy as written, None for none.

    `trusted_ids` are the unique ids, at the time of storing, of the ARNs in the policy (`broker.access.trust`).
    `creation_id` is that of the last CreateBucket that has asked the store for it, "" for none.
    """

    account_id: str
    arn: str
    created_at: int
    updated_at: int
    policy: str | None = None
    trusted_ids: dict[str, str] = {}
    public_access_block: PublicAccessBlock | None = None
    cross_origin_rules: tuple[CrossOriginRule, ...] = ()
    creation_id: str = ""


class ResourceOwner(Record, frozen=True, kw_only=True):
    """The account that owns a resource whose ARN names none."""

    arn: str
    account_id: str
