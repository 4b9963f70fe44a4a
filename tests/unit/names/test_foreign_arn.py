"""Which ARNs can be owned, and what covers what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.names.foreign_arn import MOST_LEVELS, covering_arns, parse_foreign_arn

QUEUE = "arn:aws:sqs:eu-west-1:111122223333:orders"
API = "arn:aws:execute-api:eu-west-1:111122223333:shop"


@pytest.mark.parametrize(
    "arn", ["arn:aws:s3:::photos", QUEUE, API, f"{API}/prod/GET", "arn:aws:photos:::all"]
)
def test_buckets_and_resources_of_an_account_can_be_owned(arn):
    assert str(parse_foreign_arn(arn)) == arn


@pytest.mark.parametrize(
    "arn",
    [
        "photos",
        "arn:aws:s3:::",
        "arn:aws:s3:::photos/2026",
        "arn:aws:s3:::photos*",
        "arn:aws:s3:::Photos",
        "arn:aws:s3:::pho..tos",
        "arn:aws:s3:eu-west-1::photos",
        "arn:aws:s3:::ph",
        "arn:aws-cn:s3:::photos",
        "arn:aws:S3:::photos",
        "arn:aws:sqs:eu-west-1:1111:orders",
        "arn:aws:sqs:eu-west-1:aws:orders",
        "arn:aws:sqs:*:111122223333:orders",
        f"{QUEUE}?",
        f"{QUEUE} ",
        f"{QUEUE}\n",
        f"{QUEUE}${{aws:username}}",
        f"{QUEUE}é",
        f"{API}{'/a' * (MOST_LEVELS + 1)}",
        f"{API}/{'a' * 200}",
        "arn:aws:iam::111122223333:user/alice",
        "arn:aws:sts::111122223333:assumed-role/a/b",
        "arn:aws:broker::111122223333:anything",
    ],
)
def test_what_is_no_single_foreign_resource_cannot_be_owned(arn):
    with pytest.raises(ValueError):
        parse_foreign_arn(arn)


def test_an_object_is_covered_by_its_bucket_alone():
    assert covering_arns("arn:aws:s3:::photos/2026/a.jpg") == ("arn:aws:s3:::photos",)
    assert covering_arns("arn:aws:s3:::photos") == ("arn:aws:s3:::photos",)


def test_a_resource_of_an_account_is_covered_by_those_above_it_and_by_itself():
    assert covering_arns(f"{API}/prod/GET") == (API, f"{API}/prod", f"{API}/prod/GET")
    assert covering_arns("no ARN") == ()


@given(st.text(alphabet="ab/", min_size=1, max_size=60))
def test_what_covers_a_resource_is_a_beginning_of_it_at_a_slash(resource):
    arn = f"arn:aws:execute-api::111122223333:{resource}"
    found = covering_arns(arn)
    assert len(found) <= MOST_LEVELS + 1
    for one in found:
        assert arn == one or arn.startswith(f"{one}/")
