"""What MinIO asks its policy plug-in (MINIO_POLICY_PLUGIN_URL): for each request to it, whether it is allowed.

MinIO has proven the caller and says who it is; the broker's policies decide, and MinIO's own count no more. Whom MinIO
means:

- a session of a token of this broker (`claims.iss`, `claims.sub`): the role or user of the token;
- a service account or other session of a user (`claims.parent`): that user;
- else the user whose name is MinIO's access key (`account`), and root where MinIO calls it its owner.

Users are of the account that the settings name. It owns what MinIO has, but for buckets that others have registered. A
session policy that MinIO's session has (`claims.sessionPolicy`, `claims.sa-policy`) limits it here, for MinIO leaves
that to its plug-in as well.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.access.caller import Caller, SessionPolicies, root_caller, user_caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.resource import Resource
from broker.access.simulation import role_caller
from broker.access.trust import find_role
from broker.authorize.context_keys import Keys
from broker.errors import Refusal, validation_error
from broker.names.arn import parse_arn
from broker.policy import Decision, MalformedPolicy, Outcome, PolicyKind, denial_sentences, parse_policy
from broker.storage.store import USERS, Transaction

Members = Mapping[str, Any]

# MinIO's names of what a request has shown -> condition keys; others of its names are S3's (`prefix`, `max-keys`).
_NAMES = {
    "sourceip": "aws:sourceip",
    "useragent": "aws:useragent",
    "referer": "aws:referer",
    "securetransport": "aws:securetransport",
}
# The broker knows these itself, or they are of MinIO's own identities.
_OWN = frozenset(("currenttime", "epochtime", "userid", "username", "principaltype", "groups"))
_MOST_CONDITIONS = 200


class MinioQuestion(msgspec.Struct, frozen=True):
    """The `input` of a question. `is_deny_only`: whether something denies it, not whether something allows it."""

    account: str
    action: str
    bucket: str
    object_name: str
    is_owner: bool
    is_deny_only: bool
    conditions: Keys
    claims: dict[str, Any]


def read_minio(members: Members) -> MinioQuestion:
    """Raises ValidationError."""
    asked = members.get("input")
    if not isinstance(asked, dict):
        raise validation_error("input is missing, or no object.")
    texts = {name: asked.get(name) or "" for name in ("account", "action", "bucket", "object")}
    if not all(isinstance(text, str) for text in texts.values()) or ":" not in texts["action"]:
        raise validation_error("account, action, bucket and object are texts, and action is service:Action.")
    if "/" in texts["bucket"]:
        raise validation_error("bucket is the name of one.")
    conditions, claims = asked.get("conditions") or {}, asked.get("claims") or {}
    if not isinstance(conditions, dict) or not isinstance(claims, dict):
        raise validation_error("conditions and claims are objects.")
    return MinioQuestion(
        texts["account"],
        texts["action"],
        texts["bucket"],
        texts["object"].removeprefix("/"),
        asked.get("owner") is True,
        asked.get("denyOnly") is True,
        _conditions(conditions),
        claims,
    )


def _conditions(stated: Members) -> Keys:
    if len(stated) > _MOST_CONDITIONS:
        raise validation_error(f"conditions has more than {_MOST_CONDITIONS} members.")
    keys: Keys = {}
    for name, values in stated.items():
        lowered = name.lower()
        if lowered in _OWN or ":" in name:
            continue
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise validation_error("conditions are lists of texts.")
        keys[_NAMES.get(lowered, f"s3:{lowered}")] = tuple(values)
    return keys


async def find_minio_caller(
    store: Transaction, account: str, own_issuer: str | None, question: MinioQuestion, now: float
) -> Caller | None:
    """None where the broker knows nobody of this name. `own_issuer` is what `claims.iss` is where it is an issuer here.

    Raises MalformedPolicyDocument for a session policy that is none.
    """
    caller = await _find(store, account, own_issuer, question, now)
    if caller is None:
        return None
    policy = _session_policy(question.claims)
    return caller if policy is None else replace(caller, session_policies=SessionPolicies(policy))


async def _find(
    store: Transaction, account: str, own_issuer: str | None, question: MinioQuestion, now: float
) -> Caller | None:
    claims = question.claims
    if own_issuer is not None:
        return await _find_subject(store, claims.get("sub"), now)
    if question.is_owner:
        return root_caller(account)
    if "iss" in claims:
        return None  # of an identity provider that MinIO trusts by itself
    parent = claims.get("parent")
    name = parent if isinstance(parent, str) and parent else question.account
    user = await store.find(USERS, account, name) if name else None
    return None if user is None or user.user_name != name else user_caller(user)


async def _find_subject(store: Transaction, subject: Any, now: float) -> Caller | None:
    if not isinstance(subject, str):
        return None
    role = await find_role(store, subject)
    if role is not None:
        return role_caller(role, now)
    try:
        arn = parse_arn(subject)
    except ValueError:
        return None
    user = await store.find(USERS, arn.account, arn.resource.rpartition("/")[2])
    return user_caller(user) if user is not None and user.arn == subject else None


def _session_policy(claims: Members) -> str | None:
    """MinIO's claim is base64 of the policy; `sa-policy` says whether a service account has one of its own."""
    encoded = claims.get("sessionPolicy")
    if encoded is None and claims.get("sa-policy") != "embedded-policy":
        return None
    try:
        text = b64decode(str(encoded), validate=True).decode("utf-8")
        parse_policy(text, PolicyKind.SESSION)
        json.loads(text)
    except (ValueError, MalformedPolicy):
        raise Refusal("MalformedPolicyDocument", "claims.sessionPolicy is no policy.") from None
    return text


async def decide_minio(
    gate: Gate, store: Transaction, caller: Caller, facts: RequestFacts, account: str, question: MinioQuestion
) -> tuple[bool, str]:
    """The answer, and the exact reason of a denial."""
    resource = await _resource(gate, store, account, question)
    decision: Decision = await gate.decide(store, caller, facts, question.action, resource)
    reason = "" if decision.allowed else denial_sentences(decision.request, decision)[1]
    if question.is_deny_only:
        return decision.outcome is not Outcome.EXPLICITLY_DENIED, reason
    return decision.allowed, reason


async def _resource(gate: Gate, store: Transaction, account: str, question: MinioQuestion) -> Resource:
    """What is asked of no bucket, as of MinIO itself, is of all."""
    if not question.bucket:
        return Resource(account=account, keys=question.conditions)
    arn = f"arn:aws:s3:::{question.bucket}"
    owned = await gate.foreign_resources.find(store, arn)
    name = f"{arn}/{question.object_name}" if question.object_name else arn
    if owned is None:
        return Resource(name, account, keys=question.conditions)
    return Resource(name, owned.account, keys=question.conditions, policy=owned.policy)
