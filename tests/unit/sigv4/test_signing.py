"""Requests signed here are accepted by our own verification, and equal to botocore's."""

from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from broker.names.secret import SecretKey
from broker.sigv4.authorization import UnverifiedRequest, find_authorization
from broker.sigv4.signing import SigningCredentials, encode_query, sign_request
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import S3_STREAMED, UNSIGNED_PAYLOAD, verify
from tests.unit.sigv4.conftest import NOON, SECRET

CASES = [
    ("GET", "/bucket/a%20b/..%2Fc", [], {}),
    ("GET", "/bucket", [("list-type", "2"), ("prefix", "a b/é&="), ("delimiter", "/")], {}),
    ("PUT", "/bucket/key", [("tagging", "")], {"content-type": "text/plain", "x-amz-meta-a": "1  2"}),
]


@pytest.mark.parametrize(("method", "path", "pairs", "headers"), CASES)
@pytest.mark.parametrize("token", ["", "token"])
def test_a_request_is_signed_as_by_botocore_and_verified_here(method, path, pairs, headers, token):
    query = encode_query(pairs)
    credentials = SigningCredentials("AKIDEXAMPLE", SecretKey(SECRET), token)
    given = {"host": "store:9000", **headers}
    signed = sign_request(
        method, path, query, given, UNSIGNED_PAYLOAD, credentials, "eu-west-1", NOON.timestamp()
    )
    request = UnverifiedRequest(method, path, query, tuple(signed.items()), b"")
    proven = verify(
        request,
        find_authorization(request),
        SecretKey(SECRET),
        NOON.timestamp(),
        SigningKeys(),
        services=("s3",),
        dialect=S3_STREAMED,
    )
    assert not proven.body_is_signed
    assert signed["authorization"] == by_botocore(method, path, query, headers, token)


def by_botocore(method, path, query, headers, token):
    url = f"http://store:9000{path}" + (f"?{query}" if query else "")
    request = AWSRequest(
        method, url, headers={**headers, "host": "store:9000", "X-Amz-Content-SHA256": UNSIGNED_PAYLOAD}
    )
    request.context["payload_signing_enabled"] = False

    class Signer(S3SigV4Auth):
        def payload(self, request):
            return UNSIGNED_PAYLOAD

    with mock.patch("botocore.auth.get_current_datetime", lambda: NOON):
        Signer(Credentials("AKIDEXAMPLE", SECRET, token or None), "s3", "eu-west-1").add_auth(request)
    return request.headers["Authorization"]
