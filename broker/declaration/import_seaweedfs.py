"""From SeaweedFS's iam.json: identities with keys, whose actions are words such as `Read:bucket`."""

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
    """Raises NoExport."""
    export = json_object(text, "the file")
    identities = export.get("identities")
    if not isinstance(identities, list):
        raise NoExport("there is no list of identities")
    found = FoundKeys()
    no_counterpart = [f"{name}: has no counterpart" for name in export if name != "identities"]
    users: Values = {}
    for identity in identities:
        name = identity.get("name", "")
        if name == ANONYMOUS:
            no_counterpart.append("identity anonymous: nothing is allowed to those who prove nothing")
            continue
        statements, unknown = _statements(identity.get("actions") or [])
        no_counterpart += [f"identity {name}: action {word}" for word in unknown]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
        users[name] = present(
            inline_policies={_POLICY: policy} if statements else {},
            access_keys=[
                key
                for one in identity.get("credentials") or []
                for key in found.declared(name, one.get("accessKey", ""), one.get("secretKey", ""))
            ],
        )
    values = {"accounts": {account_id: present(users=users)}}
    return Imported(values, found.secrets, (*no_counterpart, *found.left_out))


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
