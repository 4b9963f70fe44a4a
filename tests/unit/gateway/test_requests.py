"""A gateway in this process, in front of a store that records what it is sent: what reaches it, and what does not."""

import asyncio
import hmac
import json
from base64 import b64encode
from hashlib import sha256
from urllib.parse import quote, unquote
from zlib import crc32

import pytest

from broker.app import clock
from broker.sigv4.signing import sign_request
from broker.sigv4.signing_keys import derive_signing_key
from broker.sigv4.timestamps import format_timestamp
from broker.storage.engine import OutcomeUnknown
from tests.unit.gateway.conftest import DOMAIN, EMPTY, code_of, parsed

# what the store is sent


async def test_the_store_gets_the_gateways_signature_and_nothing_of_the_clients(stack):
    headers = {"x-amz-meta-a": "1", "content-type": "text/plain"}
    more = [
        ("cookie", "a=b"),
        ("x-minio-force-delete", "true"),
        ("x-forwarded-for", "1.2.3.4"),
        ("range", "bytes=0-1"),
    ]
    payload = sha256(b"body").hexdigest()
    status, _ = await stack.ask(
        "PUT", "/first/key", headers=headers, payload=payload, body=b"body", more=more
    )
    assert status == 200
    method, path, sent, body = stack.store.seen[0]
    assert (method, path, body) == ("PUT", "/first/key", b"body")
    names = {name.lower() for name in sent}
    assert names == {
        "host", "x-amz-date", "x-amz-content-sha256", "authorization", "x-amz-meta-a", "content-type", "content-length"
    }  # fmt: skip
    assert "Credential=STORE/" in sent["authorization"]
    assert sent["x-amz-content-sha256"] == payload  # the store can check it, too


async def test_the_answer_says_nothing_of_the_store(stack):
    stack.store.headers = {
        "Server": "store/1", "Set-Cookie": "a=b", "x-amz-request-id": "theirs", "x-amz-meta-a": "1", "X-Minio-Id": "x",
        "Access-Control-Allow-Origin": "*",
    }  # fmt: skip
    _, head = stack.head("GET", "/first/key")
    answer = (await stack.send(head)).lower()
    assert b"x-amz-meta-a: 1" in answer
    for hidden in (b"store/1", b"set-cookie", b"theirs", b"minio", b"allow-origin"):
        assert hidden not in answer


async def test_a_range_has_no_checksum_of_the_whole(stack):
    checksum, part = {"x-amz-checksum-crc32": "AAAAAA=="}, {"Content-Range": "bytes 0-1/9"}
    asked = [("range", "bytes=0-1")]
    for status, headers, more, answered, has_checksum in (
        (206, part, asked, 206, False),
        (200, part, asked, 206, False),
        (200, {}, [], 200, True),
        (206, part, [], 206, True),
    ):
        stack.store.status, stack.store.headers = status, {**checksum, **headers}
        _, head = stack.head("GET", "/first/key", more=more)
        answer = (await stack.send(head)).lower()
        assert int(answer.split(b" ")[1]) == answered
        assert (b"x-amz-checksum-crc32" in answer) is has_checksum


async def test_what_a_store_keeps_of_the_gateways_own_signature_is_not_shown(stack):
    stack.store.headers = {
        "X-Amz-Security-Token": "of-the-gateway",
        "X-Amz-Date": "20260101T000000Z",
        "X-Amz-Content-Sha256": EMPTY,
    }
    for method in ("GET", "HEAD"):
        _, head = stack.head(method, "/first/key")
        answer = (await stack.send(head)).lower()
        assert b" 200 " in answer
        assert not any(one in answer for one in (b"of-the-gateway", b"x-amz-date", b"x-amz-content-sha256"))


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/first/%252e%252e/x", "/first/%252e%252e/x"),
        ("/first/a%2Fb", "/first/a/b"),
        ("/first/%61%20b+c", "/first/a%20b%2Bc"),
        ("/first/caf%c3%a9", "/first/caf%C3%A9"),
        ("/first/a%3Facl", "/first/a%3Facl"),
        ("/first/a%23b", "/first/a%23b"),
    ],
)
async def test_the_store_gets_the_one_encoding_of_the_key(stack, path, sent):

    signed_path = "/".join(quote(unquote(part), safe="-_.~") for part in path.split("/"))
    status, _ = await stack.ask("GET", path, signed_path=signed_path)
    assert status == 200
    assert [one[1] for one in stack.store.seen] == [sent]


async def test_a_query_is_sent_as_it_was_judged(stack):
    status, _ = await stack.ask("GET", "/first", "list-type=2&prefix=a%20%26b%2F&x-id=ListObjectsV2")
    assert status == 200
    assert stack.store.seen[0][1] == "/first?list-type=2&prefix=a%20%26b%2F"


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/minio/admin/v3/info", "", "InvalidBucketName"),
        ("/-/health", "", "InvalidBucketName"),
        ("/_status", "", "InvalidBucketName"),
        ("/admin/users", "", "InvalidBucketName"),
        ("/first/../other/key", "", "InvalidURI"),
        ("/first/..%2fother/key", "", "InvalidURI"),
        ("/first//key", "", "InvalidURI"),
        ("/first", "list-type=2&prefix=..%2Fother%2F", "InvalidArgument"),
        ("/first", "prefix=a&prefix=b", "InvalidArgument"),
        ("/first/key", "acl=&tagging=", "NotImplemented"),
        ("/first/key", "versionid=x", "NotImplemented"),
        ("/first/key", "Tagging=", "NotImplemented"),
        ("/first", "replication=", "NotImplemented"),
        ("/unowned/key", "", "NoSuchBucket"),
    ],
)
async def test_what_is_refused_never_reaches_the_store(stack, path, query, code):

    signed_path = "/".join(quote(unquote(part), safe="-_.~") for part in path.split("/"))
    _, body = await stack.ask("GET", path, query, signed_path=signed_path)
    assert code_of(body) == code
    assert stack.store.seen == []


# signatures


@pytest.mark.parametrize(
    "added",
    [
        ("x-amz-acl", "private"),
        ("x-amz-copy-source", "/other/secret"),
        ("x-amz-meta-injected", "1"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-bypass-governance-retention", "true"),
    ],
)
async def test_a_header_that_was_not_signed_is_refused(stack, added):
    for method in ("PUT", "DELETE"):
        status, body = await stack.ask(method, "/first/key", more=[added])
        assert (status, code_of(body)) in (
            (403, "SignatureDoesNotMatch"),
            (501, "NotImplemented"),  # a copy by DELETE
        )
    assert stack.store.seen == []


async def test_a_signature_of_another_path_method_or_host_is_refused(stack):
    for options in ({"signed_path": "/first/other"}, {"headers": {"host": "elsewhere"}}):
        _, head = stack.head("GET", "/first/key", **options)
        head = head.replace(b"host: elsewhere", b"host: here.example.org")
        _, body = parsed(await stack.send(head))
        assert code_of(body) == "SignatureDoesNotMatch"
    _, head = stack.head("GET", "/first/key")
    _, body = parsed(await stack.send(head.replace(b"GET", b"DELETE", 1)))
    assert code_of(body) == "SignatureDoesNotMatch"
    assert stack.store.seen == []


async def test_what_is_not_signed_is_nobodys(stack):
    for path in ("/", "/first", "/first/key"):
        request = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()
        status, body = parsed(await stack.send(request))
        assert (status, code_of(body)) == (403, "AccessDenied")
    assert stack.store.seen == []


async def test_an_old_signature_is_refused(stack):
    signed = sign_request(
        "GET", "/first/key", "", {"host": "x"}, EMPTY, stack.credentials, "us-east-1", clock() - 1000
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    raw = f"GET /first/key HTTP/1.1\r\n{lines}connection: close\r\n\r\n".encode()
    status, body = parsed(await stack.send(raw))
    assert (status, code_of(body)) == (403, "RequestTimeTooSkewed")


async def test_the_bucket_in_the_host_is_the_bucket_whatever_the_path_says(stack):
    status, _ = await stack.ask("GET", "/other/key", headers={"host": f"first.{DOMAIN}"})
    assert status == 200
    assert stack.store.seen[0][1] == "/first/other/key"
    assert stack.store.seen[0][2]["host"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "source",
    ["http://169.254.169.254/latest", "//169.254.169.254/x", "/first/../other/x", "first", "/unowned/secret",
     "arn:aws:s3:us-east-1:1:accesspoint/x/object/y", "/first/key?acl", "/first/key?versionId=1&x=2", "@evil/x"],
)  # fmt: skip
async def test_a_copy_source_is_a_bucket_and_a_key_of_this_gateway(stack, source):
    status, body = await stack.ask("PUT", "/first/key", headers={"x-amz-copy-source": source})
    assert status >= 400
    assert code_of(body) in ("InvalidArgument", "InvalidURI", "InvalidBucketName", "NoSuchBucket")
    assert stack.store.seen == []


async def test_the_store_is_told_the_copy_source_that_was_judged(stack):
    headers = {"x-amz-copy-source": "other/a%20b%2Fc"}
    assert (await stack.ask("PUT", "/first/key", headers=headers))[0] == 200
    assert stack.store.seen[0][2]["x-amz-copy-source"] == "/other/a%20b/c"


async def test_an_offer_to_read_a_digest_behind_the_answer_is_not_taken_up(stack):
    """AWS's SDK for Java, version 2, makes it with GetObject."""
    stack.store.headers = {"x-amz-transfer-encoding": "append-md5", "ETag": '"1"'}
    answer = await stack.send(stack.head("GET", "/first/key", headers={"x-amz-te": "append-md5"})[1])
    assert parsed(answer)[0] == 200
    assert "x-amz-te" not in {name.lower() for name in stack.store.seen[0][2]}
    assert b"append-md5" not in answer


async def test_a_redirect_of_the_store_is_not_followed_nor_passed_on(stack):
    stack.store.status, stack.store.headers = 307, {"Location": "http://169.254.169.254/"}
    status, body = await stack.ask("GET", "/first/key")
    assert (status, code_of(body)) == (503, "ServiceUnavailable")
    assert b"169.254" not in body
    assert len(stack.store.seen) == 1


async def test_what_the_store_has_against_the_gateway_is_not_the_clients_fault(stack):
    stack.store.status, stack.store.body = 403, b"<Error><Code>InvalidAccessKeyId</Code></Error>"
    status, body = await stack.ask("GET", "/first/key")
    assert (status, code_of(body)) == (503, "ServiceUnavailable")


# bodies


async def test_a_body_with_another_hash_leaves_no_object(stack):
    status, body = await stack.ask("PUT", "/first/key", payload=sha256(b"other").hexdigest(), body=b"body!")
    assert (status, code_of(body)) == (400, "XAmzContentSHA256Mismatch")
    await asyncio.sleep(0.05)
    assert stack.store.whole == []


async def test_a_body_that_ends_early_leaves_no_object(stack):
    _, head = stack.head("PUT", "/first/key", payload="UNSIGNED-PAYLOAD", length=100)
    answer = await stack.send(head + b"x" * 50, ends=True)
    assert b" 200 " not in answer
    await asyncio.sleep(0.05)
    assert stack.store.whole == []


def framed(stack, pieces, *, last=True):
    """Head and chunks of an upload with signed chunks."""
    payload = b"".join(pieces)
    now = clock()
    headers = {
        "host": f"{stack.host}:{stack.port}",
        "x-amz-decoded-content-length": str(len(payload)),
        "content-encoding": "aws-chunked",
    }
    claim = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    signed = sign_request("PUT", "/first/key", "", headers, claim, stack.credentials, "us-east-1", now)
    previous = signed["authorization"].rpartition("=")[2]
    moment = format_timestamp(now)
    key = derive_signing_key(stack.credentials.secret, moment[:8], "us-east-1", "s3")
    chunks = []
    for piece in (*pieces, b""):
        text = (
            f"AWS4-HMAC-SHA256-PAYLOAD\n{moment}\n{moment[:8]}/us-east-1/s3/aws4_request\n{previous}\n{EMPTY}\n"
            f"{sha256(piece).hexdigest()}"
        )
        previous = hmac.digest(key, text.encode(), "sha256").hex()
        chunks.append(f"{len(piece):x};chunk-signature={previous}\r\n".encode() + piece + b"\r\n")
    return signed, chunks if last else chunks[:-1]


async def upload(stack, signed, body):
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    head = f"PUT /first/key HTTP/1.1\r\n{lines}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    answer = await stack.send(head.encode() + body)
    await asyncio.sleep(0.05)
    return parsed(answer)


async def test_signed_chunks_arrive_without_their_frames(stack):
    signed, chunks = framed(stack, [b"first ", b"second"])
    assert (await upload(stack, signed, b"".join(chunks)))[0] == 200
    _, _, headers, body = stack.store.seen[0]
    assert body == b"first second"
    assert headers["content-length"] == "12"
    assert "content-encoding" not in headers


async def test_chunks_that_are_changed_reordered_left_out_or_cut_leave_no_object(stack):
    signed, chunks = framed(stack, [b"first ", b"second"])
    first, second, last = chunks
    attacks = [
        first.replace(b"first", b"First") + second + last,
        second + first + last,
        first + second,
        first + second + last[:-3],
        first + first + last,
        first + second + last + b"more",
    ]
    for attack in attacks:
        status, body = await upload(stack, signed, attack)
        assert status >= 400
        assert code_of(body) in ("SignatureDoesNotMatch", "IncompleteBody")
    assert stack.store.whole == []


def trailing(stack, payload, checksum):
    headers = {
        "x-amz-decoded-content-length": str(len(payload)),
        "content-encoding": "aws-chunked",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-sdk-checksum-algorithm": "CRC32",
    }
    body = f"{len(payload):x}\r\n".encode() + payload + b"\r\n" if payload else b""
    return headers, body + f"0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()


def crc_of(payload):
    return b64encode(crc32(payload).to_bytes(4, "big")).decode()


@pytest.mark.parametrize("size", [1, 65_536, 200_000])
async def test_a_checksum_that_follows_reaches_the_store_behind_the_body(stack, size):
    payload = b"x" * size
    headers, body = trailing(stack, payload, crc_of(payload))
    options = {"headers": headers, "payload": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    assert (await stack.ask("PUT", "/first/key", body=body, **options))[0] == 200
    _, _, sent, received = stack.store.seen[0]
    assert received.endswith(f"0\r\nx-amz-checksum-crc32:{crc_of(payload)}\r\n\r\n".encode())
    assert sent["content-length"] == str(len(received))
    assert sent["x-amz-decoded-content-length"] == str(size)


@pytest.mark.parametrize("stack", [{"BROKER_GATEWAY_FORWARD_TRAILERS": "false"}], indirect=True)
async def test_a_store_without_trailers_gets_the_payload_alone(stack):
    headers, body = trailing(stack, b"payload", crc_of(b"payload"))
    options = {"headers": headers, "payload": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    assert (await stack.ask("PUT", "/first/key", body=body, **options))[0] == 200
    _, _, sent, received = stack.store.seen[0]
    assert received == b"payload"
    assert not {"x-amz-trailer", "x-amz-sdk-checksum-algorithm", "content-encoding"} & {
        one.lower() for one in sent
    }


async def test_a_wrong_checksum_behind_the_body_leaves_no_object(stack):
    for payload in (b"payload", b""):
        headers, body = trailing(stack, payload, crc_of(b"other"))
        options = {"headers": headers, "payload": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
        status, answer = await stack.ask("PUT", "/first/key", body=body, **options)
        assert (status, code_of(answer)) == (400, "BadDigest")
    await asyncio.sleep(0.05)
    assert stack.store.whole == []


# smuggling


@pytest.mark.parametrize(
    "extra",
    [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "content-length: +5\r\n",
        "content-length: 5\r\n\tfolded: x\r\n",
    ],
)
async def test_a_request_with_two_ends_is_refused(stack, extra):
    signed, _ = stack.head("PUT", "/first/key", payload="UNSIGNED-PAYLOAD")
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    smuggled = b"0\r\n\r\nGET /other/secret HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = await stack.send(f"PUT /first/key HTTP/1.1\r\n{lines}{extra}\r\n".encode() + smuggled)
    assert b" 200 " not in answer
    await asyncio.sleep(0.05)
    assert stack.store.whole == []


async def test_an_absolute_target_is_refused(stack):
    _, head = stack.head("GET", "/first/key")
    answer = await stack.send(head.replace(b"GET /first/key", b"GET http://169.254.169.254/first/key", 1))
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert stack.store.seen == []


async def test_a_body_where_none_belongs_is_refused(stack):
    status, body = await stack.ask("GET", "/first/key", payload="UNSIGNED-PAYLOAD", body=b"x")
    assert (status, code_of(body)) == (400, "InvalidArgument")
    assert stack.store.seen == []


async def test_a_client_that_waits_is_told_to_go_on_only_if_it_is_allowed(stack):
    _, head = stack.head(
        "PUT", "/first/key", payload=sha256(b"x").hexdigest(), length=1, more=[("expect", "100-continue")]
    )
    answer = await stack.send(head + b"x")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    _, head = stack.head("PUT", "/unowned/key", length=1, more=[("expect", "100-continue")])
    assert (await stack.send(head)).startswith(b"HTTP/1.1 404 ")


async def test_the_journal_has_what_was_done_to_buckets_and_by_default_not_to_objects(stack):
    await stack.ask("GET", "/first/key")
    stack.store.status = 404
    await stack.ask("PUT", "/created")
    lines = stack.journal.read_text().splitlines()
    assert not any('"GetObject"' in line for line in lines)
    assert any('"CreateBucket"' in line for line in lines)


@pytest.mark.parametrize("stack", [{"BROKER_AUDIT_PATH": "/dev/full"}], indirect=True)
async def test_who_has_changed_a_bucket_without_a_record_is_not_told_that_it_failed(stack):
    status, done = await stack.ask("DELETE", "/first", "publicAccessBlock=")
    assert (status, code_of(done)) == (503, "ServiceUnavailable")
    assert b"The request was carried out, but" in done
    status, refused = await stack.ask("DELETE", "/first", "publicAccessBlock=")
    assert (status, code_of(refused)) == (503, "ServiceUnavailable")
    assert b"The request has failed" in refused


async def test_where_nobody_knows_whether_a_bucket_was_changed_the_record_says_so(stack, monkeypatch):
    async def commit(*_):
        raise OutcomeUnknown("lost")

    monkeypatch.setattr("broker.storage.sqlite.SqliteEngine.commit", commit)
    status, body = await stack.ask("DELETE", "/first", "publicAccessBlock=")
    assert (status, code_of(body)) == (503, "ServiceUnavailable")
    assert b"It is unknown whether the request was carried out" in body
    (record,) = map(json.loads, stack.journal.read_text().splitlines())
    assert record["additionalEventData"] == {"outcome": "unknown"}


async def test_a_body_that_does_not_go_on_is_given_up(stack, monkeypatch):
    monkeypatch.setattr("broker.gateway.body.SILENT_SECONDS", 0.1)
    _, head = stack.head("PUT", "/first/key", payload="UNSIGNED-PAYLOAD", length=100)
    status, body = parsed(await stack.send(head + b"x" * 50))
    assert (status, code_of(body)) == (400, "RequestTimeout")
    await asyncio.sleep(0.05)
    assert stack.store.whole == []


# what only the store knows

TAGGED = (
    b'<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet><Tag><Key>Secret</Key><Value>yes</Value></Tag>'
    b"</TagSet></Tagging>"
)


def deny_tagged(value):
    return (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", '
        '"Resource": "arn:aws:s3:::first/*", "Condition": {"StringEquals": {"s3:ExistingObjectTag/Secret": "'
        f'{value}"}}}}}}]}}'
    )


async def put_policy(stack, policy, bucket="first"):
    body = policy.encode()
    status, answer = await stack.ask(
        "PUT", f"/{bucket}", "policy=", payload=sha256(body).hexdigest(), body=body
    )
    assert status == 204, answer


async def test_a_policy_that_reads_the_tags_of_an_object_is_refused_where_nobody_fetches_them(stack):
    await put_policy(stack, deny_tagged("yes"))
    status, body = await stack.ask("GET", "/first/key")
    assert (status, code_of(body)) == (403, "AccessDenied")
    assert stack.store.seen == []


@pytest.mark.parametrize("stack", [{"BROKER_GATEWAY_EXISTING_OBJECT_TAGS": "true"}], indirect=True)
async def test_the_tags_are_fetched_where_a_policy_reads_them_and_the_settings_say_so(stack):
    await stack.ask("GET", "/first/key")
    assert [path for _, path in stack.store.whole] == ["/first/key"]  # no policy reads them
    stack.store.body = TAGGED
    await put_policy(stack, deny_tagged("yes"))
    status, body = await stack.ask("GET", "/first/key", "versionId=v1")
    assert (status, code_of(body)) == (200, "")  # the policy speaks of GetObject, not of GetObjectVersion
    assert (await stack.ask("GET", "/first/key"))[0] == 403
    assert stack.store.whole[-1] == ("GET", "/first/key?tagging=")
    await put_policy(stack, deny_tagged("no"))
    assert (await stack.ask("GET", "/first/key"))[0] == 200


@pytest.mark.parametrize("stack", [{"BROKER_GATEWAY_EXISTING_OBJECT_TAGS": "true"}], indirect=True)
async def test_a_copy_that_takes_tags_with_it_needs_the_permissions_on_tags(stack):
    copied = {"headers": {"x-amz-copy-source": "/other/key"}}
    replaced = {"headers": {"x-amz-copy-source": "/other/key", "x-amz-tagging-directive": "REPLACE"}}
    for action, bucket in (("PutObjectTagging", "first"), ("GetObjectTagging", "other")):
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": f"s3:{action}",
            "Resource": f"arn:aws:s3:::{bucket}/*",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        await put_policy(stack, policy, bucket)
        stack.store.body = TAGGED
        stack.store.seen.clear()
        status, body = await stack.ask("PUT", "/first/key", **copied)
        assert (status, code_of(body)) == (403, "AccessDenied")
        assert stack.store.whole == [("GET", "/other/key?tagging=")]
        assert (await stack.ask("PUT", "/first/key", **replaced))[0] == 200
        stack.store.body = b"<Tagging><TagSet></TagSet></Tagging>"
        assert (await stack.ask("PUT", "/first/key", **copied))[0] == 200
        assert (await stack.ask("DELETE", f"/{bucket}", "policy="))[0] == 204


async def test_a_lock_is_sent_as_it_was_judged(stack):
    body = b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2090-01-01T00:00:00Z</RetainUntilDate></Retention>"
    options = {"payload": sha256(body).hexdigest(), "body": body}
    assert (await stack.ask("PUT", "/first/key", "retention=", **options))[0] == 200
    assert b"<Mode>GOVERNANCE</Mode>" in stack.store.seen[0][3]
    twice = body.replace(b"</Mode>", b"</Mode><Mode>COMPLIANCE</Mode>")
    options = {"payload": sha256(twice).hexdigest(), "body": twice}
    status, answer = await stack.ask("PUT", "/first/key", "retention=", **options)
    assert (status, code_of(answer)) == (400, "MalformedXML")


async def test_an_operation_that_the_store_lacks_is_refused(stack):
    status, body = await stack.ask("GET", "/first/key", "torrent=")
    assert (status, code_of(body)) == (501, "NotImplemented")


@pytest.mark.parametrize("stack", [{"BROKER_GATEWAY_REFUSED_OPERATIONS": "GetObjectTagging"}], indirect=True)
async def test_an_operation_that_the_settings_name_is_refused(stack):
    status, body = await stack.ask("GET", "/first/key", "tagging=")
    assert (status, code_of(body)) == (501, "NotImplemented")
    assert (await stack.ask("GET", "/first/key"))[0] == 200
    assert len(stack.store.seen) == 1
