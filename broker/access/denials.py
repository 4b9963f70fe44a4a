"""The reasons of a denial as sealed text, never longer than DecodeAuthorizationMessage accepts.

A long context (fifty tags on both sides) or a long policy does not fit. Then the tags are left out first, then the
contents of the statements, then everything but principal, action and resource. The rest is valid JSON in AWS's form.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from broker.policy import Decision, authorization_message
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.message import open_message, seal_message

LARGEST_ENCODED = 10_240  # characters: `encodedMessageType` of the STS model
MESSAGE_ENTROPY = 16

_PURPOSE = b"authorization message"
_TAG_KEYS = ("aws:requesttag/", "aws:principaltag/", "aws:resourcetag/", "iam:resourcetag/")
_NAMED_STATEMENTS = 50


class Denial(msgspec.Struct, frozen=True):
    """The account whose request was denied, and why: AWS's JSON, decoded."""

    account: str
    message: dict[str, Any]


_decoder = msgspec.json.Decoder(Denial)


def seal_denial(
    keyring: Keyring,
    decision: Decision,
    spelled: Mapping[str, str],
    account: str,
    entropy: Callable[[int], bytes],
) -> str | None:
    """Text that the caller's account may decode; None where even the shortest form is too long.

    `spelled`: see `authorization_message`.
    """
    for message in _from_long_to_short(authorization_message(decision, spelled)):
        encoded = msgspec.json.encode(Denial(account, message))
        try:
            text = seal_message(keyring, _PURPOSE, encoded, b"", entropy(MESSAGE_ENTROPY))
        except ValueError:
            continue
        if len(text) <= LARGEST_ENCODED:
            return text
    return None


def find_denial(keyring: Keyring, unverified_text: str, now: float) -> Denial | None:
    """The denial that `seal_denial` sealed; None for a text that this broker did not make."""
    try:
        return _decoder.decode(open_message(keyring, _PURPOSE, unverified_text, b"", now))
    except SealBroken:
        return None


def _from_long_to_short(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield message
    conditions = message["context"]["conditions"]["items"]
    untagged = [condition for condition in conditions if not condition["key"].lower().startswith(_TAG_KEYS)]
    message = {**message, "context": {**message["context"], "conditions": {"items": untagged}}}
    yield message
    statements = message["matchedStatements"]["items"][:_NAMED_STATEMENTS]
    named = [{name: statement[name] for name in ("statementId", "effect")} for statement in statements]
    message = {**message, "matchedStatements": {"items": named}}
    yield message
    bare = {**message["context"], "conditions": {"items": []}}
    yield {**message, "matchedStatements": {"items": []}, "context": bare}
