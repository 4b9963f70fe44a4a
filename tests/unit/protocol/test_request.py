"""Requests: conversions, hostile forms, and the law that nothing unknown gets in."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.protocol.form import parse_form
from broker.protocol.model import (
    ModelFile,
    ModelMetadata,
    OperationModel,
    Reference,
    Shape,
    build_service,
    load_service,
)
from broker.protocol.request import read_request
from broker.protocol.scalars import parse_blob, parse_boolean, parse_float, parse_integer, parse_timestamp
from broker.protocol.xml import render_result

STS, IAM = load_service("sts"), load_service("iam")
GOOD = {"RoleArn": "arn:aws:iam::123456789012:role/demo", "RoleSessionName": "session"}


def malformed(parameters: dict[str, str]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_request(STS, "AssumeRole", GOOD | parameters)
    assert caught.value.code == "MalformedInput"
    return caught.value


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "missing value for decimal type"), ("abc", ""), ("900.0", ""), ("2147483648", ""), ("-2147483649", ""),
     ("９００", ""), ("1_000", ""), (" 900", ""), ("0x384", ""), ("9" * 5000, "")],
)  # fmt: skip
def test_an_integer_that_is_none_is_malformed(text: str, message: str) -> None:
    assert malformed({"DurationSeconds": text}).message == message


def test_unknown_parameters_are_ignored_and_never_reach_the_struct() -> None:
    plain = read_request(STS, "AssumeRole", GOOD)
    noise = {
        "Unknown": "x",
        "role_arn": "x",
        "roleArn": "x",
        "Unknown.member.1": "y",
        "Action": "z",
        "": "",
        ".": "",
    }
    assert read_request(STS, "AssumeRole", GOOD | noise) == plain


@given(st.dictionaries(st.text("RoleArnTagsmemberKy.1203", max_size=14), st.text(max_size=5), max_size=5))
def test_a_hostile_form_is_read_or_refused_but_never_crashes(noise: dict[str, str]) -> None:
    try:
        request = read_request(STS, "AssumeRole", noise | GOOD)
    except Refusal as refusal:
        assert refusal.code in ("MalformedInput", "ValidationError")
    else:
        assert request.role_arn == GOOD["RoleArn"]


FLAT = [
    (service, name)
    for service in (STS, IAM)
    for name, operation in service.operations.items()
    if operation.input is not None
]
TEXTS = [
    "",
    "a",
    "1",
    "true",
    "900",
    "0",
    "-1",
    "+7",
    "x" * 70,
    "a b",
    "é",
    "\0",
    "/",
    GOOD["RoleArn"],
    "Active",
]


@given(st.sampled_from(FLAT), st.data())
def test_a_flat_form_is_read_as_it_is_read_beside_nested_names(case, data) -> None:
    service, operation = case
    members = service.shapes[service.operations[operation].input.shape].members
    names = st.sampled_from(["Action", "Other", *members])
    form = data.draw(st.dictionaries(names, st.sampled_from(TEXTS), max_size=8))
    form |= dict.fromkeys(service.shapes[service.operations[operation].input.shape].required, "900") | form
    outcomes = []
    for parameters in (form, {**form, "Nobody.knows": "x"}):
        try:
            outcomes.append(read_request(service, operation, parameters))
        except Refusal as refusal:
            outcomes.append((refusal.code, refusal.message))
    assert outcomes[0] == outcomes[1]


VALUE = "Value found where not expected"
STRUCTURE = "Start of structure or map found where not expected."


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Tags": "x"}, VALUE),
        ({"Tags.1.Key": "x"}, "Top level element may not be treated as a list"),
        ({"Tags.member": "x"}, "Top level element may not be treated as a list"),
        ({"Tags.member.1": "x"}, VALUE),
        ({"Tags.member.1.Key.x": "x"}, STRUCTURE),
        ({"Tags.member.999999999.Key": "x"}, "Excessively sparse input would skip 999,999,998 list elements"),
        ({"Tags.member.0.Key": "x"}, "0 is not a valid index"),
        ({"Tags.member.1.Key": "a", "Tags.member.01.Key": "b"}, VALUE),
        ({"RoleArn.member.1": "x"}, STRUCTURE),
        ({"TransitiveTagKeys.member.1.x": "x"}, STRUCTURE),
    ],
)
def test_wrong_structure_is_malformed(parameters: dict[str, str], message: str) -> None:
    assert malformed(parameters).message == message


def test_the_first_of_a_repeated_parameter_counts_at_every_depth() -> None:
    body = b"RoleArn=" + GOOD["RoleArn"].encode() + b"&RoleArn=x&RoleSessionName=first&RoleSessionName=%2F"
    body += b"&Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.1.Value=c"
    request = read_request(STS, "AssumeRole", parse_form(body))
    assert (request.role_session_name, request.tags[0].value) == ("first", "b")


def test_a_union_holds_exactly_one_member() -> None:
    sent = {"PolicySourceArn": GOOD["RoleArn"], "ActionNames.member.1": "s3:GetObject"}
    exclusion = "PolicyExclusionList.member.1."
    one = sent | {exclusion + "PolicyArn": GOOD["RoleArn"]}
    assert read_request(IAM, "SimulatePrincipalPolicy", one)
    with pytest.raises(Refusal) as caught:
        read_request(IAM, "SimulatePrincipalPolicy", one | {exclusion + "PolicyType": "x"})
    assert caught.value.code in ("MalformedInput", "ValidationError")


@pytest.mark.parametrize("name", ["PolicyArns.member.1", "Tags.member.1"])
def test_a_value_in_the_place_of_a_structure_is_malformed(name: str) -> None:
    """No SDK spells an empty structure; a value there could be a limit under another name, so it is refused."""
    for text in ("", "arn:aws:iam::aws:policy/ReadOnlyAccess"):
        assert malformed({name: text}).message == "Value found where not expected"
    with pytest.raises(Refusal) as refused:
        read_request(STS, "AssumeRoot", {"TargetPrincipal": "123456789012", "TaskPolicyArn": ""})
    assert refused.value.code == "MalformedInput"


def test_an_empty_list_is_given_by_an_empty_value() -> None:
    assert read_request(STS, "AssumeRole", GOOD | {"Tags": ""}).tags == ()


def test_booleans_are_xml_schemas() -> None:
    assert [parse_boolean(text) for text in ("true", "1", "false", "0")] == [True, True, False, False]
    for text, message in (
        ("", "missing value for boolean type"),
        ("True", "boolean must follow xsd1.1 definition"),
    ):
        with pytest.raises(Refusal) as caught:
            parse_boolean(text)
        assert (caught.value.code, caught.value.message) == ("MalformedInput", message)


def test_other_scalars_are_converted_or_refused() -> None:
    assert parse_blob("AP8rLw==") == b"\x00\xff+/"
    assert parse_timestamp("2026-01-01T00:00:00Z") == parse_timestamp("1767225600") == 1767225600
    assert parse_float("-1.5e3") == -1500.0
    assert parse_integer("9223372036854775807", 63) == 2**63 - 1
    refused = [
        (parse_blob, "A"),
        (parse_blob, "é"),
        (parse_timestamp, "2026-01-01"),
        (parse_timestamp, "soon"),
    ]
    refused += [(parse_float, ""), (parse_float, "nan"), (parse_float, "1e999")]
    for parse, text in refused:
        with pytest.raises(Refusal) as caught:
            parse(text)
        assert caught.value.code == "MalformedInput"


class Labels(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    names: tuple[str, ...] = ()
    marks: dict[str, str] = msgspec.field(default_factory=dict)


def test_flattened_lists_and_maps_lose_their_wrapper() -> None:
    text = Reference(shape="Text")
    service = build_service(
        "labels",
        ModelFile(
            metadata=ModelMetadata("2026-01-01", "labels", None, "urn:labels"),
            operations={
                "Label": OperationModel(
                    "Label", Reference(shape="Labels"), Reference("Labels", None, "LabelResult")
                )
            },
            shapes={
                "Labels": Shape("structure", {"Names": Reference("Names"), "Marks": Reference("Marks")}),
                "Names": Shape("list", member=text, flattened=True),
                "Marks": Shape("map", key=text, value=text, flattened=True),
                "Text": Shape("string"),
            },
        ),
        {"Labels": Labels},
    )
    sent = {"Names.1": "a", "Names.2": "b", "Marks.1.key": "k", "Marks.1.value": "v"}
    labels = read_request(service, "Label", sent)
    assert labels == Labels(names=("a", "b"), marks={"k": "v"})
    answer = render_result(service, "Label", labels, "r").decode()
    assert (
        "<LabelResult><Names>a</Names><Names>b</Names><Marks><key>k</key><value>v</value></Marks>" in answer
    )
