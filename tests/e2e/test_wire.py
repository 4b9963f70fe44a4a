"""The Query protocol's edges: each refusal with AWS's code, status and request id, whatever is wrong."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.raw_requests import FORM, VERSIONS, WHO_AM_I, Answer, RawRequest, raw_request
from tests.e2e.scenes import records_of, refused, written_in

REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MAXIMUM_BODY = 256 << 10


def assert_recorded(server: Server, answer: Answer) -> None:
    """One request id in body, header and journal; one record with the code that the client reads."""
    assert REQUEST_ID.fullmatch(answer.request_id)
    assert answer.headers["x-amzn-requestid"] == answer.request_id
    assert answer.headers["content-type"] == "text/xml"
    (record,) = records_of(server, answer.request_id)
    assert record.get("errorCode", "") == answer.code


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_get_and_post_are_answered_alike(server: Server, account: Account, method: str) -> None:
    answer = raw_request(server, account.root, WHO_AM_I, method=method).send(server)
    assert answer.status == 200
    assert f"<Account>{account.account_id}</Account>".encode() in answer.body
    assert_recorded(server, answer)


def test_action_in_the_query_and_parameters_in_the_body_make_one_request(
    server: Server, account: Account
) -> None:
    answer = raw_request(
        server, account.root, {"Version": VERSIONS["sts"]}, query={"Action": "GetCallerIdentity"}
    ).send(server)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("parameters", "status", "code", "message"),
    [
        (
            {"Action": "MakeMeRoot", "Version": "2011-06-15"},
            400,
            "InvalidAction",
            "Could not find operation MakeMeRoot for version 2011-06-15",
        ),
        (
            {"Action": "GetCallerIdentity", "Version": "1999-01-01"},
            400,
            "InvalidAction",
            "Could not find operation GetCallerIdentity for version 1999-01-01",
        ),
        (
            {"Action": "GetCallerIdentity"},
            400,
            "InvalidAction",
            "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED",
        ),
        (
            {"Version": "2011-06-15"},
            400,
            "MissingAction",
            "The request is missing an action or a required parameter.",
        ),
        ({}, 400, "MissingAction", "The request is missing an action or a required parameter."),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_operation_that_is_not_there_is_refused(
    server: Server,
    account: Account,
    method: str,
    parameters: dict[str, str],
    status: int,
    code: str,
    message: str,
) -> None:
    answer = raw_request(server, account.root, parameters, method=method).send(server)
    assert answer.refusal == (status, code, message)
    assert_recorded(server, answer)


def test_an_operation_of_one_service_is_none_of_another(server: Server, account: Account) -> None:
    answer = raw_request(server, account.root, WHO_AM_I, service="iam").send(server)
    assert (answer.status, answer.code) == (400, "InvalidAction")


def test_a_signature_for_a_service_that_is_not_here_is_refused(server: Server, account: Account) -> None:
    answer = raw_request(server, account.root, WHO_AM_I, service="s3").send(server)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert "Credential should be scoped to correct service: 'sts'" in answer.message


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""]
)
def test_a_body_that_is_no_form_is_refused(server: Server, account: Account, content_type: str) -> None:
    answer = (
        raw_request(server, account.root, WHO_AM_I).with_header("Content-Type", content_type).send(server)
    )
    assert (answer.status, answer.code) == (415, "UnsupportedMediaType")
    assert_recorded(server, answer)


def test_a_charset_beside_the_content_type_is_fine(server: Server, account: Account) -> None:
    headers = {"Content-Type": f"{FORM}; charset=utf-8"}
    assert raw_request(server, account.root, WHO_AM_I, headers=headers).send(server).status == 200


@pytest.mark.parametrize("broken", ["RoleArn=%zz", "RoleArn=%ff", "RoleArn=%", "%e2%28=1"])
def test_a_form_that_cannot_be_decoded_is_refused(server: Server, account: Account, broken: str) -> None:
    asked = f"Action=AssumeRole&Version=2011-06-15&{broken}"
    headers = (("Host", server.api), ("Content-Type", FORM))
    for sent in (
        RawRequest("POST", "/", headers, asked.encode()),
        RawRequest("GET", f"/?{asked}", headers[:1], b""),
    ):
        answer = sent.send(server)
        assert answer.refusal == (
            400,
            "MalformedQueryString",
            "The query string contains a syntax error.",
        )
        assert_recorded(server, answer)


def test_one_answer_lists_several_violations(server: Server, account: Account) -> None:
    given = {"Action": "AssumeRole", "Version": VERSIONS["sts"], "RoleArn": "short", "DurationSeconds": "1"}
    answer = raw_request(server, account.root, given).send(server)
    assert (answer.status, answer.code) == (400, "ValidationError")
    assert answer.message.startswith("3 validation errors detected: ")
    for place in ("'roleArn'", "'durationSeconds'", "Value null at 'roleSessionName'"):
        assert place in answer.message


def test_a_body_that_says_it_is_too_large_is_refused_unread(server: Server) -> None:
    headers = (("Host", server.api), ("Content-Type", FORM), ("Content-Length", str(10 << 30)))
    answer = RawRequest("POST", "/", headers, b"").send(server)
    assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")
    assert_recorded(server, answer)


def test_a_chunked_body_is_read_up_to_the_limit_and_no_further(server: Server, account: Account) -> None:
    body = b"Action=GetCallerIdentity&Version=2011-06-15&Padding="
    with socket.create_connection(server.api.split(":"), timeout=20) as connection:
        head = f"POST / HTTP/1.1\r\nHost: {server.api}\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        for piece in (body, b"x" * MAXIMUM_BODY):
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        # The last chunk is never sent: who waits for it has read too far.
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"<Code>RequestEntityTooLarge</Code>" in answer


def test_a_body_within_the_limit_is_read_whole_when_it_comes_in_chunks(
    server: Server, account: Account
) -> None:
    whole = raw_request(server, account.root, {**WHO_AM_I, "Padding": "x" * (MAXIMUM_BODY - 1000)})
    with socket.create_connection(server.api.split(":"), timeout=20) as connection:
        lines = [*(f"{name}: {value}" for name, value in whole.headers), "Transfer-Encoding: chunked"]
        connection.sendall(("POST / HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
        for start in range(0, len(whole.body), 10_000):
            piece = whole.body[start : start + 10_000]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_compressed_body_is_taken_for_what_it_is(server: Server, account: Account) -> None:
    """Nobody's bomb is unpacked: the bytes that arrived are the bytes that must have been signed."""
    sent = raw_request(server, account.root, WHO_AM_I, headers={"Content-Encoding": "gzip"})
    assert sent.send(server).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(server: Server, account: Account, method: str) -> None:
    answer = raw_request(server, account.root, WHO_AM_I, method=method).send(server)
    assert (answer.status, answer.code) == (405, "UnsupportedHttpVerb")
    assert_recorded(server, answer)


def test_a_method_override_header_overrides_nothing(server: Server, account: Account) -> None:
    headers = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "PUT"}
    assert raw_request(server, account.root, WHO_AM_I, headers=headers).send(server).status == 200


def test_an_answer_without_a_signature_names_what_is_missing(server: Server) -> None:
    answer = raw_request(server, None, WHO_AM_I).send(server)
    assert answer.refusal == (403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    assert_recorded(server, answer)


def test_a_bearer_token_in_the_wrong_place_reaches_neither_journal_nor_log(server: Server) -> None:
    secret = "eyJhbGciOiJub25lIn0.c2VjcmV0.bearer-of-secrets"
    answer = raw_request(server, None, WHO_AM_I).with_header("Authorization", f"Bearer {secret}").send(server)
    assert (answer.status, answer.code) == (400, "IncompleteSignature")
    assert secret not in answer.message
    assert_recorded(server, answer)
    assert secret not in server.log
    assert secret not in written_in(server)


def test_no_byte_of_a_header_keeps_a_request_out_of_the_journal(server: Server, account: Account) -> None:
    """A deed that cannot be written down would be a deed that nobody sees."""
    sent = raw_request(server, account.root, WHO_AM_I).with_header("User-Agent", "agent\udcff\udc80")
    answer = sent.send(server)
    assert answer.status == 200
    (record,) = records_of(server, answer.request_id)
    assert record["userAgent"] == "agent??"
    scope = "Credential=AKIA\udcff/20260101/eu-\udcff/sts/aws4_request, SignedHeaders=host, Signature=00"
    forged = raw_request(server, None, WHO_AM_I).with_header("X-Amz-Date", "20260101T000000Z")
    answer = forged.with_header("Authorization", f"AWS4-HMAC-SHA256 {scope}").send(server)
    assert answer.code == "InvalidClientTokenId"
    assert_recorded(server, answer)


# An operation that the models have and the broker has not, and what it takes.
GOVERNMENT = {"Email": "a@example.com", "AccountName": "a"}


def test_a_known_operation_that_is_not_implemented_says_so(server: Server, account: Account) -> None:
    status, code, message = refused(
        server.client("organizations", account.root).create_gov_cloud_account, **GOVERNMENT
    )
    assert (status, code) == (501, "NotImplemented")
    assert "does not implement organizations:CreateGovCloudAccount yet" in message


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_sdks_do_not_retry_what_is_not_implemented(server: Server, account: Account, mode: str) -> None:
    organizations = boto3.session.Session().client(
        "organizations",
        region_name=REGION,
        endpoint_url=server.url,
        aws_access_key_id=account.root.access_key_id,
        aws_secret_access_key=account.root.secret_access_key,
        config=Config(retries={"mode": mode, "max_attempts": 5}),
    )
    with pytest.raises(ClientError) as error:
        organizations.create_gov_cloud_account(**GOVERNMENT)
    assert error.value.response["Error"]["Code"] == "NotImplemented"
    assert error.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_the_cli_shows_what_is_not_implemented_at_once(server: Server, account: Account) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": server.url,
        **account.root.environment,
    }
    command = [str(Path(sys.executable).with_name("aws")), "organizations", "create-gov-cloud-account"]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--email", GOVERNMENT["Email"], "--account-name", "a"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    refusal = "An error occurred (NotImplemented) when calling the CreateGovCloudAccount operation"
    assert refusal in done.stderr
    assert time.monotonic() - started < 20


def test_a_presigned_url_needs_nothing_but_a_browser(server: Server, account: Account) -> None:
    url = server.client("sts", account.root).generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert account.account_id in answer.read().decode()
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(url.replace("GetCallerIdentity", "GetSessionToken"), timeout=10)
    assert error.value.code == 403
    error.value.close()


def test_the_path_is_part_of_what_is_signed(server: Server, account: Account) -> None:
    """Behind a prefix the protocol works; a request signed for one path is refused at another."""
    elsewhere = raw_request(server, account.root, WHO_AM_I, path="/iam/sts/")
    assert elsewhere.send(server).status == 200
    moved = RawRequest("POST", "/other", elsewhere.headers, elsewhere.body)
    assert moved.send(server).code == "SignatureDoesNotMatch"
    absolute = RawRequest("POST", f"{server.url}/", elsewhere.headers, elsewhere.body)
    assert absolute.send(server).code == "SignatureDoesNotMatch"


def test_a_parameter_added_to_the_query_of_a_signed_post_breaks_it(server: Server, account: Account) -> None:
    sent = raw_request(server, account.root, WHO_AM_I)
    smuggled = RawRequest("POST", "/?Action=GetSessionToken", sent.headers, sent.body)
    assert smuggled.send(server).code == "SignatureDoesNotMatch"
