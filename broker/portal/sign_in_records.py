"""The records of a sign-in, as CloudTrail has them ("AWS Management Console sign-in events").

A failure proves nothing of who it was, so its record is that of a caller who is not known, and says exactly why; the
name that was typed is in it only where a user is called so, for people type passwords into that field.
"""

import logging
from typing import Any

from broker.access.facts import RequestFacts
from broker.audit.event import Event, UserIdentity, begin_event, recordable, shortened
from broker.names.arn import iam_arn
from broker.portal.dependencies import Portal
from broker.protocol.redaction import HIDDEN
from broker.storage.portal_records import (
    ConsoleIdentity,
    DirectoryIdentity,
    IamUserIdentity,
    Identity,
    OpenIdConnectIdentity,
    RootIdentity,
    SamlIdentity,
)
from broker.storage.records import User

CONSOLE_LOGIN, CHECK_MFA, LOGOUT = "ConsoleLogin", "CheckMfa", "Logout"
SWITCH_ROLE = "SwitchRole"
PASSWORD_UPDATED = "PasswordUpdated"  # noqa: S105  the name of an event

_logger = logging.getLogger("broker.portal")


def begin_record(portal: Portal, facts: RequestFacts, name: str) -> Event:
    event = begin_event(
        facts.now, facts.request_id, facts.source_ip, facts.user_agent, portal.tools.entropy(16)
    )
    event.event_source, event.event_name, event.aws_region = "signin.amazonaws.com", name, facts.region
    event.event_type = "AwsConsoleSignIn"
    event.read_only = False
    return event


def note_success(event: Event, identity: Identity, **additional: str) -> None:
    event.user_identity = identity_of(identity)
    event.recipient_account_id = identity.account_id
    event.response_elements = {event.event_name: "Success"}
    event.additional_event_data = _additional(additional)


def note_failure(
    event: Event, code: str, reason: str, account: str, user: User | None, **additional: str
) -> None:
    """`account` is "" where none is known; `user` is whose password was not given."""
    event.user_identity = UserIdentity(
        "Unknown", account_id=account, user_name=user.user_name if user is not None else HIDDEN
    )
    event.recipient_account_id = account
    event.response_elements = {event.event_name: "Failure"}
    event.error_code, event.error_message = code, shortened(recordable(reason))
    event.additional_event_data = _additional(additional)
    facts = {
        "request_id": event.request_id,
        "source": event.source_ip,
        "action": f"signin:{event.event_name}",
        "code": code,
        "reason": reason,
    }
    _logger.info("refused", extra={"facts": facts})


def identity_of(identity: Identity) -> UserIdentity:
    account = identity.account_id
    match identity:
        case OpenIdConnectIdentity():
            principal_id = f"{identity.issuer}:{identity.claims['sub']}"
            return UserIdentity("WebIdentityUser", principal_id, user_name=identity.name)
        case SamlIdentity():
            return UserIdentity("SAMLUser", f"{identity.issuer}:{identity.name_id}", user_name=identity.name)
        case DirectoryIdentity():
            return UserIdentity("LDAPUser", f"{identity.provider}:{identity.name}", user_name=identity.name)
        case ConsoleIdentity():
            kind = "AssumedRole" if ":assumed-role/" in identity.arn else "FederatedUser"
            return UserIdentity(
                kind, arn=identity.arn, account_id=account, access_key_id=identity.access_key_id
            )
        case IamUserIdentity():
            arn = iam_arn(account, f"user{identity.path}{identity.user_name}")
            return UserIdentity("IAMUser", identity.user_id, arn, account, user_name=identity.user_name)
        case RootIdentity():
            return UserIdentity("Root", account, iam_arn(account, "root"), account)


def _additional(values: dict[str, str]) -> dict[str, Any] | None:
    return {f"{name[0].upper()}{name[1:]}": value for name, value in values.items()} or None
