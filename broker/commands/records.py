"""Journal records of what the command line changes: the same journal, the same form, beside those of requests."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from broker.access.caller import root_caller
from broker.access.identity import identity_of
from broker.app import clock, entropy
from broker.audit.event import Event, UserIdentity, begin_event, uuid_text
from broker.audit.journal import Journal
from broker.config import Audit

SOURCE_ADDRESS = "127.0.0.1"


def command_event(command: str, account: str, action: str, parameters: dict[str, Any] | None) -> Event:
    """A change that `command` makes as root of `account` ("" for what belongs to none): `iam:CreateUser`.

    `broker:…` are changes that no AWS operation makes. `parameters` must hold no secret.
    """
    service, _, name = action.partition(":")
    random = entropy(32)
    event = begin_event(
        clock(),
        uuid_text(random[:16]),
        SOURCE_ADDRESS,
        f"broker {command}",
        random[16:],
    )
    event.event_source = f"{service}.amazonaws.com" if service != "broker" else service
    event.event_name = name
    event.event_type = "AwsApiCall" if service != "broker" else "BrokerCommand"
    event.aws_region = "us-east-1"
    event.request_parameters = parameters
    event.additional_event_data = {"command": command, "operatingSystemUser": _operator()}
    event.user_identity = UserIdentity(type="Operator", user_name=_operator())
    if account:
        event.user_identity = identity_of(root_caller(account))
        event.recipient_account_id = account
    return event


@contextmanager
def open_journal(settings: Audit) -> Iterator[Journal]:
    """The journal, opened before anything is changed: what could not be journalled is not done. Raises OSError."""
    journal = Journal(Path(settings.path), maximum_size=settings.maximum_size_bytes, keep=settings.keep)
    try:
        yield journal
    finally:
        journal.close()


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
