"""One statement against one request: matched, or why not."""

import enum

import msgspec


class SourceKind(enum.StrEnum):
    """Where a policy comes from: the simulator's PolicySourceType words, then ours."""

    USER = "user"
    GROUP = "group"
    ROLE = "role"
    AWS_MANAGED = "aws-managed"
    USER_MANAGED = "user-managed"
    RESOURCE = "resource"
    NONE = "none"
    INLINE = "inline"
    BOUNDARY = "boundary"
    SESSION = "session"
    SCP = "scp"
    RCP = "rcp"
    ENDPOINT = "endpoint"


class Source(msgspec.Struct, frozen=True):
    """The policy that a statement stands in."""

    kind: SourceKind
    name: str
    arn: str = ""
