"""Hosts behind a proxy at which people sign in: where their pages are, and which of them to return to."""

import re

SIGN_IN_PATH, SIGNED_IN_PATH = "/.broker/sign-in", "/.broker/signed-in"
RESERVED = "/.broker/"
_LONGEST_RETURN = 1024  # characters; it is encoded in an address, which is encoded in a cookie

# No second slash: that would be another host. No backslash: browsers take it for a slash.
_is_path = re.compile(r"/(?:[\x21-\x2e\x30-\x5b\x5d-\x7e][\x21-\x5b\x5d-\x7e]*)?").fullmatch
_is_loopback = re.compile(r"(?:[a-z0-9-]+\.)*localhost|127\.[0-9]+\.[0-9]+\.[0-9]+").fullmatch


def is_plain(host: str) -> bool:
    """Whether the host, in small letters, is this machine's own: there alone it is spoken to without TLS."""
    return _is_loopback(host.partition(":")[0]) is not None


def origin_of(host: str) -> str:
    return f"{'http' if is_plain(host) else 'https'}://{host}"


def return_path(unverified_target: str) -> str:
    """The path with its query, to be returned to on the same host; "/" for what could lead anywhere else."""
    is_good = len(unverified_target) <= _LONGEST_RETURN and _is_path(unverified_target)
    return unverified_target if is_good and not unverified_target.startswith(RESERVED) else "/"
