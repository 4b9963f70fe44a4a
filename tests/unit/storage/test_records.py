"""What was written by an older broker opens in this one: `golden.json` holds encodings that must open for ever.

A record that is new, or has new fields, is appended there with `python -m tests.unit.storage.test_records`.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.names.secret import SecretKey
from broker.storage import collections, people_collections
from broker.storage.collection import Collection
from broker.storage.passkey_records import Passkey
from broker.storage.records import AccessKey, Record, VirtualMfaDevice

GOLDEN = Path(__file__).with_name("golden.json")
COLLECTIONS = {
    one.name: one
    for module in (collections, people_collections)
    for one in vars(module).values()
    if isinstance(one, Collection)
}


def sample(kind: msgspec.inspect.Type, name: str) -> Any:
    """A value of the type that differs from the default."""
    match kind:
        case msgspec.inspect.StructType(cls=cls, fields=fields):
            return cls(**{field.name: sample_field(field) for field in fields})
        case msgspec.inspect.UnionType(types=types):
            return sample(next(one for one in types if not isinstance(one, msgspec.inspect.NoneType)), name)
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            return {sample(key, f"{name}-key"): sample(value, name)}
        case msgspec.inspect.VarTupleType(item_type=item):
            return (sample(item, name), sample(item, name))
        case msgspec.inspect.AnyType() | msgspec.inspect.StrType():
            return f"{name} é"
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.IntType():
            return 1_800_000_000
        case msgspec.inspect.FloatType():
            return 1.5
        case msgspec.inspect.BytesType():
            return b"\x00\xff"
    raise AssertionError(f"no sample for {kind}")


def sample_field(field: msgspec.inspect.Field) -> Any:
    if isinstance(field.type, msgspec.inspect.BoolType):
        return field.default is not True
    return sample(field.type, field.name)


def sample_record(collection: Collection[Any]) -> Any:
    return sample(msgspec.inspect.type_info(collection.record), collection.name)


def is_within(old: Any, new: Any) -> bool:
    """Whether `new` has everything that `old` has; it may have more."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and is_within(old[key], new[key]) for key in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(map(is_within, old, new))
    return bool(old == new)


def test_every_record_has_a_collection() -> None:
    parts = {
        "Approval",
        "IamUserIdentity",
        "ListedSession",
        "Node",
        "OpenIdConnectIdentity",
        "OrganizationPolicy",
        "OrganizationalUnit",
        "PolicyVersion",
        "RoleTemplateVersion",
        "TemplateParameter",
        "Revocation",
        "RootIdentity",
        "ConsoleIdentity",
        "DirectoryIdentity",
        "ExpiryNotice",
        "PresentedCertificate",
        "AnalyzedTrail",
        "ExcludedEntities",
        "UnusedService",
        "UnusedServiceAction",
        "ArchiveRule",
        "PresentedProperties",
        "RuleCriterion",
        "SamlIdentity",
        "TokenReview",
        "ClaimRoles",
        "ClaimRule",
        "ClaimTags",
        "CognitoLogin",
        "SamlPrivateKey",
        "SamlRequestKey",
        "ServiceSpecificCredential",
        "SigningCertificate",
        "SshPublicKey",
        "TokenKey",
        "AdvancedEventSelector",
        "DataResource",
        "DigestFile",
        "DigestKey",
        "EventSelector",
        "FieldSelector",
        "JournalPosition",
        "LoggingPeriod",
    }
    assert {one.__name__ for one in Record.__subclasses__()} - parts == {
        c.record.__name__ for c in COLLECTIONS.values()
    }


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_record_comes_back_as_it_was_written(name: str) -> None:
    collection = COLLECTIONS[name]
    record = sample_record(collection)
    assert collection.decode("here", "key", collection.encode(record)) == record


@pytest.mark.parametrize("name", COLLECTIONS)
def test_an_old_encoding_opens_and_says_what_it_said(name: str) -> None:
    """A field that was renamed, removed or given another type since would lose what an old store holds."""
    collection = COLLECTIONS[name]
    encodings = json.loads(GOLDEN.read_text())[name]
    for encoding in encodings:
        old = bytes.fromhex(encoding)
        opened = collection.decode("here", "key", old)
        assert is_within(msgspec.msgpack.decode(old), msgspec.msgpack.decode(collection.encode(opened)))


@pytest.mark.parametrize("name", COLLECTIONS)
def test_the_newest_golden_encoding_holds_every_field_of_today(name: str) -> None:
    newest = msgspec.msgpack.decode(bytes.fromhex(json.loads(GOLDEN.read_text())[name][-1]))
    assert set(newest) == set(COLLECTIONS[name].record.__struct_fields__)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_field_of_a_newer_broker_is_ignored(name: str) -> None:
    """Two versions share a store while a fleet is updated."""
    collection = COLLECTIONS[name]
    record = sample_record(collection)
    newer = msgspec.msgpack.encode(
        msgspec.msgpack.decode(collection.encode(record)) | {"from_the_future": [1]}
    )
    assert collection.decode("here", "key", newer) == record


@pytest.mark.parametrize("name", COLLECTIONS)
def test_no_two_keys_of_a_collection_are_stored_as_one(name: str) -> None:
    collection = COLLECTIONS[name]
    stored = collection.stored_key("Some-Key")
    assert stored.startswith(f"{name}/")
    assert (stored != collection.stored_key("some-key")) is collection.exact
    if collection.key is not None and not collection.single:
        record = sample_record(collection)
        if collection.record is VirtualMfaDevice:
            record = msgspec.structs.replace(record, serial_number="arn:aws:iam::123456789012:mfa/Path/Phone")
            assert collection.stored_key(collection.key_of(record)) == "mfa/path/phone"
        if collection.record is Passkey:
            serial_number = "arn:aws:iam::123456789012:u2f/user/Alice/Key-7XN"
            record = msgspec.structs.replace(record, serial_number=serial_number)
            assert collection.stored_key(collection.key_of(record)) == "passkey/user/alice/key-7xn"
        assert collection.key_of(record)


def test_records_do_not_print_their_secrets() -> None:
    key = AccessKey(
        account_id="1", access_key_id="AKIA", user_name=None, secret=SecretKey("hidden"), created_at=1
    )
    assert "hidden" not in repr(key)


def append_golden() -> None:
    golden: dict[str, list[str]] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    for name, collection in COLLECTIONS.items():
        encoding = collection.encode(sample_record(collection)).hex()
        if encoding not in golden.setdefault(name, []):
            golden[name].append(encoding)
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    append_golden()
