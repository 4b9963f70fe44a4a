"""Forms of browsers: signed by botocore, judged, and sent to the store as a PUT."""

import json
from base64 import b64encode
from urllib.parse import parse_qsl

import boto3
import pytest
from botocore.config import Config

from tests.unit.gateway.conftest import DOMAIN, code_of, parsed

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
TAGS = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag></TagSet></Tagging>"


def signed(stack, *, key="up/${filename}", fields=None, conditions=(), bucket="first", expires=60):
    """The fields that botocore signs, as it gives them to a web page."""
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"http://{stack.host}:{stack.port}",
        aws_access_key_id=stack.credentials.access_key_id,
        aws_secret_access_key=stack.credentials.secret.reveal(),
        config=Config(signature_version="s3v4"),
    )
    given = dict(fields or {})
    wanted = [*conditions, *({name: value} for name, value in given.items())]
    return client.generate_presigned_post(bucket, key, given, wanted, expires)["fields"]


def form(fields, file=b"the file", file_name="a b.txt", end=None):
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'
    closing = f"\r\n--{BOUNDARY}--\r\n".encode() if end is None else end
    return ("".join(parts) + head).encode() + file + closing


async def post(stack, body, *, path="/first", host="", more=(), length=None, ends=False):
    lines = [
        f"POST {path} HTTP/1.1", f"host: {host or f'{stack.host}:{stack.port}'}", "connection: close",
        f"content-type: multipart/form-data; boundary={BOUNDARY}",
        f"content-length: {len(body) if length is None else length}", *(f"{name}: {value}" for name, value in more),
    ]  # fmt: skip
    return await stack.send("\r\n".join([*lines, "", ""]).encode() + body, ends=ends)


async def refused(stack, body, **options):
    """Status and code; nothing whole has reached the store."""
    status, answer = parsed(await post(stack, body, **options))
    assert stack.store.whole == []
    return status, code_of(answer)


async def test_a_signed_form_becomes_an_upload_of_its_file(stack):
    fields = signed(
        stack,
        fields={"acl": "private", "Content-Type": "text/plain", "x-amz-meta-a": "1", "tagging": TAGS},
        conditions=[["content-length-range", 1, 100]],
    )
    answer = await post(stack, form(fields), more=[("x-amz-meta-b", "2"), ("x-amz-acl", "public-read")])
    assert answer.startswith(b"HTTP/1.1 204")
    assert b'etag: "x"' in answer.lower()
    (method, path, headers, body) = stack.store.seen[0]
    assert (method, path, body) == ("PUT", "/first/up/a%20b.txt", b"the file")
    assert headers["content-type"] == "text/plain"
    assert headers["x-amz-meta-a"] == "1"
    assert dict(parse_qsl(headers["x-amz-tagging"])) == {"a b": "1&2"}
    assert headers.keys().isdisjoint({"x-amz-meta-b", "x-amz-acl", "policy", "x-amz-credential"})


async def test_the_form_says_what_the_answer_is(stack):
    created = parsed(await post(stack, form(signed(stack, fields={"success_action_status": "201"}))))
    assert created[0] == 201
    assert b"<Bucket>first</Bucket><Key>up/a b.txt</Key>" in created[1]
    assert f"<Location>http://{stack.host}:{stack.port}/first/up/a%20b.txt</Location>".encode() in created[1]
    for wanted, status in (("200", 200), ("204", 204), ("302", 204)):
        fields = signed(stack, fields={"success_action_status": wanted})
        assert parsed(await post(stack, form(fields)))[0] == status
    fields = signed(stack, fields={"success_action_redirect": "https://app.example.org/done?a=1"})
    answer = await post(stack, form(fields))
    assert answer.startswith(b"HTTP/1.1 303")
    assert b"Location: https://app.example.org/done?a=1&bucket=first&key=up/a+b.txt&etag=%22x%22" in answer
    for none in ("javascript:alert(1)", "//elsewhere", "https://", "https://xn--a.example/"):
        fields = signed(stack, fields={"success_action_redirect": none})
        assert parsed(await post(stack, form(fields)))[0] == 204


async def test_what_the_policy_does_not_say_is_refused(stack):
    fields = signed(stack, conditions=[["content-length-range", 1, 100]])
    scope = fields["x-amz-credential"]
    for changed, expected in (
        ({**fields, "acl": "private"}, (403, "AccessDenied")),
        ({**fields, "key": "other/${filename}"}, (403, "AccessDenied")),
        ({**fields, "success_action_redirect": "https://evil.example"}, (403, "AccessDenied")),
        ({**fields, "x-amz-signature": "0" * 64}, (403, "SignatureDoesNotMatch")),
        ({**fields, "x-amz-credential": scope.replace("us-east-1", "eu-west-1")}, (403, "SignatureDoesNotMatch")),
        ({**fields, "x-amz-credential": scope.replace("/s3/", "/iam/")}, (403, "SignatureDoesNotMatch")),
        ({**fields, "x-amz-algorithm": "AWS4-ECDSA-P256-SHA256"}, (400, "IncompleteSignature")),
        ({**fields, "x-amz-date": "20200101T000000Z"}, (403, "SignatureDoesNotMatch")),
        ({**fields, "x-amz-date": "now"}, (400, "InvalidArgument")),
        ({**fields, "x-amz-security-token": "x"}, (400, "InvalidToken")),
        ({**fields, "policy": fields["policy"].replace("ey", "eY", 1)}, (403, "SignatureDoesNotMatch")),
        ({name: value for name, value in fields.items() if name != "x-amz-signature"}, (400, "InvalidArgument")),
        ({"AWSAccessKeyId": "a", "signature": "b", **fields}, (400, "InvalidRequest")),
        ({"key": "unsigned"}, (403, "AccessDenied")),
    ):  # fmt: skip
        assert await refused(stack, form(changed)) == expected, changed
    assert await refused(stack, form(fields, file=b"")) == (400, "EntityTooSmall")
    assert await refused(stack, form(fields, file=b"x" * 101)) == (400, "EntityTooLarge")
    assert await refused(stack, form(fields), path="/other") == (403, "AccessDenied")
    assert await refused(stack, form(fields), path="/unowned") == (403, "AccessDenied")


async def test_a_policy_is_read_only_once_it_is_proven(stack):
    """Who has no key learns nothing of what is wrong with it."""
    fields = {**signed(stack), "policy": b64encode(json.dumps({}).encode()).decode()}
    assert await refused(stack, form(fields)) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("key", ["../other/x", "a//b", "${filename}"])
async def test_keys_of_forms_are_judged_as_those_of_paths_are(stack, key):
    assert await refused(stack, form(signed(stack, key=key), file_name="..")) == (400, "InvalidURI")


async def test_headers_of_a_copy_or_of_the_wire_are_no_fields(stack):
    for name in ("x-amz-copy-source", "x-amz-tagging", "x-amz-decoded-content-length", "x-amz-new-thing"):
        assert await refused(stack, form(signed(stack, fields={name: "/other/x"}))) == (501, "NotImplemented")
    assert await refused(stack, form(signed(stack, fields={"acl": "public-read"}))) == (
        400,
        "AccessControlListNotSupported",
    )


async def test_a_form_that_is_signed_twice_or_is_none_is_refused(stack):
    body = form(signed(stack))
    assert await refused(stack, body, more=[("authorization", "AWS4-HMAC-SHA256 x")]) == (
        400,
        "InvalidArgument",
    )
    status, answer = await stack.ask("POST", "/first", body=body, headers={"content-type": "text/plain"})
    assert (status, code_of(answer)) == (412, "PreconditionFailed")


async def test_a_file_that_ends_early_or_late_leaves_no_object(stack):
    fields = signed(stack)
    large = b"x" * 300_000
    whole = form(fields, file=large)
    await post(stack, whole[:-20_000], length=len(whole), ends=True)
    assert stack.store.whole == []
    assert await refused(stack, whole[:10]) == (400, "MalformedPOSTRequest")
    assert await refused(stack, whole[:20_000]) == (400, "IncompleteBody")
    after = f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="acl"\r\n\r\nx\r\n--{BOUNDARY}--\r\n'.encode()
    assert await refused(stack, form(fields, file=large, end=after)) == (400, "MalformedPOSTRequest")


async def test_checksums_in_fields_are_checked(stack):
    right = signed(stack, fields={"x-amz-checksum-crc32": "8GnWNQ=="})
    assert await refused(stack, form(right, file=b"other")) == (400, "BadDigest")


async def test_empty_and_large_files_arrive_whole(stack):
    large = bytes(range(256)) * 4000
    for file in (b"", large):
        assert parsed(await post(stack, form(signed(stack), file=file)))[0] == 204
        assert stack.store.seen[-1][3] == file


@pytest.mark.parametrize("stack", [{"BROKER_GATEWAY_ANONYMOUS": "true"}], indirect=True)
async def test_an_unsigned_form_is_nobodys(stack):
    assert await refused(stack, form({"key": "a"})) == (403, "AccessDenied")


async def test_a_form_is_for_the_bucket_in_the_host_where_there_is_one(stack):
    body = form(signed(stack, fields={"success_action_status": "201"}))
    status, answer = parsed(await post(stack, body, path="/", host=f"first.{DOMAIN}"))
    assert status == 201
    assert f"<Location>http://first.{DOMAIN}/up/a%20b.txt</Location>".encode() in answer
    assert stack.store.whole == [("PUT", "/first/up/a%20b.txt")]
    stack.store.seen.clear()
    assert await refused(stack, body, path="/", host=f"other.{DOMAIN}") == (403, "AccessDenied")
    assert await refused(stack, body, path="/first", host=f"other.{DOMAIN}") == (501, "NotImplemented")
