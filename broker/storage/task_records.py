"""What IAM makes on request and keeps for a while. Frozen, append-only with defaults, times in whole epoch seconds."""

from broker.storage.records import Record

ORGANIZATIONS_JOB = "ORGANIZATIONS"


class ServiceLinkedRoleDeletion(Record, frozen=True, kw_only=True):
    """The deletion of a service-linked role, which has succeeded; keyed by the task's id, expiring."""

    submitted_at: int


class CredentialReport(Record, frozen=True, kw_only=True):
    """The account's most recent credential report, a CSV; expiring."""

    generated_at: int
    content: bytes


class LastAccessedJob(Record, frozen=True, kw_only=True):
    """What was asked about the services that an entity or a policy uses; keyed by the job's id, expiring.

    Of an organization access report, `arn` is the path of the entity, `job_type` is ORGANIZATIONS_JOB, and `policy_id`
    names a policy of the organization.
    """

    arn: str
    job_type: str
    created_at: int
    policy_id: str | None = None
    asked_by: str | None = None  # the ARN of the caller, of a role's session with the session's name
