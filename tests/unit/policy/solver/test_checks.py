"""The three checks, as data: what passes, what fails, and by which statement with which example."""

import json
from typing import Any

import pytest

from broker.policy import PolicyKind
from broker.policy.conditions import OPERATORS
from broker.policy.solver import (
    CheckAnswer,
    CheckedAccess,
    CustomCheck,
    UnreadableParameter,
    check_policy,
    undecided_answer,
)
from broker.policy.solver.keys import FAMILIES

A, B = "111122223333", "444455556666"
IDENTITY, RESOURCE, TRUST = PolicyKind.IDENTITY, PolicyKind.RESOURCE, PolicyKind.TRUST
HOME = "arn:aws:s3:::home/${aws:username}/*"
Statement = dict[str, Any]


def document(*statements: Statement, version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": statements})


def allow(action: Any = "s3:*", on: Any = "*", **more: Any) -> Statement:
    return {"Effect": "Allow", "Action": action, "Resource": on, **more}


def deny(action: Any = "s3:*", on: Any = "*", **more: Any) -> Statement:
    return {**allow(action, on, **more), "Effect": "Deny"}


def when(operator: str, key: str, *values: str) -> Statement:
    return allow(Condition={operator: {key: list(values)}})


def unless(operator: str, key: str, *values: str) -> Statement:
    return deny(Condition={operator: {key: list(values)}})


def to(principal: Any, **more: Any) -> Statement:
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}


def not_to(principal: Any, **more: Any) -> Statement:
    return {**to(principal, **more), "Effect": "Deny"}


def new_access(new: list[Statement], old: list[Statement], kind: PolicyKind) -> CheckAnswer:
    return check_policy(CustomCheck(CheckedAccess.NEW, kind, document(*new), document(*old)))


def public(kind: PolicyKind, *statements: Statement) -> CheckAnswer:
    return check_policy(CustomCheck(CheckedAccess.PUBLIC, kind, document(*statements)))


NO_NEW_ACCESS: list[tuple[str, list[Statement], list[Statement]]] = [
    ("an action of a pattern", [allow("s3:GetObject")], [allow("s3:Get*")]),
    ("actions compare without case", [allow("S3:getobject")], [allow("s3:GetObject")]),
    ("an object of a bucket", [allow(on="arn:aws:s3:::a/b*")], [allow(on="arn:aws:s3:::a/*")]),
    (
        "two halves make a whole",
        [allow()],
        [when("StringEquals", "aws:username", "a"), when("StringNotEquals", "aws:username", "a")],
    ),
    (
        "an action without resources on an ARN allows nothing",
        [allow("s3:ListAllMyBuckets", "arn:aws:s3:::a")],
        [allow("iam:*")],
    ),
    (
        "a deny takes away",
        [allow(), deny("s3:PutObject")],
        [allow(), deny("s3:PutObject", "arn:aws:s3:::a/*")],
    ),
    (
        "NotAction that spares more",
        [{**allow(), "NotAction": ["iam:*", "s3:*"], "Action": None}],
        [{**allow(), "NotAction": "iam:*", "Action": None}],
    ),
    (
        "a smaller network",
        [when("IpAddress", "aws:SourceIp", "10.1.0.0/16")],
        [when("IpAddress", "aws:SourceIp", "10.0.0.0/8")],
    ),
    (
        "two networks that are one",
        [when("IpAddress", "aws:SourceIp", "10.0.0.0/8")],
        [when("IpAddress", "aws:SourceIp", "10.0.0.0/9", "10.128.0.0/9")],
    ),
    (
        "an earlier end",
        [when("DateLessThan", "aws:CurrentTime", "2026-01-01T00:00:00Z")],
        [when("DateLessThan", "aws:CurrentTime", "1767225600")],
    ),
    (
        "a greater number than one that is greater",
        [when("NumericGreaterThan", "s3:max-keys", "10")],
        [when("NumericGreaterThanEquals", "s3:max-keys", "10.0")],
    ),
    ("the same variable", [allow(on=HOME)], [allow(on=HOME)]),
    ("any values of a variable are in what is wider", [allow(on=HOME)], [allow(on="arn:aws:s3:::home/*")]),
    (
        "a variable in a condition is in what is wider",
        [when("StringLike", "s3:prefix", "home/${aws:username}/*")],
        [when("StringLike", "s3:prefix", "home/*")],
    ),
    (
        "true is the text true",
        [when("StringEquals", "aws:SecureTransport", "true")],
        [when("Bool", "aws:SecureTransport", "true")],
    ),
    (
        "folding makes ss of ß",
        [when("StringEquals", "aws:username", "straße")],
        [when("StringEqualsIgnoreCase", "aws:username", "STRASSE")],
    ),
    (
        "an ARN that a part of a pattern matches",
        [when("ArnLike", "aws:SourceArn", "arn:aws:sns:*:*:t")],
        [when("StringLike", "aws:SourceArn", "arn:aws:sns:*:t")],
    ),
    (
        "all values of a smaller set",
        [when("ForAllValues:StringEquals", "aws:TagKeys", "a")],
        [when("ForAllValues:StringEquals", "aws:TagKeys", "a", "b")],
    ),
    (
        "what is there is not missing",
        [when("Null", "aws:username", "false"), when("StringEquals", "aws:username", "a")],
        [when("StringLike", "aws:username", "*")],
    ),
    (
        "a key that has one value at most",
        [when("ForAnyValue:StringEquals", "aws:username", "a")],
        [when("StringEquals", "aws:username", "a")],
    ),
    (
        "the same bytes",
        [when("BinaryEquals", "x:key", "YQ==")],
        [when("BinaryEquals", "x:key", "YQ==", "Yg==")],
    ),
]


@pytest.mark.parametrize(
    ("new", "old"), [one[1:] for one in NO_NEW_ACCESS], ids=[one[0] for one in NO_NEW_ACCESS]
)
def test_no_new_access(new: list[Statement], old: list[Statement]) -> None:
    plain = [{name: value for name, value in one.items() if value is not None} for one in new]
    existing = [{name: value for name, value in one.items() if value is not None} for one in old]
    answer = new_access(plain, existing, IDENTITY)
    assert (answer.has_passed, answer.reasons) == (True, ())


NEW_ACCESS: list[tuple[str, list[Statement], list[Statement], str]] = [
    ("a wider action", [allow("s3:*")], [allow("s3:Get*")], "s3:"),
    ("another object", [allow(on="arn:aws:s3:::a/*")], [allow(on="arn:aws:s3:::a/b*")], "on arn:aws:s3:::a/"),
    ("a deny less", [allow()], [allow(), deny("s3:DeleteBucket")], "s3:DeleteBucket on "),
    (
        "a request without the key",
        [allow(), unless("Bool", "aws:SecureTransport", "false")],
        [when("Bool", "aws:SecureTransport", "true")],
        "For example: s3:",
    ),
    (
        "an address outside",
        [when("IpAddress", "aws:SourceIp", "10.0.0.0/7")],
        [when("IpAddress", "aws:SourceIp", "10.0.0.0/8")],
        "with aws:sourceip 11.",
    ),
    (
        "a later end",
        [when("DateLessThan", "aws:CurrentTime", "2026-01-02")],
        [when("DateLessThan", "aws:CurrentTime", "2026-01-01")],
        "with aws:currenttime 2026-01-01T",
    ),
    (
        "a number that is equal",
        [when("NumericLessThanEquals", "s3:max-keys", "10")],
        [when("NumericLessThan", "s3:max-keys", "10")],
        "with s3:max-keys 10",
    ),
    (
        "a missing key of IfExists",
        [when("StringEqualsIfExists", "aws:username", "a")],
        [when("StringEquals", "aws:username", "a")],
        "For example: s3:",
    ),
    (
        "no values at all",
        [when("ForAllValues:StringEquals", "aws:TagKeys", "a")],
        [when("ForAnyValue:StringEquals", "aws:TagKeys", "a")],
        "For example: s3:",
    ),
    (
        "one of several values",
        [when("ForAnyValue:StringEquals", "aws:TagKeys", "a")],
        [when("ForAllValues:StringEquals", "aws:TagKeys", "a")],
        "with aws:tagkeys",
    ),
    (
        "several values that no single one is",
        [when("ForAnyValue:StringEquals", "aws:TagKeys", "a")],
        [when("StringEquals", "aws:TagKeys", "a")],
        "with aws:tagkeys",
    ),
    (
        "one of the values, and another one",
        [
            allow(
                Condition={
                    "ForAnyValue:StringEquals": {"aws:TagKeys": "a"},
                    "ForAnyValue:StringLike": {"aws:TagKeys": "b"},
                }
            )
        ],
        [when("ForAllValues:StringEquals", "aws:TagKeys", "a")],
        "with aws:tagkeys",
    ),
    ("another's home", [allow(on="arn:aws:s3:::home/*")], [allow(on=HOME)], "on arn:aws:s3:::home/"),
    (
        "a name of the reader's own",
        [when("StringEquals", "s3:prefix", "${aws:username}")],
        [when("StringEquals", "s3:prefix", "shared")],
        "aws:username",
    ),
    (
        "folding makes ß of ss",
        [when("StringEqualsIgnoreCase", "aws:username", "ss")],
        [when("StringEquals", "aws:username", "ss", "sS", "Ss", "SS")],
        "with aws:username",
    ),
    (
        "a colon that a part of an ARN has not",
        [when("StringLike", "aws:SourceArn", "arn:aws:sns:*:t")],
        [when("ArnLike", "aws:SourceArn", "arn:aws:sns:*:*:t")],
        "with aws:sourcearn",
    ),
    (
        "numbers that are texts",
        [when("NumericEquals", "x:number", "5")],
        [when("StringEquals", "x:number", "5")],
        "with x:number 5.0",
    ),
]


@pytest.mark.parametrize(
    ("new", "old", "words"), [one[1:] for one in NEW_ACCESS], ids=[one[0] for one in NEW_ACCESS]
)
def test_new_access_with_an_example(new: list[Statement], old: list[Statement], words: str) -> None:
    answer = new_access(new, old, IDENTITY)
    assert not answer.has_passed
    assert answer.message == "The modified permissions grant new access compared to your existing policy."
    (reason,) = answer.reasons
    assert reason.index == 0
    assert words in reason.description


USER, ROLE, SESSION = (
    f"arn:aws:iam::{A}:user/u",
    f"arn:aws:iam::{A}:role/path/r",
    f"arn:aws:sts::{A}:assumed-role/r/s",
)
PRINCIPALS: list[tuple[str, list[Statement], list[Statement], bool]] = [
    ("a user of an account", [to({"AWS": USER})], [to({"AWS": A})], True),
    ("an account of which a user was named", [to({"AWS": A})], [to({"AWS": USER})], False),
    ("the two names of an account", [to({"AWS": A})], [to({"AWS": f"arn:aws:iam::{A}:root"})], True),
    ("another account", [to({"AWS": [A, B]})], [to({"AWS": A})], False),
    ("a session of a role", [to({"AWS": SESSION})], [to({"AWS": f"arn:aws:iam::{A}:role/r"})], True),
    (
        "a role of which a session was named",
        [to({"AWS": f"arn:aws:iam::{A}:role/r"})],
        [to({"AWS": SESSION})],
        False,
    ),
    (
        "a role of the same name on another path",
        [to({"AWS": ROLE})],
        [to({"AWS": f"arn:aws:iam::{A}:role/r"})],
        False,
    ),
    ("a role that was made again", [to({"AWS": ROLE})], [to({"AWS": "AROAAAAABBBBCCCCDDDD"})], False),
    ("a service", [to({"Service": "ec2.amazonaws.com"})], [to("*")], True),
    ("everybody", [to("*")], [to({"AWS": A}), to({"Service": "ec2.amazonaws.com"})], False),
    (
        "everybody of an account",
        [to("*", Condition={"StringEquals": {"aws:PrincipalAccount": A}})],
        [to({"AWS": A})],
        True,
    ),
    (
        "an account, by its number alone",
        [to({"AWS": A})],
        [to("*", Condition={"StringEquals": {"aws:PrincipalAccount": A}})],
        True,
    ),
    ("everybody but a user", [to({"AWS": A}), not_to({"AWS": USER})], [to({"AWS": A})], True),
    (
        "a deny of everybody but an account",
        [to("*"), {"Effect": "Deny", "NotPrincipal": {"AWS": [A, f"arn:aws:iam::{A}:root"]}, "Action": "*"}],
        [to({"AWS": A})],
        True,
    ),
]


@pytest.mark.parametrize(
    ("new", "old", "passes"), [one[1:] for one in PRINCIPALS], ids=[one[0] for one in PRINCIPALS]
)
def test_new_access_of_principals(new: list[Statement], old: list[Statement], passes: bool) -> None:
    assert new_access(new, old, RESOURCE).has_passed is passes


ORGANIZATION = "o-a1b2c3d4e5"
PUBLIC: list[tuple[str, list[Statement], bool]] = [
    ("an account", [to({"AWS": A})], False),
    ("everybody", [to("*")], True),
    (
        "everybody of an organization",
        [to("*", Condition={"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}})],
        False,
    ),
    (
        "an organization, if the key is there",
        [to("*", Condition={"StringEqualsIfExists": {"aws:PrincipalOrgID": ORGANIZATION}})],
        True,
    ),
    (
        "an organization by all of no values",
        [to("*", Condition={"ForAllValues:StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}})],
        True,
    ),
    (
        "units of an organization",
        [to("*", Condition={"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{ORGANIZATION}/*"}})],
        False,
    ),
    ("a network", [to("*", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})], False),
    ("every address", [to("*", Condition={"IpAddress": {"aws:SourceIp": ["0.0.0.0/0"]}})], True),
    (
        "every address, in halves",
        [to("*", Condition={"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}})],
        True,
    ),
    (
        "every address but a network",
        [to("*", Condition={"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}})],
        True,
    ),
    ("any source", [to("*", Condition={"StringLike": {"aws:SourceVpce": "vpce-*"}})], True),
    ("TLS alone", [to("*", Condition={"Bool": {"aws:SecureTransport": "true"}})], True),
    (
        "denied unless from an endpoint",
        [to("*"), not_to("*", Condition={"StringNotEquals": {"aws:SourceVpce": "vpce-1"}})],
        False,
    ),
    (
        "denied unless from an endpoint, if there is one",
        [
            to("*"),
            not_to(
                "*",
                Condition={
                    "StringNotEqualsIfExists": {"aws:SourceVpce": "vpce-1"},
                    "Null": {"aws:SourceVpce": "false"},
                },
            ),
        ],
        True,
    ),
    (
        "denied outside of an organization, but to services",
        [
            to("*"),
            not_to(
                "*",
                Condition={
                    "StringNotEquals": {"aws:PrincipalOrgID": ORGANIZATION},
                    "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
                },
            ),
        ],
        False,
    ),
    (
        "a role, wherever it is",
        [to("*", Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/admin"}})],
        True,
    ),
    (
        "roles of an account",
        [to("*", Condition={"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{A}:role/*"}})],
        False,
    ),
    ("a service", [to({"Service": "ec2.amazonaws.com"})], False),
    ("everybody, but everybody is denied", [to("*"), not_to("*")], False),
]


@pytest.mark.parametrize(
    ("statements", "is_public"), [one[1:] for one in PUBLIC], ids=[one[0] for one in PUBLIC]
)
def test_public_access(statements: list[Statement], is_public: bool) -> None:
    assert public(TRUST, *statements).has_passed is not is_public


def granted(*statements: Statement, actions: tuple[str, ...] = (), resources: tuple[str, ...] = ()) -> bool:
    text = document(*statements)
    check = CustomCheck(CheckedAccess.GRANTED, IDENTITY, text, actions=actions, resources=resources)
    return not check_policy(check).has_passed


def test_one_of_the_actions_on_one_of_the_resources_is_enough() -> None:
    reads = allow("s3:Get*", "arn:aws:s3:::a/*")
    assert granted(reads, actions=("iam:*", "s3:*"))
    assert granted(reads, actions=("s3:*",), resources=("arn:aws:s3:::b", "arn:aws:s3:::a/b"))
    assert not granted(reads, actions=("s3:Put*",), resources=("arn:aws:s3:::a/b",))
    assert not granted(reads, resources=("arn:aws:s3:::b",))
    assert not granted(reads, deny("s3:GetObject"), actions=("s3:GetObject",))
    assert granted(reads, resources=("arn:aws:s3:::a/*",))


def test_an_action_without_resources_counts_where_it_is_named() -> None:
    spared = deny("s3:*", "arn:aws:s3:::a/*")
    assert not granted(allow("s3:*"), spared, resources=("arn:aws:s3:::a/*",))
    assert not granted(allow("s3:*"), spared, actions=("s3:*",), resources=("arn:aws:s3:::a/*",))
    assert granted(allow("s3:ListAllMyBuckets"), spared, resources=("arn:aws:s3:::a/*",))


def test_an_example_is_of_what_was_asked_about() -> None:
    check = CustomCheck(
        CheckedAccess.GRANTED,
        IDENTITY,
        document(allow("*")),
        actions=("s3:*",),
        resources=("arn:aws:s3:::b",),
    )
    (reason,) = check_policy(check).reasons
    assert "For example: s3:" in reason.description
    assert "on arn:aws:s3:::b." in reason.description


@pytest.mark.parametrize("operator", ["StringResembles", "ForAnyValue:", "NullIfExists"])
def test_an_operator_that_is_not_known_is_undecided(operator: str) -> None:
    everything = to("*", Resource="*")
    text = document(everything, not_to("*", Condition={operator: {"aws:username": "a"}}))
    answer = check_policy(CustomCheck(CheckedAccess.NEW, RESOURCE, text, document(everything)))
    assert not answer.has_passed
    assert f"the condition operator {operator} is not known" in answer.message


def test_every_operator_of_the_engine_is_modelled() -> None:
    assert FAMILIES.keys() == OPERATORS.keys()


def test_patterns_that_overlap_in_too_many_ways_are_undecided_soon() -> None:
    resources = [f"arn:aws:s3:::*{one}*{two}*" for one in "abcdefgh" for two in "ijklmnop"]
    answer = new_access([allow(on=resources[::2])], [allow(on=resources[1::2])], IDENTITY)
    assert not answer.has_passed
    assert answer.message.startswith("It could not be decided: ")
    (reason,) = answer.reasons
    assert reason.index is None


def test_what_is_undecided_never_passes() -> None:
    for what in CheckedAccess:
        answer = undecided_answer(what, "it took too long")
        assert not answer.has_passed
        assert "it took too long" in answer.reasons[0].description


def test_the_older_version_has_no_variables() -> None:
    new = document(allow(on=HOME), version="2008-10-17")
    check = CustomCheck(CheckedAccess.NEW, IDENTITY, new, document(allow(on=HOME)))
    (reason,) = check_policy(check).reasons
    assert "on arn:aws:s3:::home/${aws:username}/" in reason.description


@pytest.mark.parametrize(
    ("text", "actions", "resources", "parameter"),
    [
        ("{", ("s3:*",), (), "policyDocument"),
        (document(allow()), (), (), "access"),
        (document(allow()), ("GetObject",), (), "access"),
        (document(allow()), (), ("arn:aws:s3:*:*:a",), "access"),
    ],
)
def test_what_cannot_be_read_is_refused(
    text: str, actions: tuple[str, ...], resources: tuple[str, ...], parameter: str
) -> None:
    check = CustomCheck(CheckedAccess.GRANTED, IDENTITY, text, actions=actions, resources=resources)
    with pytest.raises(UnreadableParameter) as refused:
        check_policy(check)
    assert refused.value.parameter == parameter
