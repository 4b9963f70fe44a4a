"""The questions of AuthZEN (Authorization API 1.0, sections 5 to 8), read strictly: a subject, an action, a resource.

What each is here:

| member | type | id or name |
|---|---|---|
| subject | `principal` | the ARN of a user, of a role (a new session of it, nothing limits it) or of a root user |
| subject | `session` | the access key id of a session; `properties.session_token`: its token |
| subject | `web_identity` | a token of a registered OpenID Connect provider; `properties.role_arn` the role it takes |
| action | | `service:Action` |
| resource | `resource` | its ARN; `properties.tags` become aws:ResourceTag |
| context | | condition keys (`context_keys`) |

Other properties mean nothing here and are ignored, as the standard lets a service send what it has.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from broker.authorize.context_keys import Keys, condition_keys
from broker.errors import Refusal, validation_error
from broker.names.arn import parse_arn
from broker.names.foreign_arn import OWN_SERVICES

PRINCIPAL, SESSION, WEB_IDENTITY = "principal", "session", "web_identity"
SUBJECT_TYPES = (PRINCIPAL, SESSION, WEB_IDENTITY)
RESOURCE = "resource"
MOST_EVALUATIONS = 100
EXECUTE_ALL, DENY_ON_FIRST_DENY, PERMIT_ON_FIRST_PERMIT = SEMANTICS = (
    "execute_all",
    "deny_on_first_deny",
    "permit_on_first_permit",
)
DEFAULT_SESSION_NAME = "evaluation"

_LONGEST_ARN = 2048
_LONGEST_TOKEN = 20_000
_MOST_TAGS = 50
_ACTION = re.compile(r"([a-zA-Z0-9-]{1,64}):[a-zA-Z0-9_./-]{1,128}").fullmatch
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII).fullmatch
_PARTS = ("subject", "action", "resource", "context")
# Services whose operations the broker judges itself, with what their requests say.
_OWN_PREFIXES = OWN_SERVICES | {"sso-oidc"}

Members = Mapping[str, Any]


class AskedSubject(msgspec.Struct, frozen=True):
    """Of whom it is asked. `unverified_token` and `role_arn` are those of its type, else empty."""

    type: str
    id: str
    unverified_token: str = ""
    role_arn: str = ""
    session_name: str = DEFAULT_SESSION_NAME

    def __repr__(self) -> str:
        return f"AskedSubject({self.type}, ***)"


class AskedResource(msgspec.Struct, frozen=True):
    """The resource, by its ARN, and its tags."""

    arn: str
    tags: dict[str, str] = {}


class AccessQuestion(msgspec.Struct, frozen=True):
    subject: AskedSubject
    action: str
    resource: AskedResource
    keys: Keys


class Evaluations(msgspec.Struct, frozen=True):
    """Several questions: each is read by itself, so that a fault of one leaves the others."""

    members: tuple[Members, ...]
    semantic: str = EXECUTE_ALL


def read_question(members: Members) -> AccessQuestion:
    """Raises ValidationError."""
    return AccessQuestion(
        read_subject(member_object(members, "subject")),
        read_action(member_object(members, "action")),
        read_target(member_object(members, "resource")),
        read_context(members),
    )


def read_evaluations(members: Members) -> Evaluations:
    """Section 7: top-level members are the defaults of each. Raises ValidationError."""
    defaults = {part: members[part] for part in _PARTS if part in members}
    entries = members.get("evaluations")
    if entries is None or entries == []:
        return Evaluations((defaults,))
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise validation_error("evaluations is a list of objects.")
    if len(entries) > MOST_EVALUATIONS:
        raise validation_error(f"evaluations has more than {MOST_EVALUATIONS} entries.")
    options = member_object(members, "options", {})
    semantic = options.get("evaluations_semantic", EXECUTE_ALL)
    if semantic not in SEMANTICS:
        raise validation_error(f"options.evaluations_semantic is one of {', '.join(SEMANTICS)}.")
    return Evaluations(tuple({**defaults, **one} for one in entries), semantic)


def read_context(members: Members) -> Keys:
    return condition_keys(member_object(members, "context", {}))


def read_subject(members: Members) -> AskedSubject:
    kind, name = members.get("type"), _text(members, "subject.id", "id", _LONGEST_TOKEN)
    if kind not in SUBJECT_TYPES:
        raise validation_error(f"subject.type is one of {', '.join(SUBJECT_TYPES)}.")
    properties = member_object(members, "properties", {})
    if kind == PRINCIPAL:
        return AskedSubject(kind, _arn("subject.id", name))
    if kind == SESSION:
        token = _text(properties, "subject.properties.session_token", "session_token", _LONGEST_TOKEN)
        return AskedSubject(kind, name, token)
    role = _text(properties, "subject.properties.role_arn", "role_arn", _LONGEST_ARN)
    session_name = properties.get("session_name", DEFAULT_SESSION_NAME)
    if not isinstance(session_name, str) or _SESSION_NAME(session_name) is None:
        raise validation_error("subject.properties.session_name is not the name of a session.")
    # A token is no identifier: in records it must not be shown.
    return AskedSubject(kind, "", name, _arn("subject.properties.role_arn", role), session_name)


def read_action(members: Members) -> str:
    name = _text(members, "action.name", "name", 256)
    found = _ACTION(name)
    if found is None:
        raise validation_error("action.name is not an action: service:Action, without wildcards.")
    if found[1].lower() in _OWN_PREFIXES:
        raise validation_error(
            f"Actions of {found[1]} are the broker's own: SimulatePrincipalPolicy answers for them."
        )
    return name


def read_target(members: Members) -> AskedResource:
    if members.get("type") != RESOURCE:
        raise validation_error(f"resource.type is {RESOURCE}.")
    arn = _arn("resource.id", _text(members, "resource.id", "id", _LONGEST_ARN))
    tags = member_object(member_object(members, "properties", {}), "tags", {})
    if len(tags) > _MOST_TAGS or not all(isinstance(value, str) for value in tags.values()):
        raise validation_error(f"resource.properties.tags are texts by their keys, {_MOST_TAGS} at most.")
    return AskedResource(arn, dict(tags))


def _arn(name: str, text: str) -> str:
    try:
        parse_arn(text)
    except ValueError:
        raise validation_error(f"{name} is not an ARN.") from None
    if "*" in text or "?" in text or not text.isprintable():
        raise validation_error(f"{name} has to name one: no wildcard.")
    return text


def member_object(members: Members, name: str, default: Members | None = None) -> Members:
    value = members.get(name, default)
    if not isinstance(value, dict):
        raise validation_error(f"{name} is missing, or no object.")
    return value


def _text(members: Members, shown: str, name: str, longest: int) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise validation_error(f"{shown} is missing, or no text of at most {longest} characters.")
    return value


def fault_of(refusal: Refusal) -> dict[str, Any]:
    """What an evaluation says of its own fault (section 7.2.1): the status that it would have had alone."""
    status = {"ValidationError": 400, "AccessDenied": 403}.get(refusal.code, refusal.status or 400)
    return {"status": status, "message": refusal.message}
