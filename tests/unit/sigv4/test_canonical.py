import json
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.names.secret import SecretKey
from broker.sigv4.authorization import UnverifiedRequest, find_authorization
from broker.sigv4.canonical import canonical_request, string_to_sign
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import verify

SITUATIONS = json.loads((Path(__file__).parents[2] / "cases/sigv4/situations.json").read_text())["situations"]
SUITE = """
get-header-key-duplicate get-header-value-order get-header-value-trim get-unreserved get-utf8 get-vanilla
get-vanilla-empty-query-key get-vanilla-query get-vanilla-query-order-encoded get-vanilla-query-order-key
get-vanilla-query-order-key-case get-vanilla-query-order-value get-vanilla-query-unreserved get-vanilla-utf8-query
get-vanilla-with-session-token normalize-path/get-relative normalize-path/get-relative-relative
normalize-path/get-slash normalize-path/get-slash-dot-slash normalize-path/get-slash-pointless-dot
normalize-path/get-slashes normalize-path/get-space post-header-key-case post-header-key-sort post-header-value-case
post-sts-token/post-sts-header-before post-vanilla post-vanilla-empty-query-value post-vanilla-query
post-vanilla-query-nonunreserved post-x-www-form-urlencoded post-x-www-form-urlencoded-parameters
"""
SECRET = SecretKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


def signed_by_botocore(case, sign):
    """botocore gets the decoded parameters, the wire carries the raw query."""
    request = sign(
        method=case["method"],
        url=f"http://127.0.0.1:8080{case['path']}",
        params=parse_qsl(case["query"], keep_blank_values=True),
        headers=[tuple(header) for header in case.get("headers", ())],
        body=case.get("body", "").encode(),
        token=case.get("token"),
    )
    return msgspec.structs.replace(request, query=case["query"])


def canonical_form(authorization, payload_hash="HASH", *, normalise_path=True):
    return canonical_request(authorization, payload_hash, normalise_path)


@pytest.mark.parametrize("case", SITUATIONS, ids=[case["sentence"] for case in SITUATIONS])
def test_a_published_situation_is_canonicalised_and_verifies(case, sign, noon):
    request = signed_by_botocore(case, sign)
    authorization = find_authorization(request)
    lines = canonical_form(authorization).split("\n")
    assert lines[:3] == [case["method"], case["canonical_path"], case["canonical_query"]]
    for header in case.get("canonical_headers", "").split("\n"):
        assert header == "" or header in lines[3:]
    proven = verify(request, authorization, SECRET, noon, SigningKeys(), services={"sts"})
    assert proven.authorization.access_key_id == "AKIDEXAMPLE"


def test_every_case_of_the_published_suite_is_among_the_situations():
    """But for the three that `situations.json` says other files test."""
    named = [name for case in SITUATIONS for name in case.get("suite", ())]
    assert sorted(named) == sorted(SUITE.split())


def test_the_documented_example_has_its_documented_signature():
    """IAM User Guide's example of a signed ListUsers: every intermediate value is published."""
    request = UnverifiedRequest(
        "GET",
        "/",
        "Action=ListUsers&Version=2010-05-08",
        (
            ("host", "iam.amazonaws.com"),
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("x-amz-date", "20150830T123600Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
                "SignedHeaders=content-type;host;x-amz-date, "
                "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ),
        b"",
    )
    authorization = find_authorization(request)
    canonical = canonical_form(authorization, sha256(b"").hexdigest())
    assert (
        sha256(canonical.encode()).hexdigest()
        == "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
    )
    assert string_to_sign(authorization, canonical).startswith(
        "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1"
    )
    verify(request, authorization, SECRET, 1440938160, SigningKeys(), services={"iam"})


def authorization_over(request, *signed_headers):
    """As if `request` had come with an Authorization header over these names."""
    credential = "AKIDEXAMPLE/20260101/eu-west-1/sts/aws4_request"
    header = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(signed_headers)}, Signature=0"
    )
    added = (("authorization", header), ("x-amz-date", "20260101T120000Z"))
    authorization = find_authorization(UnverifiedRequest("GET", "/", "", added, b""))
    return msgspec.structs.replace(authorization, request=request, headers=dict(request.headers))


def canonical_of(*, path="/", query="", headers=(), presigned=False, normalise_path=True):
    request = UnverifiedRequest("GET", path, query, (("host", "x"), *headers), b"")
    authorization = authorization_over(request, *(name for name, _ in request.headers))
    authorization = msgspec.structs.replace(authorization, presigned=presigned)
    return canonical_form(authorization, normalise_path=normalise_path)


def test_an_object_path_keeps_its_dots_and_slashes_and_is_encoded_once():
    canonical = canonical_of(path="/bucket//a/../b%20c/%C3%A9@", normalise_path=False)
    assert canonical.split("\n")[1] == "/bucket//a/../b%20c/%C3%A9%40"


def test_bytes_that_are_not_utf8_stay_the_bytes_they_are():
    assert canonical_of(query="a=%FF%fe").split("\n")[2] == "a=%FF%FE"
    assert canonical_of(query="a=\udcff").split("\n")[2] == "a=%FF"
    assert canonical_of(path="/\udcff").split("\n")[1] == "/%FF"


def test_only_a_presigned_query_leaves_its_signature_out():
    assert canonical_of(query="X-Amz-Signature=1&a=2").split("\n")[2] == "X-Amz-Signature=1&a=2"
    assert canonical_of(query="X-Amz-Signature=1&a=2", presigned=True).split("\n")[2] == "a=2"


def test_a_signed_header_that_did_not_arrive_has_no_line():
    request = UnverifiedRequest("GET", "/", "", (("host", "x"),), b"")
    canonical = canonical_form(authorization_over(request, "host", "lost"))
    assert canonical == "GET\n/\n\nhost:x\n\nhost;lost\nHASH"


@given(st.text(st.characters(exclude_categories=("Cs",))), st.text(st.characters(exclude_categories=("Cs",))))
def test_different_header_values_are_never_one_canonical_form_but_for_white_space(one, other):
    same = canonical_of(headers=(("a", one),)) == canonical_of(headers=(("a", other),))
    assert same == (one.split() == other.split())


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_canonical_request_has_one_line_for_each_field(path, value):
    clean = [text.encode("utf-8", "ignore").decode() for text in (path, value)]
    canonical = canonical_of(path="/" + clean[0], query=clean[1], headers=(("a", clean[1]),))
    # method, path, query, two headers, an empty line, the signed headers, the hash
    assert len(canonical.split("\n")) == 8
