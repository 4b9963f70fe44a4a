"""What any assertion may ask to be set on the session that is made for it."""

import msgspec


class SessionAttributes(msgspec.Struct, frozen=True):
    """Tags, which of them are handed on, and a source identity. Their bounds are STS's, and are checked there."""

    tags: dict[str, str] = {}
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
