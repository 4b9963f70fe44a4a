"""Signatures without their requests."""

import hmac
from datetime import UTC, datetime

import pytest

from broker.names.secret import SecretKey
from broker.sigv4.presented import LONGEST_PRESIGNED, SKEW, is_string_signed
from broker.sigv4.signing_keys import derive_signing_key

SECRET = SecretKey("e7a7a2240136494986991a6598d9fb9f")
NOW = datetime(2015, 8, 24, 11, 20, 41, tzinfo=UTC).timestamp()
SIGNED = "20150824T112041Z"


def string(service="s3", region="eu-west-1", date="20150824", signed_at=SIGNED, digest="0" * 64, lines=()):
    own = ["AWS4-HMAC-SHA256", signed_at, f"{date}/{region}/{service}/aws4_request", digest]
    return "\n".join([*own, *lines])


def signature(text, service="s3", region="eu-west-1", date="20150824"):
    return hmac.new(derive_signing_key(SECRET, date, region, service), text.encode(), "sha256").hexdigest()


def test_a_string_that_the_owner_has_signed_is_told_from_others():
    right = signature(string())
    assert is_string_signed(SECRET, string(), right, NOW)
    assert not is_string_signed(SECRET, string(digest="1" * 64), right, NOW)
    assert not is_string_signed(SECRET, string(), right[::-1], NOW)
    assert not is_string_signed(SecretKey("another"), string(), right, NOW)
    assert not is_string_signed(SECRET, string(), "é", NOW)


@pytest.mark.parametrize(
    ("moment", "holds"),
    [(-SKEW, True), (-SKEW - 1, False), (LONGEST_PRESIGNED, True), (LONGEST_PRESIGNED + 1, False)],
)
def test_it_is_good_as_long_as_a_presigned_url_can_be(moment, holds):
    assert is_string_signed(SECRET, string(), signature(string()), NOW + moment) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        string(lines=["more"]),
        string(service="ec2"),
        string(date="20150825"),
        string(signed_at="now"),
        string(digest="x"),
        string().replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        string().replace("aws4_request", "aws5_request"),
    ],
)
def test_another_string_is_refused_even_where_its_signature_is_right(text):
    for service in ("s3", "ec2"):
        for date in ("20150824", "20150825"):
            assert not is_string_signed(SECRET, text, signature(text, service, date=date), NOW)
