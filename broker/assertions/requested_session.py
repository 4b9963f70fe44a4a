"""What an assertion requests for the session that is made with it."""

import msgspec


class RequestedSession(msgspec.Struct, frozen=True):
    """Session tags, the transitive ones among them, and a source identity. `broker.sts` checks their limits."""

    tags: dict[str, str] = {}
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
