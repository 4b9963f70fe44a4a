"""Condition keys in the questions of services: which ones they may set, and how JSON values become IAM's.

Of the global keys (`aws:…`) a service may say what it has seen of the request that it asks about. What is known of the
subject, of organizations and of the time is the broker's alone, and so are the keys of its own services and of identity
providers (`HOST:sub`): a question with one is refused, for a policy that trusts it would be deceived.
"""

import re
from collections.abc import Mapping
from typing import Any

from broker.errors import validation_error
from broker.names.addresses import parse_address

MOST_KEYS = 100
MOST_VALUES = 100
LONGEST_KEY, LONGEST_VALUE = 256, 2048  # characters

SOURCE_IP, SECURE_TRANSPORT = "aws:sourceip", "aws:securetransport"
_STATED = frozenset(
    (
        SOURCE_IP,
        SECURE_TRANSPORT,
        "aws:useragent",
        "aws:referer",
        "aws:requestedregion",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:vpcsourceip",
        "aws:tagkeys",
    )
)
_STATED_PREFIX = "aws:requesttag/"
# What the broker fills when it judges its own operations, and the keys of a session's proof.
_OWN = frozenset(("aws", "iam", "sts", "saml", "ldap", "sso", "signin", "organizations", "broker"))
_OWN_KEYS = frozenset(("ec2:roledelivery", "ec2:sourceinstancearn"))

_KEY = re.compile(r"([a-z][a-z0-9-]*):[^\s*?$]+").fullmatch

Keys = dict[str, tuple[str, ...]]


def condition_keys(stated: Mapping[str, Any]) -> Keys:
    """The condition keys in a context, in lower case; raises ValidationError.

    A name without a colon is no condition key: no policy can read it, and it is left out.
    """
    if len(stated) > MOST_KEYS:
        raise validation_error(f"The context has more than {MOST_KEYS} members.")
    keys: Keys = {}
    for name, value in stated.items():
        key = name.lower()
        if ":" not in key:
            continue
        require_may_be_stated(name)
        if key in keys:
            raise validation_error(f"The condition key {name} is in the context twice.")
        keys[key] = _values(name, value)
    for address in keys.get(SOURCE_IP, ()):
        _require_address(address)
    return keys


def require_may_be_stated(name: str) -> None:
    """Raises ValidationError for what is no condition key, and for one that only the broker sets."""
    key = name.lower()
    found = _KEY(key)
    if found is None or len(key) > LONGEST_KEY or not key.isprintable():
        raise validation_error(f"{name[:64]!r} is not the name of a condition key.")
    if key in _STATED or key.startswith(_STATED_PREFIX):
        return
    if found[1] in _OWN or key in _OWN_KEYS:
        raise validation_error(f"The condition key {name} is set by the broker alone.")


def _values(name: str, value: Any) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else [value]
    if len(entries) > MOST_VALUES:
        raise validation_error(f"The condition key {name} has more than {MOST_VALUES} values.")
    return tuple(_value(name, one) for one in entries)


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str) and len(value) <= LONGEST_VALUE:
        return value
    raise validation_error(
        f"The condition key {name} is a text of at most {LONGEST_VALUE} characters, a number, true, false, or a list "
        "of these."
    )


def _require_address(text: str) -> None:
    try:
        parse_address(text)
    except ValueError:
        raise validation_error("The condition key aws:SourceIp is not an address.") from None
