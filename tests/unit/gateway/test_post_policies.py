"""What a POST policy lets a form say."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.gateway.post_policies import read_post_policy, require_current, require_fields, require_length

BUCKET = {"bucket": "photos"}


def policy(*conditions, expiration="2030-01-01T00:00:00.000Z"):
    return read_post_policy(encoded({"expiration": expiration, "conditions": [BUCKET, *conditions]}))


def encoded(document):
    return b64encode(json.dumps(document).encode()).decode()


def refused(call, *arguments):
    with pytest.raises(Refusal) as refusal:
        call(*arguments)
    return refusal.value.code, refusal.value.message


@pytest.mark.parametrize(
    ("condition", "fields", "holds"),
    [
        ({"key": "a"}, {"key": "a"}, True),
        ({"key": "a"}, {"key": "A"}, False),
        (["eq", "$Key", "a"], {"key": "a"}, True),
        (["EQ", "$key", "a"], {"key": "ab"}, False),
        (["starts-with", "$key", "user/"], {"key": "user/x"}, True),
        (["starts-with", "$key", "user/"], {"key": "use"}, False),
        (["starts-with", "$key", ""], {"key": "anything"}, True),
        (["starts-with", "$key", ""], {}, False),
        (["starts-with", "$Content-Type", "image/"], {"content-type": "image/png,image/gif"}, True),
        (["starts-with", "$Content-Type", "image/"], {"content-type": "image/png,text/html"}, False),
        (["eq", "$content-type", "image/png"], {"content-type": "image/png,image/png"}, False),
    ],
)
def test_a_condition_holds_for_what_it_says(condition, fields, holds):
    read = policy(condition)
    if holds:
        require_fields(read, fields, "photos")
    else:
        code, message = refused(require_fields, read, fields, "photos")
        assert (code, "Policy Condition failed" in message) == ("AccessDenied", True)


def test_a_field_without_a_condition_is_refused():
    for field in ("acl", "success_action_redirect", "x-amz-meta-a", "x-amz-credential", "submit", "x-ignore"):
        _, message = refused(require_fields, policy({"key": "a"}), {"key": "a", field: "1"}, "photos")
        assert message == f"Invalid according to Policy: Extra input fields: {field}"
    uncovered = {"x-amz-signature": "1", "policy": "1", "x-ignore-a": "1"}
    require_fields(policy({"key": "a"}), {"key": "a", **uncovered}, "photos")


def test_the_policy_of_another_bucket_or_of_none_is_refused():
    assert refused(require_fields, policy(), {}, "other")[0] == "AccessDenied"
    nowhere = read_post_policy(encoded({"expiration": "2030-01-01T00:00:00Z", "conditions": [{"key": "a"}]}))
    assert "Extra input fields: bucket" in refused(require_fields, nowhere, {"key": "a"}, "photos")[1]
    assert refused(require_fields, policy(), {"bucket": "other"}, "photos")[0] == "AccessDenied"


def test_an_expired_policy_is_refused():
    read = policy(expiration="1970-01-01T00:01:00Z")
    require_current(read, 60)
    assert refused(require_current, read, 61)[1] == "Invalid according to Policy: Policy expired."


def test_every_range_of_lengths_counts():
    read = policy(["content-length-range", 2, "10"], ["content-length-range", 0, 5])
    for length in (2, 5):
        require_length(read, length)
    assert refused(require_length, read, 1)[0] == "EntityTooSmall"
    assert refused(require_length, read, 6)[0] == "EntityTooLarge"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"expiration": "2030-01-01T00:00:00Z"},
        {"conditions": []},
        {"expiration": "2030-01-01T00:00:00", "conditions": []},
        {"expiration": "soon", "conditions": []},
        {"expiration": 5, "conditions": []},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": {}, "more": 1},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": 5},
        *(
            {"expiration": "2030-01-01T00:00:00Z", "conditions": [one]}
            for one in (
                5, "key", [], {}, ["eq", "key", "a"], ["eq", "$key"], ["eq", "$key", 5], {"key": 5},
                ["in", "$key", "a"], ["content-length-range", 1], ["content-length-range", -1, 5],
                ["content-length-range", "a", 5],
                ["content-length-range", True, 5], ["content-length-range", 1, 1e3],
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused(document):
    assert refused(read_post_policy, encoded(document))[0] == "InvalidPolicyDocument"


@pytest.mark.parametrize(
    "text", ["e30", "e30=\n", "", "e", b64encode(b"\xff").decode(), b64encode(b"[1]").decode()]
)
def test_what_is_no_base64_of_json_is_refused(text):
    assert refused(read_post_policy, text)[0] == "InvalidPolicyDocument"


@given(
    st.dictionaries(
        st.sampled_from(["key", "acl", "tagging", "x-amz-meta-a", "success_action_status"]), st.text()
    )
)
def test_a_policy_of_exactly_the_fields_allows_them_and_no_other_value(fields):
    read = policy(*({name: value} for name, value in fields.items()))
    require_fields(read, fields, "photos")
    for name, value in fields.items():
        refused(require_fields, read, {**fields, name: f"{value}x"}, "photos")
