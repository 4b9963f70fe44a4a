from hashlib import sha256
from urllib.parse import urlsplit

import boto3
import msgspec
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth

from broker.errors import Refusal, status_and_fault
from broker.names.secret import SecretKey
from broker.sigv4.authorization import UnverifiedRequest, find_authorization
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import JSON, QUERY, S3, Dialect, missing_authentication_token, verify

SECRET = SecretKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOON = 1767268800.0
FORM = b"Action=GetCallerIdentity&Version=2011-06-15"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
    "Key and signing method. Consult the service documentation for details."
)


def judge(request, *, secret=SECRET, now=NOON, keys=None, services=("sts",), **named):
    keys = SigningKeys() if keys is None else keys
    return verify(request, find_authorization(request), secret, now, keys, services=services, **named)


def refusal_of(request, **named):
    with pytest.raises(Refusal) as caught:
        judge(request, **named)
    return caught.value


def with_headers(request, *added, without=()):
    others = [header for header in request.headers if header[0] not in without]
    return msgspec.structs.replace(request, headers=(*others, *added))


def with_authorization(request, old, new):
    header = dict(request.headers)["authorization"]
    assert old in header
    return with_headers(request, ("authorization", header.replace(old, new)), without=("authorization",))


# what is accepted


def test_a_signed_form_is_verified(sign):
    request = sign(body=FORM, token="token")
    proven = judge(request)
    assert proven.request is request
    assert proven.authorization == find_authorization(request)
    assert proven.body_is_signed


@pytest.mark.parametrize("region", ["us-east-1", "aws-global", "eu-isoe-west-1", "somewhere"])
def test_any_region_is_accepted_unless_the_caller_limits_it(sign, region):
    request = sign(region=region)
    assert judge(request).authorization.region == region
    assert judge(request, regions={region}).authorization.region == region
    refusal = refusal_of(request, regions={"mars-north-1"})
    assert (refusal.code, refusal.message) == (
        "SignatureDoesNotMatch",
        f"Credential should be scoped to a valid region, not '{region}'. ",
    )


def test_headers_that_proxies_add_need_no_signature(sign):
    added = [("x-amzn-trace-id", "Root=1"), ("x-forwarded-for", "203.0.113.1")]
    request = with_headers(sign(body=FORM), *added)
    proven = judge(request)
    assert proven.request is request
    assert proven.authorization.signer.headers.all.isdisjoint(name for name, _ in added)


def test_a_presigned_get_caller_identity_of_botocore_verifies():
    """The login proof of Vault, of EKS and their like."""
    client = boto3.client(
        "sts",
        region_name="eu-west-1",
        endpoint_url="http://127.0.0.1:8080",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key=SECRET.reveal(),
        aws_session_token="FwoGZXIvYXdzE//+=",
    )
    url = urlsplit(client.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET"))
    request = UnverifiedRequest("GET", url.path, url.query, (("host", url.netloc),), b"")
    authorization = find_authorization(request)
    proven = judge(request, now=authorization.timestamp + 59)
    assert proven.authorization.presigned
    assert proven.authorization.session_token == "FwoGZXIvYXdzE//+="


def test_a_presigned_url_may_sign_headers_of_its_own(presign):
    """`aws eks get-token` binds the cluster's name in this way."""
    request = presign(headers=[("x-k8s-aws-id", "my-cluster")])
    assert "x-k8s-aws-id" in judge(request).authorization.signer.headers.all
    changed = with_headers(request, ("x-k8s-aws-id", "other"), without=("x-k8s-aws-id",))
    assert refusal_of(changed).code == "SignatureDoesNotMatch"


def test_a_session_token_appended_after_signing_is_refused(presign):
    request = presign()
    appended = msgspec.structs.replace(request, query=request.query + "&X-Amz-Security-Token=stolen")
    assert refusal_of(appended).code == "SignatureDoesNotMatch"


# what is refused, one by one


def test_an_unsigned_request_lacks_its_token():
    refusal = missing_authentication_token()
    assert (refusal.code, refusal.message) == (
        "MissingAuthenticationToken",
        "Request is missing Authentication Token",
    )
    assert status_and_fault(refusal) == (403, "Sender")


def test_a_wrong_secret_is_refused_and_shown_what_should_have_been_signed(sign):
    refusal = refusal_of(sign(body=FORM, secret="another"))
    canonical = (
        "POST\n/\n\nhost:127.0.0.1:8080\nx-amz-date:20260101T120000Z\n\nhost;x-amz-date\n"
        + sha256(FORM).hexdigest()
    )
    assert refusal.code == "SignatureDoesNotMatch"
    assert status_and_fault(refusal) == (403, "Sender")
    assert refusal.message == (
        f"{MISMATCH}\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n"
        "The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20260101T120000Z\n"
        f"20260101/eu-west-1/sts/aws4_request\n{sha256(canonical.encode()).hexdigest()}'\n"
    )


def test_no_refusal_shows_the_secret(sign):
    refusal = refusal_of(sign(body=FORM, secret="another"))
    assert SECRET.reveal() not in refusal.message + refusal.reason + repr(refusal)


def test_no_request_prints_its_tokens_or_its_body(sign):
    request = sign(body=b"Password=hunter2", token="a session token")
    printed = repr((request, find_authorization(request), judge(request)))
    for hidden in ("hunter2", "a session token", find_authorization(request).signature):
        assert hidden not in printed


CHANGES = {
    "method": {"method": "GET"},
    "path": {"path": "/other"},
    "query": {"query": "Action=CreateUser"},
    "body": {"body": FORM.replace(b"Get", b"Set")},
    "body removed": {"body": b""},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_request_is_refused(sign, change):
    refusal = refusal_of(msgspec.structs.replace(sign(body=FORM), **change))
    assert refusal.code == "SignatureDoesNotMatch"
    assert refusal.message.startswith(MISMATCH)


@pytest.mark.parametrize(
    "change", [{"method": "POST"}, {"path": "/x"}, {"body": b"x"}], ids=["method", "path", "body"]
)
def test_a_changed_presigned_request_is_refused(presign, change):
    assert refusal_of(msgspec.structs.replace(presign(), **change)).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("name", ["host", "x-amz-security-token", "content-type"])
def test_a_changed_header_is_refused(sign, name):
    request = sign(body=FORM, token="token", headers=[("content-type", "text/plain")])
    changed = with_headers(request, (name, "changed"), without=(name,))
    assert refusal_of(changed).message.startswith(MISMATCH)


def test_a_signed_header_that_was_removed_is_refused(sign):
    request = sign(headers=[("my-header", "")])
    assert refusal_of(with_headers(request, without=("my-header",))).message.startswith(MISMATCH)


def test_values_of_a_repeated_header_are_signed_together(sign):
    request = sign(headers=[("my-header", " one,two  three ")])
    repeated = with_headers(
        request, ("my-header", " one "), ("my-header", " two   three"), without=("my-header",)
    )
    judge(repeated)
    swapped = with_headers(request, ("my-header", "two three"), ("my-header", "one"), without=("my-header",))
    assert refusal_of(swapped).message.startswith(MISMATCH)


def test_a_second_value_for_a_signed_header_is_refused(sign):
    request = sign(headers=[("my-header", "one")])
    assert refusal_of(with_headers(request, ("my-header", "two"))).message.startswith(MISMATCH)


@pytest.mark.parametrize(
    "name", ["x-amz-security-token", "x-amz-content-sha256", "x-amz-target", "x-amz-anything"]
)
def test_an_unsigned_header_of_amazons_cannot_be_smuggled(sign, presign, name):
    for request in (sign(body=FORM), presign()):
        refusal = refusal_of(with_headers(request, (name, "smuggled")))
        assert (refusal.code, refusal.message) == (
            "SignatureDoesNotMatch",
            f"'{name}' must be a 'SignedHeader' in the AWS Authorization.",
        )


def test_a_session_token_added_after_signing_is_refused(sign):
    """The suite's post-sts-header-after, which some services of AWS take: nothing would prove whose token it is."""
    token = ("x-amz-security-token", "FwoGZXIvYXdzEXAMPLE//////////wEaD+/=")
    refusal = refusal_of(with_headers(sign(body=FORM), token))
    assert (refusal.code, refusal.message) == (
        "SignatureDoesNotMatch",
        "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization.",
    )
    assert status_and_fault(refusal) == (403, "Sender")


def test_an_authorization_proves_no_other_request(sign):
    request = sign(body=FORM)
    twin = msgspec.structs.replace(request, body=b"Action=DeleteUser")
    with pytest.raises(ValueError, match="no other"):
        verify(twin, find_authorization(request), SECRET, NOON, SigningKeys(), services={"sts"})


def test_the_host_must_be_signed(sign):
    refusal = refusal_of(with_authorization(sign(), "SignedHeaders=host;", "SignedHeaders="))
    assert (refusal.code, refusal.message) == (
        "SignatureDoesNotMatch",
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    )


def test_a_repeated_authorization_header_is_refused(sign):
    request = sign()
    again = with_headers(request, ("authorization", dict(request.headers)["authorization"]))
    assert refusal_of(again).code == "IncompleteSignature"


def test_a_signature_lives_for_fifteen_minutes(sign):
    request = sign()
    judge(request, now=NOON + 900)
    refusal = refusal_of(request, now=NOON + 901)
    assert (refusal.code, refusal.message) == (
        "SignatureDoesNotMatch",
        "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z (20260101T121501Z - 15 min.)",
    )
    assert status_and_fault(refusal) == (403, "Sender")


def test_a_signature_may_be_fifteen_minutes_early(sign, presign):
    for request in (sign(), presign()):
        judge(request, now=NOON - 900)
        refusal = refusal_of(request, now=NOON - 901)
        assert (refusal.code, refusal.message) == (
            "SignatureDoesNotMatch",
            "Signature not yet current: 20260101T120000Z is still later than 20260101T115959Z "
            "(20260101T114459Z + 15 min.)",
        )


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.999])
def test_a_signature_is_judged_in_whole_seconds(sign, presign, fraction):
    """A signing time has no fraction, so the two times in a refusal differ."""
    for request in (sign(), presign(expires=3600)):
        for second in (-900, -899, 0, 899, 900):
            judge(request, now=NOON + second + fraction)
        assert refusal_of(request, now=NOON + 901 + fraction).message == (
            "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z (20260101T121501Z - 15 min.)"
        )
        assert refusal_of(request, now=NOON - 901 + fraction).message == (
            "Signature not yet current: 20260101T120000Z is still later than 20260101T115959Z "
            "(20260101T114459Z + 15 min.)"
        )


def test_a_presigned_url_expires_when_it_says(presign):
    request = presign(expires=60)
    for second in (0, 60, 60.999):
        judge(request, now=NOON + second)
    refusal = refusal_of(request, now=NOON + 61)
    assert (refusal.code, refusal.message) == ("RequestExpired", "Request has expired.")
    assert status_and_fault(refusal) == (400, "Sender")


def test_a_presigned_url_of_a_query_service_lives_no_longer_than_any_signature(presign):
    request = presign(expires=3600)
    judge(request, now=NOON + 900)
    assert refusal_of(request, now=NOON + 901).message.startswith("Signature expired: ")


def test_a_presigned_url_may_be_given_the_life_that_aws_gives_it(presign):
    request = presign(expires=60)
    dialect = Dialect(honour_expires=False)
    for second in (61, 840, 900):
        judge(request, now=NOON + second, dialect=dialect)
    refusal = refusal_of(request, now=NOON + 901, dialect=dialect)
    assert (refusal.code, refusal.message) == (
        "SignatureDoesNotMatch",
        "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z (20260101T121501Z - 15 min.)",
    )


def test_the_expiry_of_a_presigned_url_is_signed(presign):
    request = presign(expires=60)
    longer = msgspec.structs.replace(request, query=request.query.replace("Expires=60", "Expires=600"))
    assert refusal_of(longer, now=NOON + 61).message.startswith(MISMATCH)


def test_a_wrong_service_is_refused(sign):
    refusal = refusal_of(sign(service="s3"))
    assert (refusal.code, refusal.message) == (
        "SignatureDoesNotMatch",
        "Credential should be scoped to correct service: 'sts'. ",
    )
    assert status_and_fault(refusal) == (403, "Sender")


def test_a_json_service_has_its_own_code(sign):
    refusal = refusal_of(sign(service="s3"), services=("eks-auth",), dialect=JSON)
    assert refusal.code == "InvalidSignatureException"
    assert status_and_fault(refusal) == (400, "Sender")


def test_a_scope_of_another_day_is_refused(sign):
    refusal = refusal_of(with_authorization(sign(), "20260101/", "20251231/"))
    assert (refusal.code, refusal.message) == (
        "SignatureDoesNotMatch",
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'20251231' != '20260101', from '20260101T120000Z'.",
    )


def test_everything_wrong_with_a_scope_is_said_at_once(sign):
    refusal = refusal_of(
        with_authorization(sign(service="s3"), "20260101/eu-west-1", "x/mars"), regions={"eu-west-1"}
    )
    assert refusal.message == (
        "Credential should be scoped to a valid region, not 'mars'. "
        "Credential should be scoped to correct service: 'sts'. "
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'x' != '20260101', from '20260101T120000Z'."
    )


@pytest.mark.parametrize("region", ["", "-", "eu_west", "eu west", "é", "*"])
def test_what_is_no_region_is_refused(sign, region):
    request = sign(region="PLACE")
    authorization = find_authorization(request)
    scope = msgspec.structs.replace(authorization.signer.scope, region=region)
    signer = msgspec.structs.replace(authorization.signer, scope=scope)
    authorization = msgspec.structs.replace(authorization, signer=signer)
    with pytest.raises(Refusal) as caught:
        verify(request, authorization, SECRET, NOON, SigningKeys(), services={"sts"})
    assert caught.value.message == f"Credential should be scoped to a valid region, not '{region}'. "


@pytest.mark.parametrize("signature", ["Signature=0", "Signature=é", "Signature=\udcff", "Signature=\ud800"])
def test_what_is_no_signature_is_refused(sign, signature):
    header = dict(sign().headers)["authorization"]
    changed = with_authorization(sign(), header[header.index("Signature=") :], signature)
    assert refusal_of(changed).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("change", [{"method": "GET\n/x"}, {"path": "x"}, {"path": ""}, {"method": ""}])
def test_a_request_line_that_is_none_is_refused(sign, change):
    refusal = refusal_of(msgspec.structs.replace(sign(), **change))
    assert (refusal.code, refusal.message) == ("SignatureDoesNotMatch", "The request line is malformed.")


def test_text_that_no_wire_can_have_carried_is_refused(sign):
    request = msgspec.structs.replace(sign(), query="a=\ud800")
    assert refusal_of(request).message == "The request is not valid UTF-8."


def test_a_mismatch_with_strange_bytes_can_be_written_as_text(sign):
    request = with_headers(
        sign(headers=[("my-header", "x")]), ("my-header", "\udcff"), without=("my-header",)
    )
    assert "my-header:\\udcff" in refusal_of(request).message.encode().decode()


# the body's hash


def test_a_claimed_hash_must_be_the_bodys(sign):
    right, wrong = sha256(FORM).hexdigest(), sha256(b"other").hexdigest()
    judge(sign(body=FORM, headers=[("x-amz-content-sha256", right)]))
    for claim in (wrong, right.upper(), "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        refusal = refusal_of(sign(body=FORM, headers=[("x-amz-content-sha256", claim)]))
        assert (refusal.code, refusal.message) == (
            "SignatureDoesNotMatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )


@pytest.mark.parametrize(("body", "token"), [(FORM, None), (FORM, "token"), (b"", None)])
def test_the_bodys_hash_may_be_named_in_an_unsigned_header(sign, presign, body, token):
    """As aws-requests-auth names it, beside the signed headers host, x-amz-date and x-amz-security-token."""
    claim = ("x-amz-content-sha256", sha256(body).hexdigest())
    request = with_headers(sign(body=body, token=token), claim)
    proven = judge(request)
    assert "x-amz-content-sha256" not in proven.authorization.signer.headers.all
    assert proven.body_is_signed
    changed = msgspec.structs.replace(request, body=b"Action=Other")
    fitting = with_headers(
        changed, (claim[0], sha256(b"Action=Other").hexdigest()), without=("x-amz-content-sha256",)
    )
    assert "must be a 'SignedHeader'" in refusal_of(changed).message
    assert refusal_of(fitting).message.startswith(MISMATCH)
    assert judge(with_headers(presign(), ("x-amz-content-sha256", sha256(b"").hexdigest())))


@pytest.mark.parametrize("dialect", [QUERY, JSON, S3])
def test_an_unsigned_claim_that_is_not_the_bodys_hash_is_refused(sign, dialect):
    right = sha256(FORM).hexdigest()
    for claim in (
        sha256(b"other").hexdigest(),
        right.upper(),
        right[:-1],
        f"{right},{right}",
        "",
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ):
        request = with_headers(sign(body=FORM), ("x-amz-content-sha256", claim))
        refusal = refusal_of(request, dialect=dialect)
        assert (refusal.code, refusal.message) == (
            dialect.mismatch_code,
            "'x-amz-content-sha256' must be a 'SignedHeader' in the AWS Authorization.",
        )


def test_an_unsigned_payload_is_refused_by_query_services(sign):
    request = sign(body=FORM, headers=[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")])
    assert refusal_of(request).code == "SignatureDoesNotMatch"


def test_an_unsigned_payload_is_accepted_by_s3_and_marked(sign):
    unsigned = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]
    request = sign(
        method="PUT", url="https://bucket.example/key", service="s3", headers=unsigned, body=b"anything"
    )
    proven = judge(request, services={"s3"}, dialect=S3)
    assert not proven.body_is_signed


def test_an_object_path_is_signed_as_it_is(sign):
    request = sign(
        S3SigV4Auth, method="PUT", url="https://b.example/a//b/../c%20d", service="s3", body=b"object"
    )
    assert judge(request, services={"s3"}, dialect=S3).body_is_signed
    assert refusal_of(request, services={"s3"}).message.startswith(MISMATCH)


def test_a_presigned_object_url_lives_for_seven_days_and_signs_no_body(presign):
    request = presign(S3SigV4QueryAuth, url="https://bucket.example/a//b", service="s3", expires=604_800)
    proven = judge(request, services={"s3"}, dialect=S3, now=NOON + 604_800)
    assert not proven.body_is_signed
    assert refusal_of(request, services={"s3"}, dialect=S3, now=NOON + 604_801).code == "RequestExpired"


# signing keys


def test_a_rotated_secret_cannot_be_passed_by_a_cached_key(sign):
    keys = SigningKeys()
    old = sign(secret="old")
    judge(old, secret=SecretKey("old"), keys=keys)
    assert refusal_of(old, secret=SecretKey("new"), keys=keys).code == "SignatureDoesNotMatch"
    judge(sign(secret="new"), secret=SecretKey("new"), keys=keys)


def test_a_signature_that_fails_leaves_nothing_in_the_cache(sign):
    keys = SigningKeys()
    for region in ("a", "b", "c"):
        refusal_of(sign(region=region, secret="guessed"), keys=keys)
    assert len(keys) == 0
    judge(sign(), keys=keys)
    judge(sign(), keys=keys)
    assert len(keys) == 1
