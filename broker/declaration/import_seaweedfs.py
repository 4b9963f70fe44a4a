"""From SeaweedFS's iam.json, or its shell's `s3.configure`: actions are words such as `Read:bucket`."""

import json
from collections.abc import Iterator
from typing import Any

from broker.declaration.imported import FoundKeys, Imported, NoExport, Values, json_object, present

ANONYMOUS = "anonymous"
_READ_ACTIONS = ("s3:GetObject", "s3:GetObjectVersion")
_LIST_ACTIONS = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")
# Word -> actions on the objects, and actions on the bucket itself.
_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Admin": (("s3:*",), ("s3:*",)),
    "Read": (_READ_ACTIONS, ()),
    "Write": (("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload"), ()),
    "List": (("s3:ListMultipartUploadParts",), _LIST_ACTIONS),
    "Tagging": (("s3:GetObjectTagging", "s3:PutObjectTagging", "s3:DeleteObjectTagging"), ()),
    "ReadAcp": (("s3:GetObjectAcl",), ("s3:GetBucketAcl",)),
    "WriteAcp": (("s3:PutObjectAcl",), ("s3:PutBucketAcl",)),
}
_POLICY = "seaweedfs"


def import_seaweedfs(text: str, account_id: str) -> Imported:
    """The file, or what `s3.configure` of SeaweedFS's shell prints. Raises NoExport."""
    export = json_object(text, "the file")
    if not isinstance(export.get("identities"), list):
        raise NoExport("there is no list of identities")
    found = _Identities(export)
    users = {name: user for one in export["identities"] for name, user in found.user(one)}
    policies = {name: {"document": text} for name, text in found.policies.items()}
    values = {"accounts": {account_id: present(policies=policies, users=users)}}
    return Imported(values, found.keys.secrets, (*found.no_counterpart, *found.keys.left_out))


class _Identities:
    """The identities of an export; secrets and what cannot be declared are collected on the way."""

    def __init__(self, export: Values) -> None:
        self.keys = FoundKeys()
        self.policies = {
            one["name"]: one["content"] for one in export.get("policies") or [] if one.get("content")
        }
        self._groups = [one for one in export.get("groups") or [] if not one.get("disabled")]
        self.no_counterpart = [
            f"{name}: has no counterpart"
            for name, content in export.items()
            if name not in ("identities", "policies", "groups") and content
        ]
        for group in self._groups:
            self._say(f"group {group.get('name')}: its members have its policies themselves here")

    def _say(self, sentence: str) -> None:
        self.no_counterpart.append(sentence)

    def user(self, identity: Values) -> Iterator[tuple[str, Values]]:
        """Its name, and what is declared of it; nothing of those who prove nothing."""
        name = identity.get("name", "")
        if name == ANONYMOUS:
            self._say("identity anonymous: nothing is allowed to those who prove nothing")
            return
        yield name, {**self._permissions(name, identity), **present(access_keys=self._keys(name, identity))}

    def _permissions(self, name: str, identity: Values) -> Values:
        wanted = [*(identity.get("policyNames") or []), *self._policies_of_groups(name)]
        missing = sorted({one for one in wanted if one not in self.policies})
        if missing:
            # What is not known may deny, so that the others would allow more than all of them did.
            self._say(
                f"identity {name}: policy {', '.join(missing)} is not in the file, so nothing is allowed"
            )
            return {}
        statements, unknown = _statements(identity.get("actions") or [])
        for word in unknown:
            self._say(f"identity {name}: action {word}")
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
        return present(
            inline_policies={_POLICY: policy} if statements else {},
            attached_policies=list(dict.fromkeys(wanted)),
        )

    def _policies_of_groups(self, name: str) -> Iterator[str]:
        for group in self._groups:
            if name in (group.get("members") or []):
                yield from group.get("policyNames") or []

    def _keys(self, name: str, identity: Values) -> list[Values]:
        if identity.get("disabled"):
            self._say(f"identity {name}: it is disabled, and has no access key here")
            return []
        found = []
        for one in identity.get("credentials") or []:
            key_id = one.get("accessKey", "")
            if one.get("status", "") not in ("", "Active"):
                self._say(f"access key {key_id} of {name}: it is switched off")
            else:
                found += self.keys.declared(name, key_id, one.get("secretKey", ""))
        return found


def _statements(words: list[Any]) -> tuple[list[Values], list[str]]:
    """A statement for each word that is known, and the others."""
    statements: list[Values] = []
    unknown = []
    for word in map(str, words):
        verb, _, where = word.partition(":")
        if verb in _WORDS:
            statements += _of_word(verb, where)
        else:
            unknown.append(word)
    return statements, unknown


def _of_word(verb: str, where: str) -> Iterator[Values]:
    """`where` is "" for all, BUCKET, BUCKET/PREFIX, or one of them with wildcards."""
    on_objects, on_bucket = _WORDS[verb]
    bucket, _, prefix = where.partition("/")
    arn = f"arn:aws:s3:::{bucket or '*'}"
    if verb == "Admin":
        yield _allow(on_objects, [arn, f"{arn}/*"] if where else ["*"])
        return
    if on_objects:
        yield _allow(on_objects, [f"{arn}/{prefix.rstrip('*')}*"])
    if on_bucket:
        condition = {"StringLike": {"s3:prefix": f"{prefix.rstrip('*')}*"}} if prefix else None
        yield {**_allow(on_bucket, [arn]), **({"Condition": condition} if condition else {})}


def _allow(actions: tuple[str, ...], resources: list[str]) -> Values:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}
