"""Jobs of Access Analyzer's policy generation. Frozen, append-only with defaults, times in whole epoch seconds."""

from broker.storage.records import Record


class AnalyzedTrail(Record, frozen=True, kw_only=True):
    """What a job was told to look at: of no regions and not all of them, all are looked at."""

    arn: str
    regions: tuple[str, ...] = ()
    all_regions: bool | None = None


class PolicyGenerationJob(Record, frozen=True, kw_only=True):
    """A job, and what it has found so far; expiring.

    `used` are the forms of resources by action. The journal is read from the newest record to the oldest:
    `read_at` and `read_event_id` are of the last record that was read, so that a job which was cut off goes on there.
    `is_incomplete`: there were requests of which it is not known which permission they needed.
    """

    job_id: str
    principal_arn: str
    started_at: int
    start: int
    end: int
    trails: tuple[AnalyzedTrail, ...] = ()
    access_role: str = ""
    client_token: str = ""
    status: str = "IN_PROGRESS"
    completed_at: int = 0
    used: dict[str, tuple[str, ...]] = {}
    services: tuple[str, ...] = ()
    is_incomplete: bool = False
    read_at: int = 0
    read_event_id: str = ""
