"""Documents: what is read, and what is refused, in AWS's words.

Where the words come from: the refusals of identity policies were measured against IAM's CreatePolicy and are
kept as data by the moto project (tests/test_iam/test_iam_policies.py: facts, no code) and, as of February 2026, by
LocalStack (tests/aws/services/iam/test_iam_policies.snapshot.json); those of trust policies
stand in public issue reports of Terraform and of the AWS CLI ("Has prohibited field Resource", "Unknown field",
"Invalid principal in policy").
"""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy import (
    Effect,
    MalformedPolicy,
    PolicyKind,
    Position,
    parse_policy,
    policy_size,
)
from broker.policy.elements import Condition, Principals
from tests.growth import cpu_seconds

BUCKET = "arn:aws:s3:::example_bucket"
SYNTAX = "Syntax errors in policy."
# terraform-aws-modules/terraform-aws-eks#2594, terraform-aws-iam#202
NO_PROVIDER = "Federated principals must be valid domain names or SAML metadata ARNs"
VERSION = "Policy document must be version 2012-10-17 or greater."
LEGACY = "The policy failed legacy parsing"
NO_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
WHOLE = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": BUCKET}


def document(*statements: object, version: object = "2012-10-17", **members: object) -> str:
    found: dict[str, object] = {"Version": version} if version else {}
    return json.dumps(
        {**found, **members, "Statement": statements[0] if len(statements) == 1 else list(statements)}
    )


def refusal(text: str, kind: PolicyKind = PolicyKind.IDENTITY, *, is_managed: bool = True) -> str:
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, kind, is_managed=is_managed)
    return refused.value.message


def fault(text: str, kind: PolicyKind) -> str:
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, kind)
    return refused.value.fault


def without(*names: str) -> dict[str, object]:
    return {name: value for name, value in WHOLE.items() if name not in names}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("This is not a json document", SYNTAX),
        ("{", SYNTAX),
        ("", SYNTAX),
        ("[]", SYNTAX),
        ('{"Version":"2012-10-17","Statement":NaN}', SYNTAX),
        (" " + document(WHOLE), "JSON strings must not have leading spaces"),
        (document(WHOLE) + "x", SYNTAX),
        (document(WHOLE)[:-1] + ',"Version":"2012-10-17"}', SYNTAX),
        (document(WHOLE)[:-2] + ',"Effect":"Deny"}}', SYNTAX),
        (document(WHOLE, version=None), VERSION),
        (document(WHOLE, version="2008-10-17"), VERSION),
        (document(WHOLE, version="2013-10-17"), SYNTAX),
        (document(WHOLE, version=["2012-10-17"]), SYNTAX),
        ('{"Version":"2012-10-17"}', SYNTAX),
        (document([]), SYNTAX),
        (document("afd", WHOLE), SYNTAX),
        (document(WHOLE, Extra="x"), SYNTAX),
        (document(WHOLE, Id=["x"]), SYNTAX),
        (document({**WHOLE, "Extra": "x"}), SYNTAX),
        (document({**WHOLE, "Effect": "invalid"}), SYNTAX),
        (document({**WHOLE, "Effect": ["Allow"]}), SYNTAX),
        (document({**WHOLE, "Effect": "denY"}), LEGACY),
        (document({**WHOLE, "Effect": "denY"}, version=None), VERSION),
        (document(without("Effect")), SYNTAX),
        (document(without("Action")), "Policy statement must contain actions."),
        (document({**WHOLE, "Action": []}), "Policy statement must contain actions."),
        (document({"Effect": "Allow"}), "Policy statement must contain actions."),
        (document({"Effect": "Deny"}, WHOLE), "Policy statement must contain actions."),
        (document(without("Resource")), "Policy statement must contain resources."),
        (document({**WHOLE, "Resource": []}), "Policy statement must contain resources."),
        (document({"Effect": "Allow", "Action": "invalid"}), NO_VENDOR),
        (document({"Effect": "Allow", "Action": "s3:Get:x"}), "Policy statement must contain resources."),
        (document({**WHOLE, "Action": "invalid"}), NO_VENDOR),
        (document({**without("Action"), "NotAction": ""}), NO_VENDOR),
        (document({**WHOLE, "Action": "a a:ListBucket"}), "Vendor a a is not valid"),
        (document({**WHOLE, "Action": "s3:List:Bucket"}), "Actions/Condition can contain only one colon."),
        (document({**WHOLE, "Action": {}}), SYNTAX),
        (document({**WHOLE, "Condition": {"DateEquals": {"aws:CurrentTime": "--5"}}}), LEGACY),
        (document({**WHOLE, "Condition": {"DateEquals": {"aws:CurrentTime": "-5-"}}}), LEGACY),
        (document({**WHOLE, "Action": [[]]}), SYNTAX),
        (document({**WHOLE, "Action": None}), SYNTAX),
        (document({**WHOLE, "NotAction": "iam:dsf"}), SYNTAX),
        (document({**WHOLE, "NotResource": "*"}), SYNTAX),
        (
            document({**WHOLE, "Resource": "sdfsadf", "Action": "s:3:x"}),
            'Resource sdfsadf must be in ARN format or "*".',
        ),
        (document({**WHOLE, "Resource": ""}), 'Resource  must be in ARN format or "*".'),
        (
            document({**WHOLE, "Resource": "a:bsdfdsafsad"}),
            'Partition "bsdfdsafsad" is not valid for resource "arn:bsdfdsafsad:*:*:*:*".',
        ),
        (
            document({**WHOLE, "Resource": "a:b:cad"}),
            'Partition "b" is not valid for resource "arn:b:cad:*:*:*".',
        ),
        (
            document({**WHOLE, "Resource": "aws:s3:::example_bucket"}),
            'Partition "s3" is not valid for resource "arn:s3:::example_bucket:*".',
        ),
        (
            document({**WHOLE, "Resource": "arn:error:s3:::example_bucket"}),
            'Partition "error" is not valid for resource "arn:error:s3:::example_bucket".',
        ),
        (
            document({**WHOLE, "Resource": "arn:aws"}),
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (
            document({**WHOLE, "Resource": "arn:aws:s*:::x"}),
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (document({**WHOLE, "Resource": "arn:aws:s3::example_bucket"}), LEGACY),
        (document({**WHOLE, "Resource": "arn:aws::::example_bucket"}), LEGACY),
        (document({"Effect": "Allow", "Resource": "arn:aws:s3::example_bucket"}), LEGACY),
        (
            document({**WHOLE, "Resource": "arn:aws:iam:us-east-1::example_bucket"}),
            "IAM resource arn:aws:iam:us-east-1::example_bucket cannot contain region information.",
        ),
        (
            document({**WHOLE, "Resource": "arn:aws:s3:us-east-1::example_bucket"}),
            "Resource arn:aws:s3:us-east-1::example_bucket can not contain region information.",
        ),
        (
            document({**WHOLE, "Resource": "arn:aws:iam:::example_bucket"}),
            'IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, '
            "instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, "
            "report/, access-report/.",
        ),
        (document({**WHOLE, "Sid": {}}), SYNTAX),
        (
            document({**WHOLE, "Sid": "a"}, {"Sid": "a", "Effect": "Allow"}),
            "Statement IDs (SID) in a single policy must be unique.",
        ),
        (document({**WHOLE, "Condition": []}), SYNTAX),
        (document({**WHOLE, "Condition": {"a": "b"}}), SYNTAX),
        (document({**WHOLE, "Condition": {"x": {"a": "1"}}}), SYNTAX),
        (document({**WHOLE, "Condition": {"NullIfExists": {"aws:x": "true"}}}), SYNTAX),
        (document({**WHOLE, "Condition": {"ForAnyValue::StringEquals": {"a": "1"}}}), SYNTAX),
        (document({**WHOLE, "Condition": {"DateGreaterThan": {"a": {}}}}), SYNTAX),
        (document({**WHOLE, "Condition": {"StringEquals": {"aws:x": None}}}), SYNTAX),
        (document({**WHOLE, "Condition": {"StringEquals": {"aws:x": "1", "AWS:X": "2"}}}), SYNTAX),
        (document({**WHOLE, "Condition": {"DateLessThan": {"a": "9223372036854775808"}}}), LEGACY),
        (document({**WHOLE, "Condition": {"DateLessThanEquals": {"a": "234-13"}}}), LEGACY),
        (
            document({**WHOLE, "Condition": {"DateLessThanEquals": {"a": "2016-12-13t2:00:00.593194+1"}}}),
            LEGACY,
        ),
        (document({**WHOLE, "Principal": "*"}), "Policy document should not specify a principal."),
    ],
)
def test_a_malformed_managed_policy_is_refused_in_awss_words(text: str, message: str) -> None:
    assert refusal(text) == message


# Placeholders that were left, a variable, a digit too few: CreatePolicy refuses them all.
NO_ACCOUNTS = ["ACCOUNT_ID", "<ACCOUNT_ID>", "${aws:PrincipalAccount}", "11112222333", "1111222233334", "1"]


@pytest.mark.parametrize("element", ["Resource", "NotResource"])
@pytest.mark.parametrize("account", NO_ACCOUNTS)
def test_a_new_policy_names_accounts_that_there_could_be(account: str, element: str) -> None:
    """A Deny that names none would deny nothing, and it would not be noticed."""
    deny = {"Effect": "Deny", "Action": "sqs:*", element: [BUCKET, f"arn:aws:sqs:eu-west-1:{account}:jobs"]}
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(document(deny), PolicyKind.IDENTITY, is_new=True)
    assert refused.value.message == LEGACY
    assert "names no account" in refused.value.fault


@pytest.mark.parametrize("account", NO_ACCOUNTS)
def test_a_policy_that_was_stored_with_such_an_account_is_still_read(account: str) -> None:
    """Else an update of the broker would lock out every principal of an old policy."""
    text = document({**WHOLE, "Resource": f"arn:aws:sqs:eu-west-1:{account}:jobs"})
    assert parse_policy(text, PolicyKind.IDENTITY)


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:sqs:eu-west-1:111122223333:jobs",
        "arn:aws:sqs:eu-west-1:*:jobs",
        "arn:aws:sqs:eu-west-1:1111????*:jobs",
        "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "arn:aws:imagebuilder:eu-west-1:aws-marketplace:component/*",
        BUCKET,
        "arn:aws:sqs:*",
        # From policies that AWS itself keeps: the older parser does not look at other partitions.
        "arn:*:kms:*:${aws:PrincipalAccount}:key/*",
        "arn:aws:iam::aws:role-template/telemetry.example/Template:1",
        "arn:aws:iam::*:delegation-request/*",
    ],
)
def test_a_new_policy_may_name_what_awss_own_policies_name(resource: str) -> None:
    text = document({**WHOLE, "Resource": resource})
    assert parse_policy(text, PolicyKind.IDENTITY, is_managed=True, is_new=True)


@pytest.mark.parametrize(
    "kind", [PolicyKind.IDENTITY, PolicyKind.BOUNDARY, PolicyKind.SESSION, PolicyKind.SCP]
)
@pytest.mark.parametrize("field", ["Principal", "NotPrincipal"])
def test_an_identity_side_policy_has_no_principal(kind: PolicyKind, field: str) -> None:
    text = document({**WHOLE, field: "*"})
    assert refusal(text, kind, is_managed=False) == f"Has prohibited field {field}"


@pytest.mark.parametrize(
    "statement",
    [
        {**WHOLE, "Action": "iam: asdf safdsf af "},
        {**WHOLE, "Action": "*"},
        {**WHOLE, "Action": "*:*"},
        {**WHOLE, "Resource": [BUCKET, "*"]},
        {**WHOLE, "Resource": "arn:aws:fdsasf"},
        {**WHOLE, "Resource": "arn:aws:iam::*:user/${aws:username}"},
        {**WHOLE, "Resource": "arn:aws:iam::123456789012:root"},
        {**WHOLE, "Resource": "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"},
        {**WHOLE, "Resource": "arn:*:s3:::bucket"},
        {**WHOLE, "Condition": {}},
        {**WHOLE, "Condition": {"a": {}}},
        {**WHOLE, "Condition": {"DateGreaterThan": {"a": []}}},
        {**WHOLE, "Condition": {"DateGreaterThan": {"a": "01T"}}},
        {**WHOLE, "Condition": {"DateLessThan": {"a": "-292275054"}}},
        {**WHOLE, "Condition": {"DateLessThanEquals": {"a": "2016-12-13t2:00:00.593194+23"}}},
        {**WHOLE, "Condition": {"DateLessThan": {"a": "${aws:TokenIssueTime}"}}},
        {**WHOLE, "Condition": {"ForAnyValue:StringEqualsIfExists": {"a": "x"}}},
        {"Effect": "Allow", "NotAction": "s3:ListBucket", "NotResource": "*"},
    ],
)
def test_what_iam_stores_is_read(statement: dict[str, object]) -> None:
    assert len(parse_policy(document(statement), PolicyKind.IDENTITY, is_managed=True).statements) == 1


def test_a_document_becomes_frozen_elements() -> None:
    statement = {
        **WHOLE,
        "Sid": "One",
        "Action": ["s3:Get*", "s3:List*"],
        "Condition": {"Bool": {"aws:SecureTransport": True}, "NumericLessThan": {"aws:Age": [1, 2.5]}},
    }
    policy = parse_policy(document(statement, Id="mine"), PolicyKind.IDENTITY)
    found = policy.statements[0]
    assert (policy.version, policy.id, found.sid, found.effect) == ("2012-10-17", "mine", "One", Effect.ALLOW)
    assert found.actions == ("s3:Get*", "s3:List*")
    assert found.resources == (BUCKET,)
    assert found.conditions == (
        Condition("Bool", "aws:SecureTransport", ("true",)),
        Condition("NumericLessThan", "aws:Age", ("1", "2.5")),
    )


def test_a_statement_knows_where_it_stands_as_the_simulator_counts() -> None:
    text = (
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*",'
        '"Condition":{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}'
    )
    statement = parse_policy(text, PolicyKind.IDENTITY).statements[0]
    assert (statement.span.start.line, statement.span.start.column) == (1, 38)
    assert (statement.span.end.line, statement.span.end.column) == (1, 167)


def test_positions_follow_the_lines_of_the_text() -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": [WHOLE, WHOLE]}, indent=2)
    first, second = parse_policy(text, PolicyKind.IDENTITY).statements
    assert [
        (first.span.start.line, first.span.start.column),
        (first.span.end.line, first.span.end.column),
    ] == [(3, 17), (8, 6)]
    assert [
        (second.span.start.line, second.span.start.column),
        (second.span.end.line, second.span.end.column),
    ] == [
        (8, 6),
        (13, 6),
    ]
    assert [first.span.line, second.span.line] == [4, 9]


def test_a_statement_is_found_wherever_its_element_stands() -> None:
    text = '{ "Id" : "a \\"Statement\\" : [", "Statement" :\n [ %s , %s ] , "Version" : "2012-10-17" }'
    text %= (json.dumps(WHOLE), json.dumps(WHOLE))
    places = [statement.span for statement in parse_policy(text, PolicyKind.IDENTITY).statements]
    ends = [text.index(" , {"), text.index(" ] , ")]
    line_start = text.index("\n") + 1
    assert [place.line for place in places] == [2, 2]
    assert places[0].start == Position(2, 3)
    assert [place.end for place in places] == [Position(2, end - line_start + 1) for end in ends]
    assert places[1].start == places[0].end


def test_an_inline_policy_may_be_of_the_old_version_and_a_managed_one_may_not() -> None:
    text = document(WHOLE, version="2008-10-17")
    assert parse_policy(text, PolicyKind.IDENTITY).version == "2008-10-17"
    assert refusal(text, PolicyKind.BOUNDARY) == VERSION
    assert refusal(text) == VERSION


@pytest.mark.parametrize(
    "kind", [PolicyKind.TRUST, PolicyKind.RESOURCE, PolicyKind.SESSION, PolicyKind.ENDPOINT]
)
def test_a_missing_version_means_the_old_one_where_aws_lets_it_be_missing(kind: PolicyKind) -> None:
    statement: dict[str, object] = {**WHOLE, "Principal": "*"}
    if kind is PolicyKind.TRUST:
        statement = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
    if kind is PolicyKind.SESSION:
        statement = WHOLE
    assert parse_policy(document(statement, version=None), kind).version == "2008-10-17"


TRUST = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Resource": "*"}, "Has prohibited field Resource"),
        ({"NotResource": "*"}, "Has prohibited field NotResource"),
        ({"Resources": "*"}, "Unknown field Resources"),
        ({"Action": "s3:GetObject"}, "AssumeRole policy may only specify STS AssumeRole actions."),
        ({"Action": ["sts:AssumeRole", "*"]}, "AssumeRole policy may only specify STS AssumeRole actions."),
        ({"Action": []}, "Missing required field Action"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:user/*"}},
         'Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:user/*"'),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:group/g"}},
         'Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:group/g"'),
        ({"Principal": {"AWS": "bob"}}, 'Invalid principal in policy: "AWS":"bob"'),
        ({"Principal": {"Service": "*"}}, 'Invalid principal in policy: "SERVICE":"*"'),
        ({"Principal": {"Federated": "*"}}, NO_PROVIDER),
        ({"Principal": {"Federated": "https://accounts.google.com"}}, NO_PROVIDER),
        ({"Principal": {"Nobody": "x"}}, SYNTAX),
        ({"Principal": {}}, SYNTAX),
        ({"Principal": "123456789012"}, SYNTAX),
        ({"Effect": None}, "Missing required field Effect"),
    ],
)  # fmt: skip
def test_a_malformed_trust_policy_is_refused_in_awss_words(change: dict[str, object], message: str) -> None:
    assert refusal(document({**TRUST, **change}), PolicyKind.TRUST) == message


def test_a_trust_policy_needs_a_principal_and_cannot_allow_everyone_but() -> None:
    unnamed = {name: value for name, value in TRUST.items() if name != "Principal"}
    assert refusal(document(unnamed), PolicyKind.TRUST) == "Missing required field Principal"
    everyone_but = {**unnamed, "NotPrincipal": {"AWS": "123456789012"}}
    assert refusal(document(everyone_but), PolicyKind.TRUST) == "Allow with NotPrincipal is not allowed."
    assert refusal("x", PolicyKind.TRUST) == "This policy contains invalid Json"
    assert refusal(" x", PolicyKind.TRUST) == "This policy contains invalid Json"
    assert refusal(" " + document(TRUST), PolicyKind.TRUST) == "JSON strings must not have leading spaces"


def test_a_new_trust_policy_takes_no_not_principal_and_an_old_one_is_still_read() -> None:
    """The guide, "... NotPrincipal": not "in an IAM role trust policy". IAM accepted it once with Deny."""
    listed = {"AWS": ["123456789012", "arn:aws:iam::123456789012:user/bob"]}
    unnamed = {name: value for name, value in TRUST.items() if name != "Principal"}
    text = document({**unnamed, "Effect": "Deny", "NotPrincipal": listed})
    assert parse_policy(text, PolicyKind.TRUST).statements[0].not_principals is not None
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, PolicyKind.TRUST, is_new=True)
    assert refused.value.message == "Has prohibited field NotPrincipal"
    assert "line 1: " in refused.value.fault
    assert parse_policy(document(TRUST), PolicyKind.TRUST, is_new=True)


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": "*"},
        {"AWS": ["123456789012", "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:user/a/b/bob"]},
        {"AWS": "arn:aws:sts::123456789012:assumed-role/deployer/ci@example.com"},
        {"AWS": "arn:aws:sts::123456789012:federated-user/bob"},
        {"AWS": "AROAEXAMPLE1234567890"},
        {"Service": ["ec2.amazonaws.com", "rolesanywhere.amazonaws.com"]},
        {"Federated": "arn:aws:iam::123456789012:oidc-provider/token.example.com/realm"},
        {"Federated": "accounts.google.com"},
    ],
)
def test_every_form_of_principal_is_read_in_a_trust_policy(principal: dict[str, object]) -> None:
    text = document({**TRUST, "Principal": principal})
    assert isinstance(parse_policy(text, PolicyKind.TRUST).statements[0].principals, Principals)


@pytest.mark.parametrize(
    "provider",
    [
        "arn:aws:iam::123456789012:saml-provider/Corp.ADFS_1-a",
        "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
        "arn:aws:iam::123456789012:oidc-provider/keycloak:8443/realms/corp",
        "accounts.google.com",
        "www.amazon.com",
        "graph.facebook.com",
    ],
)
def test_a_new_trust_policy_takes_every_form_of_provider(provider: str) -> None:
    text = document({**TRUST, "Principal": {"Federated": provider}})
    assert parse_policy(text, PolicyKind.TRUST, is_new=True)


@pytest.mark.parametrize(
    "provider",
    [
        "arn:aws:iam::123456789012:oidc-provider/https://token.example.com",
        "arn:aws:iam::123456789012:oidc-provider//realms/corp",
        "arn:aws:iam::123456789012:saml-provider/Corp/ADFS",
        "arn:aws-cn:iam::123456789012:saml-provider/Corp",
        "accounts..google.com",
        "-accounts.google.com",
    ],
)
def test_what_is_no_provider_is_refused_in_new_trust_policies_and_read_in_old_ones(provider: str) -> None:
    text = document({**TRUST, "Principal": {"Federated": provider}})
    assert parse_policy(text, PolicyKind.TRUST)
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, PolicyKind.TRUST, is_new=True)
    assert refused.value.message == NO_PROVIDER
    assert provider in refused.value.fault


@pytest.mark.parametrize("kind", [PolicyKind.TRUST, PolicyKind.RESOURCE])
def test_what_is_no_service_is_refused_in_new_policies_and_read_in_old_ones(kind: PolicyKind) -> None:
    """A role that trusts it is one that nothing can assume."""
    text = document({**TRUST, "Principal": {"Service": ["ec2.amazonaws.com", "esc-tasks.amazonaws.com"]}})
    assert parse_policy(text, kind)
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, kind, is_new=True)
    assert refused.value.message == 'Invalid principal in policy: "SERVICE":"esc-tasks.amazonaws.com"'
    assert refused.value.fault == "line 1: did you mean ecs-tasks.amazonaws.com?"
    assert parse_policy(text, kind, is_new=True, own_services={"esc-tasks.amazonaws.com"})


def test_a_new_resource_policy_may_speak_of_every_service() -> None:
    denied = {**TRUST, "Effect": "Deny", "Principal": {"Service": "*"}}
    assert parse_policy(document(denied), PolicyKind.RESOURCE, is_new=True)


def test_a_stored_resource_policy_is_read_leniently_but_never_past_what_it_may_mean() -> None:
    statement = {
        "Sid": "any sid: at all",
        "Effect": "Deny",
        "Principal": {"CanonicalUser": "79a59d"},
        "Action": "s3:*",
        "Condition": {"FutureOperator": {"aws:x": "1"}},
    }
    policy = parse_policy("\n" + document(statement, version=None), PolicyKind.RESOURCE)
    assert policy.statements[0].principals == Principals(canonical_user=("79a59d",))
    assert refusal(document({**statement, "Unknown": 1}), PolicyKind.RESOURCE) == SYNTAX
    assert (
        refusal(document({**statement, "Resource": []}), PolicyKind.RESOURCE)
        == "Policy statement must contain resources."
    )


def test_a_resource_control_policy_speaks_of_everyone_and_allows_nothing_of_its_own() -> None:
    full = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    assert len(parse_policy(document(full, deny), PolicyKind.RCP).statements) == 2
    for wrong in ({**full, "Action": "s3:*"}, {**deny, "Principal": {"AWS": "123456789012"}}):
        assert "does not meet the requirements" in refusal(document(wrong), PolicyKind.RCP)


@pytest.mark.parametrize("kind", PolicyKind)
@pytest.mark.parametrize("half", ["\ud800", "\udfff", "\ude00\ud83d"])
def test_half_a_character_is_refused_in_every_kind_of_policy(kind: PolicyKind, half: str) -> None:
    """No journal, no answer and no sealed message could carry it."""
    for change in ({"Resource": half}, {"Sid": half}, {"Condition": {"StringEquals": {half: "x"}}}):
        escaped = document({**WHOLE, **change})
        assert "a lone surrogate" in fault(escaped, kind)
        assert "a lone surrogate" in fault(json.dumps(json.loads(escaped), ensure_ascii=False), kind)


def test_a_whole_character_may_be_written_as_two_surrogates() -> None:
    text = document({**WHOLE, "Resource": "arn:aws:s3:::\N{GRINNING FACE}"})
    assert "\\ud83d" in text
    (statement,) = parse_policy(text, PolicyKind.IDENTITY).statements
    assert statement.resources == ("arn:aws:s3:::\N{GRINNING FACE}",)


def test_white_space_does_not_count_towards_the_size() -> None:
    assert policy_size('{ "a" :\t"b"\r\n}') == len('{"a":"b"}')


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"Statement":' * 20_000,
        '"' + '\\"' * 100_000,
        '{"a":"' + "[{" * 60_000 + '"}',
        " " * 200_000,
    ],
    ids=["brackets", "objects", "open string", "brackets in a string", "spaces"],
)
def test_hostile_documents_are_refused_quickly(text: str) -> None:
    assert cpu_seconds(lambda: refusal(text)) < 1


ELEMENTS = st.sampled_from(["Version", "Statement", "Effect", "Action", "Principal", "x"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ELEMENTS, inner, max_size=4),
    max_leaves=12,
)


GOOD_STATEMENT = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
ODD_STATEMENTS = st.dictionaries(
    st.sampled_from(["Sid", "Effect", "Action", "NotAction", "Resource", "Principal", "Condition"]),
    ANY_JSON,
    max_size=3,
).map(lambda odd: {**GOOD_STATEMENT, **odd})


@settings(max_examples=150, deadline=None)
@given(odd=ODD_STATEMENTS, kind=st.sampled_from(PolicyKind), indent=st.sampled_from([None, 1]))
def test_a_fault_names_the_line_of_its_statement(
    odd: dict[str, Any], kind: PolicyKind, indent: int | None
) -> None:
    good = {**GOOD_STATEMENT, "Sid": "First"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [good, odd]}, indent=indent)
    try:
        parse_policy(text, kind)
    except MalformedPolicy as refused:
        lines = {1} if indent is None else {4, 10}
        named = re.match(r"line (\d+): ", refused.fault)
        assert named is None or int(named[1]) in lines


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60) | ANY_JSON.map(json.dumps), kind=st.sampled_from(PolicyKind))
def test_any_text_is_a_policy_or_a_refusal(text: str, kind: PolicyKind) -> None:
    try:
        assert parse_policy(text, kind).statements
    except MalformedPolicy as refused:
        assert refused.message
