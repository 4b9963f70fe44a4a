"""Tags of all taggable entities of IAM: their operations are written once.

What a tag may be: `tags.py`.
"""

from typing import Any

import msgspec

from broker.iam import entities, resources
from broker.iam.tags import merge_tags, tag_key, tag_shapes, without_tags
from broker.operation import Call, Prepare, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.collection import Collection
from broker.storage.credential_records import ServerCertificate
from broker.storage.records import (
    InstanceProfile,
    ManagedPolicy,
    OpenIdConnectProvider,
    Role,
    SamlProvider,
    User,
    VirtualMfaDevice,
)
from broker.storage.store import MFA_DEVICES, OPEN_ID_CONNECT_PROVIDERS, SAML_PROVIDERS

TaggedRecord = (
    User
    | Role
    | ManagedPolicy
    | InstanceProfile
    | VirtualMfaDevice
    | OpenIdConnectProvider
    | SamlProvider
    | ServerCertificate
)


class Tagged(msgspec.Struct, frozen=True):
    """One row. `word` makes the names of operations and shapes (`TagUser`); `prepare` finds what is changed."""

    word: str
    collection: Collection[Any]
    prepare: Prepare[Any, TaggedRecord]
    prepare_list: Prepare[Any, Any] | None = None


TAGGED = (
    Tagged("User", entities.USER.collection, resources.found_user),
    Tagged("Role", entities.ROLE.collection, resources.found_role),
    Tagged("Policy", entities.POLICY.collection, resources.found_own_policy, resources.found_policy),
    Tagged("InstanceProfile", entities.INSTANCE_PROFILE.collection, resources.found_instance_profile),
    Tagged("MFADevice", MFA_DEVICES, resources.found_mfa_device),
    Tagged("OpenIDConnectProvider", OPEN_ID_CONNECT_PROVIDERS, resources.found_open_id_connect_provider),
    Tagged("SAMLProvider", SAML_PROVIDERS, resources.found_saml_provider),
    Tagged("ServerCertificate", entities.SERVER_CERTIFICATE.collection, resources.found_server_certificate),
)


def _declare(row: Tagged) -> None:
    tag_action = f"iam:Tag{row.word}"

    @operation(tag_action, prepare=row.prepare)
    async def tag(call: Call, request: Any, prepared: Prepared[TaggedRecord]) -> None:
        record = prepared.found
        tagged = msgspec.structs.replace(record, tags=merge_tags(call, tag_action, record.tags, request.tags))
        call.store.put(row.collection, call.account, tagged)

    @operation(f"iam:Untag{row.word}", prepare=row.prepare)
    async def untag(call: Call, request: Any, prepared: Prepared[TaggedRecord]) -> None:
        record = prepared.found
        untagged = msgspec.structs.replace(
            record, tags=without_tags(tag_action, record.tags, request.tag_keys)
        )
        call.store.put(row.collection, call.account, untagged)

    @operation(f"iam:List{row.word}Tags", prepare=row.prepare_list or row.prepare)
    async def list_tags(call: Call, request: Any, prepared: Prepared[Any]) -> Any:
        chosen = page(tag_shapes(prepared.found.tags), tag_key, request.marker, request.max_items)
        answer = getattr(shapes, f"List{row.word}TagsResponse")
        return answer(tags=chosen.items, is_truncated=chosen.is_truncated, marker=chosen.marker)


for _row in TAGGED:
    _declare(_row)
