"""Constraints, in AWS's sentences (those of STS and IAM below were measured on AWS)."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.protocol.constraints import (
    ECHO_LIMIT,
    VIOLATION_LIMIT,
    Violations,
    acceptance,
    compile_pattern,
    echo,
    string_check,
)
from broker.protocol.model import ServiceModel, load_service
from broker.protocol.request import read_request

STS, IAM = load_service("sts"), load_service("iam")
ARN = "arn:aws:iam::123456789012:role/demo"
ARN_PATTERN = r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+"


def refusal_of(service: ServiceModel, operation: str, parameters: dict[str, str]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_request(service, operation, parameters)
    assert caught.value.code == "ValidationError"
    return caught.value


def assume_role(**parameters: str) -> str:
    sent = {"RoleArn": ARN, "RoleSessionName": "session"} | parameters
    return refusal_of(STS, "AssumeRole", sent).message


def broken(value: str, where: str, constraint: str) -> str:
    return f"Value '{value}' at '{where}' failed to satisfy constraint: {constraint}"


AT_LEAST = "Member must have length greater than or equal to {}"
AT_MOST = "Member must have length less than or equal to {}"
NOT_BELOW = "Member must have value greater than or equal to {}"
NOT_ABOVE = "Member must have value less than or equal to {}"
PATTERN = "Member must satisfy regular expression pattern: {}"
NAME_PATTERN = PATTERN.format(r"[\w+=,.@-]*")


@pytest.mark.parametrize(
    ("name", "value", "constraint"),
    [
        ("RoleSessionName", "", AT_LEAST.format(2)),
        ("RoleSessionName", "a" * 65, AT_MOST.format(64)),
        ("RoleSessionName", "bad/name", NAME_PATTERN),
        ("RoleSessionName", "ünï", NAME_PATTERN),
        ("RoleSessionName", "name\n", NAME_PATTERN),
        ("RoleArn", "not-an-arn", AT_LEAST.format(20)),
        ("RoleArn", "é" * 2049, AT_MOST.format(2048)),
        ("RoleArn", "😀" * 2048, PATTERN.format(ARN_PATTERN)),
        ("DurationSeconds", "899", NOT_BELOW.format(900)),
        ("DurationSeconds", "-1", NOT_BELOW.format(900)),
        ("DurationSeconds", "43201", NOT_ABOVE.format(43200)),
        ("TokenCode", "1234٥٦", PATTERN.format(r"[\d]*")),
    ],
)
def test_one_broken_constraint_is_one_sentence(name: str, value: str, constraint: str) -> None:
    where = name[0].lower() + name[1:]
    assert assume_role(**{name: value}) == f"1 validation error detected: {broken(value, where, constraint)}"


def test_a_value_may_break_two_constraints_and_the_pattern_comes_first() -> None:
    assert assume_role(RoleArn="") == (
        "2 validation errors detected: "
        + broken("", "roleArn", f"Member must satisfy regular expression pattern: {ARN_PATTERN}")
        + "; "
        + broken("", "roleArn", "Member must have length greater than or equal to 20")
    )


def test_required_members_that_are_missing_are_null() -> None:
    assert refusal_of(STS, "AssumeRole", {}).message == (
        "2 validation errors detected: "
        "Value null at 'roleArn' failed to satisfy constraint: Member must not be null; "
        "Value null at 'roleSessionName' failed to satisfy constraint: Member must not be null"
    )


def test_the_bounds_themselves_are_allowed() -> None:
    for seconds, text in ((900, "900"), (43200, "43200"), (900, "+900"), (900, "0900")):
        request = read_request(
            STS, "AssumeRole", {"RoleArn": ARN, "RoleSessionName": "aa", "DurationSeconds": text}
        )
        assert request.duration_seconds == seconds
    assert read_request(STS, "AssumeRole", {"RoleArn": "é" * 2048, "RoleSessionName": "a" * 64})


@pytest.mark.parametrize("operation", ["AssumeRole", "GetFederationToken"])
def test_a_session_policy_has_at_most_2048_characters(operation: str) -> None:
    sent = {"RoleArn": ARN, "RoleSessionName": "session", "Name": "session"}
    for text in ("x" * 2048, "é" * 2048):
        assert read_request(STS, operation, sent | {"Policy": text}).policy == text
    for text in ("x" * 2049, "é" * 2049):
        assert refusal_of(STS, operation, sent | {"Policy": text}).message == (
            f"1 validation error detected: {broken(text, 'policy', AT_MOST.format(2048))}"
        )


@pytest.mark.parametrize("operation", ["AssumeRole", "GetFederationToken"])
def test_a_session_has_at_most_ten_managed_policies_and_other_violations_are_reported_too(
    operation: str,
) -> None:
    arns = {f"PolicyArns.member.{number}.arn": ARN for number in range(1, 12)}
    sent = {"RoleArn": ARN, "RoleSessionName": "session", "Name": "session"}
    ten = {name: arn for name, arn in arns.items() if "11" not in name}
    assert len(read_request(STS, operation, sent | ten).policy_arns) == 10
    wrong = sent | arns | {"RoleSessionName": "a", "Name": "a", "DurationSeconds": "1"}
    name = "roleSessionName" if operation == "AssumeRole" else "name"
    expected = sorted(refusal_of(STS, operation, wrong).message.partition(" detected: ")[2].split("; "))
    assert expected == sorted(
        [
            broken("a", name, AT_LEAST.format(2)),
            f"Value at 'policyArns' failed to satisfy constraint: {AT_MOST.format(10)}",
            broken("1", "durationSeconds", NOT_BELOW.format(900)),
        ]
    )


def test_a_member_of_a_list_is_named_by_its_position() -> None:
    tags = {
        "Tags.member.1.Key": "team",
        "Tags.member.1.Value": "a",
        "Tags.member.2.Key": "<",
        "Tags.member.3.Value": "x",
    }
    message = assume_role(**tags)
    assert message.startswith(
        "3 validation errors detected: Value '<' at 'tags.2.member.key' failed to satisfy"
    )
    assert (
        "Value null at 'tags.2.member.value' failed to satisfy constraint: Member must not be null" in message
    )
    assert (
        "Value null at 'tags.3.member.key' failed to satisfy constraint: Member must not be null" in message
    )
    keys = assume_role(**{"TransitiveTagKeys.member.1": ""})
    assert "Value '' at 'transitiveTagKeys.1.member' failed" in keys


def test_a_gap_in_a_list_is_a_null_member() -> None:
    message = assume_role(**{"TransitiveTagKeys.member.2": "team"})
    assert message == (
        "1 validation error detected: Value null at 'transitiveTagKeys.1.member' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_a_list_may_be_too_long_or_too_short() -> None:
    keys = {f"TransitiveTagKeys.member.{number}": "k" for number in range(1, 52)}
    shown = ", ".join(["k"] * 51)
    assert assume_role(**keys) == (
        f"1 validation error detected: Value '[{shown}]' at 'transitiveTagKeys' failed to satisfy constraint: "
        "Member must have length less than or equal to 50"
    )
    assert "Value '[]' at 'providedContexts' failed" in assume_role(ProvidedContexts="")


def test_sts_lists_what_an_enum_allows() -> None:
    sent = {"Audience.member.1": "a", "SigningAlgorithm": "none"}
    message = refusal_of(STS, "GetWebIdentityToken", sent).message
    assert message.startswith("1 validation error detected: Value 'none' at 'signingAlgorithm' failed")


# What AWS answered in February 2026, as LocalStack's tests recorded it (tests/aws/services/iam, *.snapshot.json).
MEMBER_OF_TAG_KEYS = (
    "Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length "
    "greater than or equal to 1, Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+, "
    "Member must not be null]"
)
TAG_KEY = "Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+"


@pytest.mark.parametrize(
    ("operation", "sent", "violation"),
    [
        (
            "UpdateAccessKey",
            {"AccessKeyId": "AKIAAAAAAAAAAAAAAAAA", "Status": "On"},
            "'status' failed to satisfy constraint: Member must satisfy enum value set",
        ),
        (
            "GetPolicyVersion",
            {"PolicyArn": ARN, "VersionId": "1"},
            "'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: "
            "v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?",
        ),
        (
            "TagRole",
            {"RoleName": "r", "Tags.member.1.Key": "k" * 129, "Tags.member.1.Value": "v"},
            f"'tags.1.member.key' failed to satisfy constraint: {AT_MOST.format(128)}",
        ),
        (
            "TagRole",
            {"RoleName": "r", "Tags.member.1.Key": "<", "Tags.member.1.Value": "v"},
            f"'tags.1.member.key' failed to satisfy constraint: {TAG_KEY}",
        ),
        (
            "UntagRole",
            {"RoleName": "r", "TagKeys.member.1": "k" * 129, "TagKeys.member.2": "<"},
            f"'tagKeys' failed to satisfy constraint: {MEMBER_OF_TAG_KEYS}",
        ),
        (
            "UntagRole",
            {"RoleName": "r"} | {f"TagKeys.member.{number}": "k" for number in range(1, 52)},
            f"'tagKeys' failed to satisfy constraint: {AT_MOST.format(50)}",
        ),
        (
            "ListUsers",
            {"MaxItems": "1001"},
            f"'maxItems' failed to satisfy constraint: {NOT_ABOVE.format(1000)}",
        ),
        (
            "CreateVirtualMFADevice",
            {"VirtualMFADeviceName": "m", "Path": "/" * 513},
            f"'path' failed to satisfy constraint: {AT_MOST.format(512)}",
        ),
        ("GetRole", {}, "'roleName' failed to satisfy constraint: Member must not be null"),
    ],
)
def test_iam_shows_neither_the_value_nor_what_an_enum_allows(
    operation: str, sent: dict[str, str], violation: str
) -> None:
    refusal = refusal_of(IAM, operation, sent)
    assert refusal.message == f"1 validation error detected: Value at {violation}"


def test_iam_reports_a_list_of_texts_once_whatever_of_it_is_broken() -> None:
    sent = {
        "Url": "u" * 256,
        "ClientIDList.member.1": "",
        "ClientIDList.member.2": "c" * 256,
        "ThumbprintList.member.1": "t" * 41,
    }
    message = refusal_of(IAM, "CreateOpenIDConnectProvider", sent).message
    each = f"Member must satisfy constraint: [{AT_MOST}, {AT_LEAST}]"
    assert set(message.removeprefix("3 validation errors detected: ").split("; ")) == {
        f"Value at 'clientIDList' failed to satisfy constraint: {each.format(255, 1)}",
        f"Value at 'thumbprintList' failed to satisfy constraint: {each.format(40, 40)}",
        f"Value at 'url' failed to satisfy constraint: {AT_MOST.format(255)}",
    }


def test_a_sensitive_value_is_never_shown() -> None:
    secret = "p" * 200
    message = refusal_of(IAM, "CreateLoginProfile", {"UserName": "alice", "Password": secret}).message
    assert message.startswith(
        "1 validation error detected: Value at 'password' failed to satisfy constraint: "
    )
    assert "ppp" not in message


OF_NAMES = "It must contain only alphanumeric characters and/or the following: +=,.@_-"
OF_PATHS = "It must begin and end with / and contain only alphanumeric characters and/or / characters."
OF_PREFIXES = (
    "It must begin with the / character and contain only alphanumeric characters and/or / characters."
)


@pytest.mark.parametrize(
    ("operation", "parameters", "where", "rule"),
    [
        ("GetRole", {"RoleName": ARN}, "roleName", OF_NAMES),
        ("GetRole", {"RoleName": f"{ARN}-{'x' * 64}"}, "roleName", OF_NAMES),
        ("CreateUser", {"UserName": "a b"}, "userName", OF_NAMES),
        ("GetUser", {"UserName": "ünï"}, "userName", OF_NAMES),
        ("UpdateUser", {"UserName": "alice", "NewUserName": "a/b"}, "newUserName", OF_NAMES),
        ("GetGroup", {"GroupName": "iamgroup*"}, "groupName", OF_NAMES),
        ("GetRolePolicy", {"RoleName": "worker", "PolicyName": "a:b"}, "policyName", OF_NAMES),
        ("CreateUser", {"UserName": "alice", "Path": "test/"}, "path", OF_PATHS),
        ("CreatePolicy", {"PolicyName": "p", "PolicyDocument": "{}", "Path": "/a//"}, "path", OF_PATHS),
        ("UpdateUser", {"UserName": "alice", "NewPath": "/root"}, "newPath", OF_PATHS),
        ("ListRoles", {"PathPrefix": "example_path"}, "pathPrefix", OF_PREFIXES),
        ("ListPolicies", {"PathPrefix": "/foo"}, "pathPrefix", OF_PREFIXES),
    ],
)
def test_iam_tells_what_names_and_paths_may_be_in_words_of_its_own(
    operation: str, parameters: dict[str, str], where: str, rule: str
) -> None:
    message = refusal_of(IAM, operation, parameters).message
    assert message == f"The specified value for {where} is invalid. {rule}"


def test_iam_reports_only_the_first_broken_rule_of_its_own() -> None:
    parameters = {"UserName": "a b", "Path": "x", "PermissionsBoundary": "short"}
    message = refusal_of(IAM, "CreateUser", parameters).message
    assert message == f"The specified value for path is invalid. {OF_PATHS}"


@pytest.mark.parametrize(
    ("operation", "parameters", "expected"),
    [
        (
            "GetRole",
            {"RoleName": "a" * 65},
            f"Value at 'roleName' failed to satisfy constraint: {AT_MOST.format(64)}",
        ),
        (
            "GetInstanceProfile",
            {"InstanceProfileName": "/foo/bar"},
            "Value at 'instanceProfileName' failed to satisfy constraint: " + PATTERN.format(r"[\w+=,.@-]+"),
        ),
    ],
)
def test_lengths_and_instance_profiles_are_reported_as_usual(
    operation: str, parameters: dict[str, str], expected: str
) -> None:
    assert refusal_of(IAM, operation, parameters).message == f"1 validation error detected: {expected}"


def test_a_proof_is_shown_to_its_sender_and_not_in_the_log() -> None:
    sent = {"RoleArn": "short", "RoleSessionName": "session", "TokenCode": "654321 "}
    refusal = refusal_of(STS, "AssumeRole", sent)
    assert "Value '654321 ' at 'tokenCode' failed" in refusal.message
    assert "654321" not in refusal.reason
    assert refusal.reason == refusal.message.replace("'654321 '", "'***'")
    codes = {"AuthenticationCode1": "987654x", "AuthenticationCode2": "1234567"}
    refusal = refusal_of(IAM, "EnableMFADevice", {"UserName": "alice", "SerialNumber": "s" * 20, **codes})
    assert "987654" not in refusal.message and "1234567" not in refusal.message
    assert "987654" not in refusal.reason and "1234567" not in refusal.reason


def test_where_no_proof_is_shown_the_log_reads_what_the_client_reads() -> None:
    assert refusal_of(STS, "AssumeRole", {"RoleArn": ARN, "RoleSessionName": "a b"}).reason == ""


def test_only_the_first_letter_of_a_name_is_lowered() -> None:
    sent = {"RoleArn": ARN, "PrincipalArn": ARN, "SAMLAssertion": "x"}
    assert "at 'sAMLAssertion' failed" in refusal_of(STS, "AssumeRoleWithSAML", sent).message


def test_map_keys_and_map_values_have_sentences_of_their_own() -> None:
    sent = {
        "Properties.entry.1.key": "bad key",
        "Properties.entry.1.value": "v",
        "Properties.entry.2.value": "w",
    }
    message = refusal_of(IAM, "PutAccountProperties", sent).message
    assert (
        "at 'properties' failed to satisfy constraint: Map keys must satisfy constraint: [Member must"
        in message
    )
    assert "Value at 'properties.2.key' failed to satisfy constraint: Member must not be null" in message


def test_characters_that_xml_cannot_carry_are_refused_even_without_a_pattern() -> None:
    sent = {"RoleArn": ARN, "RoleSessionName": "session", "WebIdentityToken": "tok\x00en"}
    message = refusal_of(STS, "AssumeRoleWithWebIdentity", sent).message
    assert message.startswith("1 validation error detected: Value at 'webIdentityToken' failed to satisfy")


@pytest.mark.parametrize("service", [STS, IAM], ids=["sts", "iam"])
def test_no_pattern_of_the_models_admits_a_character_that_xml_cannot_carry(service: ServiceModel) -> None:
    illegal = [*map(chr, range(9)), "\x0b", "\x0c", *map(chr, range(14, 32)), "\ufffe", "\uffff"]
    for name, shape in service.shapes.items():
        if shape.pattern:
            matches = compile_pattern(shape.pattern)
            assert not any(matches(text) for char in illegal for text in (char, f"a{char}", f"/{char}/")), (
                name
            )


@pytest.mark.parametrize("service", [STS, IAM], ids=["sts", "iam"])
def test_every_pattern_compiles_and_knows_ascii_digits_only(service: ServiceModel) -> None:
    for shape in service.shapes.values():
        if shape.pattern and r"\d" in shape.pattern:
            assert not compile_pattern(shape.pattern)("١٢٣٤٥٦٧٨٩٠١٢")


@pytest.mark.parametrize("classes", ["LZNMSP", "LM", "SL", "PL", "NL", "ZL"])
def test_classes_of_unicode_have_the_same_characters_in_ascii(classes: str) -> None:
    pattern = "[" + "".join(rf"\p{{{one}}}" for one in classes) + "]"
    ours, theirs = compile_pattern(pattern), regex.compile(pattern).fullmatch
    for character in map(chr, range(128)):
        assert bool(ours(character)) == bool(theirs(character)), character


def test_unicode_classes_are_javas() -> None:
    matches = compile_pattern(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")
    assert matches("Größe 東京 ½ a-b@c")
    assert not matches("a<b")
    assert not matches("a\tb")


# One shape for each set of constraints on a string that the models have, and texts that sit at their borders.
STRINGS = {
    (shape.pattern, shape.min, shape.max): shape
    for service in (STS, IAM)
    for shape in service.shapes.values()
    if shape.type == "string" and not shape.enum
}
SEEDS = [
    "",
    "a",
    "/",
    "/a/",
    "aé",
    "Größe 東京",
    "\n",
    "a\0",
    "😀",
    "\ud800",
    "a b",
    "0",
    "-",
    "\u0378",
    "u10000",
    "v1.a",
]


def is_xml_character(char: str) -> bool:
    return char in "\t\n\r" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char > "\uffff"


@given(st.sampled_from(list(STRINGS.values())), st.sampled_from(SEEDS) | st.text(max_size=4), st.data())
def test_a_text_is_accepted_where_its_length_and_its_pattern_are_right(shape, seed, data) -> None:
    low, high = shape.min or 0, shape.max or 10_000
    sizes = [size for size in (0, 1, low - 1, low, high, high + 1) if 0 <= size <= 10_001]
    size = data.draw(st.sampled_from(sizes))
    for text in (seed, (seed * size)[:size], ("a" * size + seed)[-size:] if size else ""):
        matches = compile_pattern(shape.pattern)(text) if shape.pattern else all(map(is_xml_character, text))
        is_right = low <= len(text) and (shape.max is None or len(text) <= shape.max) and bool(matches)
        assert bool(acceptance(shape)(text)) == is_right
        assert (string_check(shape)(text) == ()) == is_right


@pytest.mark.parametrize("service", [STS, IAM], ids=["sts", "iam"])
def test_classes_of_unicode_are_the_same_in_ascii_as_their_own_engine_has_them(service: ServiceModel) -> None:
    patterns = {shape.pattern for shape in service.shapes.values() if r"\p" in (shape.pattern or "")}
    assert patterns
    for pattern in patterns:
        ours, theirs = compile_pattern(pattern), regex.compile(pattern).fullmatch
        for char in map(chr, range(128)):
            for text in (char, f"a{char}", f"{char}{char}0", f"ä{char}", ""):
                assert bool(ours(text)) == bool(theirs(text)), (pattern, text)


def test_a_message_stays_bounded_whatever_was_sent() -> None:
    violations = Violations()
    for number in range(10_000):
        violations.add(echo("x" * 100_000), f"tags.{number}.member", ("Member must not be null",))
    message = violations.refusal().message
    assert message.startswith(f"{VIOLATION_LIMIT} validation errors detected: ")
    assert len(message) < VIOLATION_LIMIT * (ECHO_LIMIT + 200)


@pytest.mark.parametrize(
    ("path", "is_one"),
    [("displayName", True), ("a:b:c", True), ("name.givenName", True), ("é.é", True), ("a.b.c.d", False)],
)
def test_a_unicode_class_may_stand_outside_of_brackets(path: str, is_one: bool) -> None:
    """The AttributePath of identitystore."""
    matches = compile_pattern(r"(?:\p{L}+:\p{L}+:\p{L}+(?:\.\p{L}+){0,3}|\p{L}+(?:\.\p{L}+){0,2})")
    assert bool(matches(path)) is is_one
