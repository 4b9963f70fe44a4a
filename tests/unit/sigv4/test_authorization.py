from base64 import b64encode
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal, status_and_fault
from broker.sigv4.authorization import UnverifiedRequest, find_authorization

CREDENTIAL = "AKIDEXAMPLE/20260101/eu-west-1/sts/aws4_request"
HEADER = f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature=abc"
DATE = ("x-amz-date", "20260101T120000Z")


def read_header(header, *others):
    return find_authorization(UnverifiedRequest("POST", "/", "", (("authorization", header), *others), b""))


def read_query(**changes):
    parameters = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": CREDENTIAL.replace("/", "%2F"),
        "X-Amz-Date": "20260101T120000Z",
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": "abc",
    } | {f"X-Amz-{name}": value for name, value in changes.items()}
    query = "&".join(f"{name}={value}" for name, value in parameters.items() if value is not None)
    return find_authorization(UnverifiedRequest("GET", "/", query, (("host", "x"),), b""))


def refusal_of(read, *arguments, **named):
    with pytest.raises(Refusal) as caught:
        read(*arguments, **named)
    return caught.value


def test_a_complete_header_is_read():
    authorization = read_header(HEADER, DATE, ("x-amz-security-token", "token"))
    assert msgspec.to_builtins(authorization.signer) == {
        "access_key_id": "AKIDEXAMPLE",
        "scope": {
            "algorithm": "AWS4-HMAC-SHA256",
            "date": "20260101",
            "region": "eu-west-1",
            "service": "sts",
        },
        "headers": {"names": ("host", "x-amz-date")},
        "key_name": ("AKIDEXAMPLE", "20260101", "eu-west-1", "sts"),
    }
    assert msgspec.structs.asdict(authorization) == {
        "request": authorization.request,
        "headers": dict(authorization.request.headers),
        "signer": authorization.signer,
        "signature": "abc",
        "timestamp": 1767268800,
        "signed_at": "20260101T120000Z",
        "session_token": "token",
        "region_set": (),
        "presigned": False,
        "expires": None,
    }


def test_a_header_that_comes_again_is_read_again_but_for_what_never_changes():
    first, second = read_header(HEADER, DATE), read_header(HEADER.replace("=abc", "=def0"), DATE)
    assert (first.signature, second.signature) == ("abc", "def0")
    assert first.signer == second.signer
    other = read_header(HEADER.replace("eu-west-1", "eu-west-2"), DATE)
    assert (first.region, other.region) == ("eu-west-1", "eu-west-2")


@given(st.text(alphabet="aS,= ;/", max_size=12), st.text(alphabet="aS,= ;/-", max_size=12))
def test_a_short_reading_of_a_header_is_the_long_one(before, signature):
    """The part before a signature is cached, which must not change how a header is read."""
    header = f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host{before}Signature={signature}"
    padding = "," * 512  # too long to be remembered
    assert outcome_of(header) == outcome_of(header.replace("SignedHeaders", padding + "SignedHeaders"))


def test_the_signature_is_the_part_of_that_name():
    assert read_header(f"{HEADER}, XSignature=def", DATE).signature == "abc"


def outcome_of(header):
    try:
        authorization = read_header(header, DATE)
        return authorization.signer, authorization.signature
    except Refusal as refusal:
        return refusal.code, refusal.reason or refusal.message  # a message tells the hash of the whole header


def test_a_complete_presigned_query_is_read():
    authorization = read_query(**{"Security-Token": "a%2Fb"})
    assert authorization.presigned
    assert authorization.access_key_id == "AKIDEXAMPLE"
    assert authorization.expires == 60
    assert authorization.session_token == "a/b"
    assert authorization.signer.headers.names == ("host",)


def test_an_unsigned_request_has_no_authorization():
    assert find_authorization(UnverifiedRequest("POST", "/", "Action=X", (("host", "x"),), b"")) is None


def test_an_unsigned_request_may_repeat_its_date():
    assert find_authorization(UnverifiedRequest("POST", "/", "", (DATE, DATE), b"")) is None


@pytest.mark.parametrize("header", [HEADER.replace(", ", ","), HEADER.replace(", ", "  ,  "), f" {HEADER} "])
def test_commas_need_no_spaces(header):
    assert read_header(header, DATE).signature == "abc"


def test_signed_headers_are_read_in_their_canonical_form():
    header = HEADER.replace("host;x-amz-date", "X-Amz-Date;Host;host")
    assert read_header(header, DATE).signer.headers.names == ("host", "x-amz-date")


def test_x_amz_date_goes_before_date():
    authorization = read_header(HEADER, ("date", "Sun, 06 Nov 1994 08:49:37 GMT"), DATE)
    assert authorization.signed_at == "20260101T120000Z"


def test_the_date_header_serves_alone():
    authorization = read_header(HEADER, ("date", "Sun, 06 Nov 1994 08:49:37 GMT"))
    assert authorization.signed_at == "19941106T084937Z"


def hashed(header):
    """As AWS shows an Authorization header that it cannot read."""
    return b64encode(sha256(header.encode("utf-8", "surrogateescape")).digest()).decode()


def test_every_missing_part_of_a_header_is_named():
    refusal = refusal_of(read_header, "AWS4-HMAC-SHA256")
    assert refusal.code == "IncompleteSignature"
    assert status_and_fault(refusal) == (400, "Sender")
    assert refusal.message == (
        "Authorization header requires 'Credential' parameter. "
        "Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        f"(Hashed with SHA-256 and encoded with Base64) Authorization={hashed('AWS4-HMAC-SHA256')}"
    )


@pytest.mark.parametrize(
    "length", range(len("AWS4-HMAC-SHA256"), HEADER.index("Signature=") + len("Signature="))
)
def test_a_truncated_header_is_refused(length):
    assert refusal_of(read_header, HEADER[:length], DATE).code == "IncompleteSignature"


def test_a_part_without_an_equals_sign_is_refused():
    header = "AWS4-HMAC-SHA256 Credential= AKID/x"
    refusal = refusal_of(read_header, header, DATE)
    assert refusal.code == "IncompleteSignature"
    assert refusal.message == (
        "Invalid key=value pair (missing equal-sign) in Authorization header "
        f"(hashed with SHA-256 and encoded with Base64): '{hashed(header)}'."
    )


@pytest.mark.parametrize(
    "header",
    ["Basic dXNlcg==", "Basic dXNlcg", "Bearer eyJhbGciOi.e30.x", "Bearer \udcff", "AWS AKID:signature", ""],
)
def test_any_other_scheme_is_refused_without_quoting_it(header):
    refusal = refusal_of(read_header, header, DATE)
    assert refusal.code == "IncompleteSignature"
    assert hashed(header) in refusal.message
    secret = header.partition(" ")[2]
    assert not secret or secret not in refusal.message + refusal.reason


def test_an_unknown_algorithm_is_refused():
    refusal = refusal_of(read_header, HEADER.replace("SHA256", "SHA1"), DATE)
    assert (refusal.code, refusal.message) == (
        "IncompleteSignature",
        "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'.",
    )


@pytest.mark.parametrize(
    "credential", ["AKID", "AKID/20260101/eu-west-1/sts", f"{CREDENTIAL}/", "/".join("abcdef")]
)
def test_a_credential_has_five_elements(credential):
    refusal = refusal_of(read_header, HEADER.replace(CREDENTIAL, credential), DATE)
    assert (refusal.code, refusal.message) == (
        "IncompleteSignature",
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
        f"got '{credential}'",
    )


def test_a_wrong_terminator_is_refused():
    refusal = refusal_of(read_header, HEADER.replace("aws4_request", "aws5_request"), DATE)
    assert (refusal.code, refusal.message) == (
        "SignatureDoesNotMatch",
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. ",
    )


def test_a_malformed_date_is_shown():
    refusal = refusal_of(read_header, HEADER, ("x-amz-date", "201"))
    assert (refusal.code, refusal.message) == (
        "IncompleteSignature",
        "Date must be in ISO-8601 'basic format'. Got '201'. See http://en.wikipedia.org/wiki/ISO_8601",
    )


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", HEADER),
        DATE,
        ("host", "evil"),
        ("x-amz-security-token", "t"),
        ("x-amz-content-sha256", ""),
    ],
)
def test_a_repeated_header_that_matters_is_refused(header):
    refusal = refusal_of(read_header, HEADER, DATE, ("host", "x"), header, header)
    assert refusal.code == "IncompleteSignature"
    assert header[0] in refusal.message


@pytest.mark.parametrize("field", ["Credential=a/b/c/d/e", "SignedHeaders=host", "Signature=def"])
def test_a_repeated_field_is_refused(field):
    assert refusal_of(read_header, f"{HEADER}, {field}", DATE).code == "IncompleteSignature"


def test_header_and_query_together_are_refused():
    request = UnverifiedRequest(
        "GET", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256", (("authorization", HEADER), DATE), b""
    )
    assert refusal_of(find_authorization, request).message == (
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )


def test_every_missing_query_parameter_is_named():
    refusal = refusal_of(read_query, Credential=None, Signature="", SignedHeaders=None, Date=None)
    assert (refusal.code, refusal.message) == (
        "IncompleteSignature",
        "AWS query-string parameters must include 'X-Amz-Credential'. "
        "AWS query-string parameters must include 'X-Amz-Signature'. "
        "AWS query-string parameters must include 'X-Amz-SignedHeaders'. "
        "AWS query-string parameters must include 'X-Amz-Date'. "
        "Re-examine the query-string parameters.",
    )


@pytest.mark.parametrize("remaining", ["Algorithm", "Credential", "Signature"])
def test_a_scrap_of_a_presigned_query_is_incomplete_rather_than_unsigned(remaining):
    everything = ("Algorithm", "Credential", "Signature", "Date", "Expires", "SignedHeaders")
    refusal = refusal_of(read_query, **{name: None for name in everything if name != remaining})
    assert refusal.code == "IncompleteSignature"


def test_a_repeated_query_parameter_is_refused():
    assert refusal_of(read_query, Signature="abc&X-Amz-Signature=def").code == "IncompleteSignature"
    assert refusal_of(read_query, Signature="abc&X%2DAmz-Signature=def").code == "IncompleteSignature"


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "1e3", "", "٣", "60 ", "9" * 5000])
def test_an_expiry_outside_seven_days_is_refused(expires):
    refusal = refusal_of(read_query, Expires=expires)
    assert refusal.code == "IncompleteSignature"
    assert refusal.message.startswith("X-Amz-Expires ")


def test_an_expiry_may_be_absent_or_seven_days():
    assert read_query(Expires=None).expires is None
    assert read_query(Expires="604800").expires == 604800


@pytest.mark.parametrize("names", ["host%0Afoo", "host%20foo", "h%C3%B6st", "host%0D"])
def test_signed_headers_cannot_bring_lines_of_their_own(names):
    assert refusal_of(read_query, SignedHeaders=names).code == "IncompleteSignature"


def test_bytes_that_are_not_utf8_are_shown_without_breaking_the_answer():
    refusal = refusal_of(read_header, HEADER, ("x-amz-date", "\udcff"))
    assert refusal.message.encode() == (
        b"Date must be in ISO-8601 'basic format'. Got '\\udcff'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def test_control_characters_are_shown_without_breaking_the_answer():
    refusal = refusal_of(read_query, Credential="a%00%1B%0Ab")
    assert refusal.message.endswith("got 'a\\x00\\x1b\nb'")


@given(st.text(), st.text(), st.text())
def test_whatever_arrives_is_read_or_refused(header, query, date):
    headers = (("authorization", header), ("x-amz-date", date))
    for candidate in ((), headers):
        request = UnverifiedRequest("GET", "/", f"X-Amz-Algorithm={query}", candidate, b"")
        with pytest.raises(Refusal):
            find_authorization(request)
