"""Workloads that prove themselves by certificates: trust anchors, profiles, revocation lists, subjects.

Frozen, append-only with defaults, times in whole epoch seconds. Each belongs to a region of its account, by a UUID;
`alias` is "" where it has none.
"""

from broker.names.arn import roles_anywhere_arn
from broker.storage.records import Record


class ExpiryNotice(Record, frozen=True, kw_only=True):
    """A customised setting of a notification of an event, in days before it."""

    event: str
    channel: str
    enabled: bool
    threshold: int | None
    configured_by: str


class TrustAnchor(Record, frozen=True, kw_only=True):
    """`certificates` is PEM; `crl_ids` are the revocation lists that were imported for it.

    `follows_distribution_points`: lists are fetched from where the certificates say.
    """

    account_id: str
    region: str
    id: str
    name: str
    enabled: bool
    created_at: int
    updated_at: int
    tags: dict[str, str] = {}
    alias: str = ""
    source_type: str
    certificates: str
    follows_distribution_points: bool = False
    notices: tuple[ExpiryNotice, ...] = ()
    crl_ids: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        return roles_anywhere_arn(self.region, self.account_id, f"trust-anchor/{self.id}")


class WorkloadProfile(Record, frozen=True, kw_only=True):
    """Which roles workloads may take, and for how long; `attribute_mappings` are specifiers by field."""

    account_id: str
    region: str
    id: str
    name: str
    enabled: bool
    created_at: int
    updated_at: int
    tags: dict[str, str] = {}
    alias: str = ""
    role_arns: tuple[str, ...]
    duration_seconds: int
    session_policy: str | None = None
    managed_policy_arns: tuple[str, ...] = ()
    requires_instance_properties: bool = False
    accepts_session_name: bool = False
    attribute_mappings: dict[str, tuple[str, ...]] = {}

    @property
    def arn(self) -> str:
        return roles_anywhere_arn(self.region, self.account_id, f"profile/{self.id}")


class ImportedRevocationList(Record, frozen=True, kw_only=True):
    """`content` is as it was imported, PEM or DER."""

    account_id: str
    region: str
    id: str
    name: str
    enabled: bool
    created_at: int
    updated_at: int
    tags: dict[str, str] = {}
    alias: str = ""
    trust_anchor_arn: str
    content: bytes

    @property
    def arn(self) -> str:
        return roles_anywhere_arn(self.region, self.account_id, f"crl/{self.id}")


class PresentedCertificate(Record, frozen=True, kw_only=True):
    """A certificate of a subject, and what became of the last request with it."""

    serial_number: str
    issuer: str
    pem: str
    seen_at: int
    failed: bool


class PresentedProperties(Record, frozen=True, kw_only=True):
    """Properties of an instance that a request of a subject had."""

    properties: dict[str, str]
    seen_at: int
    failed: bool


class WorkloadSubject(Record, frozen=True, kw_only=True):
    """The holder of certificates, by the subject in them, which is its `name`; the latest come first."""

    account_id: str
    region: str
    id: str
    name: str
    enabled: bool
    created_at: int
    updated_at: int
    tags: dict[str, str] = {}
    alias: str = ""
    seen_at: int
    certificates: tuple[PresentedCertificate, ...] = ()
    properties: tuple[PresentedProperties, ...] = ()

    @property
    def arn(self) -> str:
        return roles_anywhere_arn(self.region, self.account_id, f"subject/{self.id}")
