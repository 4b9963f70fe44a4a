from datetime import datetime
from unittest import mock
from urllib.parse import quote, urlencode

import msgspec
import pytest
from botocore.crt.auth import CrtSigV4AsymAuth, CrtSigV4AsymQueryAuth
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.sigv4.asymmetric import derive_private_scalar, derive_public_key
from broker.sigv4.authorization import UnverifiedRequest, find_authorization
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import verify

SECRET = SecretKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOON = datetime.fromisoformat("20260101T120000Z")
MOMENT = NOON.timestamp()


@pytest.fixture(scope="session")
def sign_asymmetrically(sign):
    """The signer of the AWS common runtime, which botocore hands SigV4A to."""

    def signed(signer=CrtSigV4AsymAuth, **arguments):
        with mock.patch("botocore.crt.auth.get_current_datetime", lambda **_: NOON.replace(tzinfo=None)):
            return sign(signer, **{"region": "*", **arguments})

    return signed


def judge(request, secret=SECRET, keys=None, **named):
    named = {"services": {"sts"}, **named}
    keys = SigningKeys() if keys is None else keys
    return verify(request, find_authorization(request), secret, MOMENT, keys, **named)


def test_the_published_key_is_derived():
    """The one known answer that every SDK's SigV4A is checked with."""
    credential = ("AKISORANDOMAASORANDOM", SecretKey("q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom"))
    scalar = derive_private_scalar(*credential)
    assert f"{scalar:064x}" == "7fd3bd010c0d9c292141c2b77bfbde1042c92e6836fff749d1269ec890fca1bd"
    numbers = derive_public_key(*credential).public_numbers()
    assert f"{numbers.x:064x}" == "15d242ceebf8d8169fd6a8b5a746c41140414c3b07579038da06af89190fffcb"
    assert f"{numbers.y:064x}" == "0515242cedd82e94799482e4c0514b505afccf2c0c98d6a553bf539f424c5ec0"


def test_a_request_signed_by_the_common_runtime_verifies(sign_asymmetrically):
    request = sign_asymmetrically(body=b"Action=GetCallerIdentity&Version=2011-06-15", token="a token")
    proven = judge(request)
    claimed = proven.authorization
    assert (claimed.access_key_id, claimed.region, claimed.region_set) == ("AKIDEXAMPLE", "", ("*",))
    assert claimed.session_token == "a token"


def test_a_presigned_url_of_the_common_runtime_verifies(sign_asymmetrically):
    url = "http://127.0.0.1:8080/?Action=GetCallerIdentity&Version=2011-06-15"
    proven = judge(sign_asymmetrically(CrtSigV4AsymQueryAuth, method="GET", url=url, expires=60))
    assert proven.authorization.presigned


def with_header(request: UnverifiedRequest, name: str, value: str) -> UnverifiedRequest:
    headers = tuple((key, value if key == name else old) for key, old in request.headers)
    return msgspec.structs.replace(request, headers=headers)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda request: msgspec.structs.replace(request, body=b"Action=Other"), {}),
        (lambda request: msgspec.structs.replace(request, query="a=1"), {}),
        (lambda request: with_header(request, "x-amz-region-set", "eu-west-1"), {}),
        (lambda request: with_header(request, "x-amz-date", "20260101T120001Z"), {}),
        (lambda request: request, {"services": {"iam"}}),
        (lambda request: request, {"secret": SecretKey("another")}),
    ],
    ids=["body", "query", "region set", "date", "service", "secret"],
)
def test_a_changed_request_is_refused(sign_asymmetrically, change, named):
    with pytest.raises(Refusal) as caught:
        judge(change(sign_asymmetrically(body=b"Action=GetCallerIdentity")), **named)
    assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("signature", ["", "zz", "00", "é", "30440220", "ab" * 72])
def test_what_is_no_signature_is_refused(sign_asymmetrically, signature):
    request = sign_asymmetrically()
    authorization = msgspec.structs.replace(find_authorization(request), signature=signature)
    with pytest.raises(Refusal) as caught:
        verify(request, authorization, SECRET, MOMENT, SigningKeys(), services={"sts"})
    assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("region_set", "accepted"),
    [("*", True), ("eu-west-1", True), ("us-east-1,eu-*", True), ("us-*", False), ("eu-west-2", False)],
)
def test_a_region_set_must_speak_of_an_accepted_region(sign_asymmetrically, region_set, accepted):
    request = sign_asymmetrically(region=region_set)
    if accepted:
        proven = judge(request, regions={"eu-west-1"})
        assert proven.authorization.region_set == tuple(region_set.split(","))
        return
    with pytest.raises(Refusal) as caught:
        judge(request, regions={"eu-west-1"})
    assert caught.value.message == f"Credential should be scoped to a valid region, not '{region_set}'. "


def test_a_missing_region_set_is_named(sign_asymmetrically):
    request = sign_asymmetrically()
    without = tuple(header for header in request.headers if header[0] != "x-amz-region-set")
    with pytest.raises(Refusal) as caught:
        find_authorization(msgspec.structs.replace(request, headers=without))
    assert caught.value.code == "IncompleteSignature"
    assert "'X-Amz-Region-Set'" in caught.value.message


def test_a_region_in_the_credential_is_refused(sign_asymmetrically):
    request = sign_asymmetrically()
    header = dict(request.headers)["authorization"]
    with pytest.raises(Refusal) as caught:
        find_authorization(with_header(request, "authorization", header.replace("/sts/", "/eu-west-1/sts/")))
    assert caught.value.message.startswith("Credential must have exactly 4 slash-delimited elements")


def test_a_derived_public_key_is_kept_only_when_it_has_verified(sign_asymmetrically):
    keys, request = SigningKeys(), sign_asymmetrically()
    with pytest.raises(Refusal):
        judge(request, secret=SecretKey("another"), keys=keys)
    assert len(keys) == 0
    judge(request, keys=keys)
    judge(request, keys=keys)
    assert len(keys) == 1


def test_a_symmetric_signature_cannot_pass_for_an_asymmetric_one(sign):
    request = sign(headers=[("X-Amz-Region-Set", "*")])
    header = dict(request.headers)["authorization"]
    disguised = header.replace("HMAC-SHA256", "ECDSA-P256-SHA256").replace("/eu-west-1/", "/")
    with pytest.raises(Refusal) as caught:
        judge(with_header(request, "authorization", disguised))
    assert caught.value.code == "SignatureDoesNotMatch"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("aZ09~ /+%é", min_size=1, max_size=6), st.text("aZ09~ &=+é🔑", max_size=6)),
        max_size=4,
    ),
    st.binary(max_size=40),
)
def test_hostile_queries_and_bodies_verify(sign_asymmetrically, parameters, body):
    url = f"http://127.0.0.1:8080/?{urlencode(parameters, quote_via=quote)}"
    assert judge(sign_asymmetrically(url=url, body=body)).request.body == body
