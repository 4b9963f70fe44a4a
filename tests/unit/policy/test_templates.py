"""A template that is filled in says what the pattern says that it would be with its values."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.names.principal import IamUser
from broker.policy import (
    AccessRequest,
    Context,
    Layers,
    PolicyKind,
    Source,
    SourceKind,
    compile_policies,
    decide,
    parse_policy,
)
from broker.policy.patterns import Glob, Matcher, compile_arn_glob, compile_glob, compile_resource_glob
from broker.policy.templates import Fill, compile_arn_template, compile_resource_template, compile_template
from broker.policy.variables import Template, parse_template, resolve
from tests.growth import called

VALUES = {"a:one": ("b:a",), "a:two": ("ab",), "a:none": (), "a:empty": ("",), "a:arn": ("arn:a:b:::b",)}
WORDS = [
    "a",
    "b",
    ":",
    "::",
    "*",
    "?",
    "arn:*:b:",
    "${a:one}",
    "${a:two}",
    "${a:empty}",
    "${a:arn}",
    "${a:none}",
    "${*}",
]
TEMPLATES = st.lists(st.sampled_from(WORDS), max_size=9).map("".join)
TEXTS = st.lists(st.sampled_from(["a", "b", ":", "ab", "b:a", "arn:a:b:", "arn:a:b:::b"]), max_size=8).map(
    "".join
)
KINDS: list[tuple[Callable[[Template], Fill], Callable[[Glob], Matcher]]] = [
    (compile_template, compile_glob),
    (compile_arn_template, compile_arn_glob),
    (compile_resource_template, compile_resource_glob),
]


@pytest.mark.parametrize(("compile_one", "compile_filled"), KINDS, ids=["text", "arn", "resource"])
@settings(max_examples=1500, deadline=None)
@given(text=TEMPLATES, value=TEXTS)
def test_a_template_matches_as_its_pattern_does(
    compile_one: Callable[[Template], Fill],
    compile_filled: Callable[[Glob], Matcher],
    text: str,
    value: str,
) -> None:
    template = parse_template(text, wildcards=True, variables=True)
    glob = resolve(template, VALUES)
    try:
        matcher = compile_one(template)(VALUES)
    except ValueError:
        assert glob is not None
        with pytest.raises(ValueError, match="ARN form"):
            compile_filled(glob)
        return
    assert (matcher is None) is (glob is None)
    if matcher is not None and glob is not None:
        assert matcher(value) is compile_filled(glob)(value)


@pytest.mark.parametrize(
    "statement",
    [
        {"Resource": "arn:aws:s3:::x${a:two}?*a"},
        {"Resource": "*", "Condition": {"StringLike": {"a:key": ["*x${a:two}?*a", "b?*${a:two}"]}}},
        {"Resource": "*", "Condition": {"ArnLike": {"a:key": "arn:aws:?:*${a:two}:*:x?"}}},
    ],
)
def test_nothing_is_compiled_when_a_request_is_decided(statement: dict[str, object]) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", **statement}})
    layers = Layers(
        compile_policies([(Source(SourceKind.USER, "p"), parse_policy(text, PolicyKind.IDENTITY))])
    )
    context = Context({**VALUES, "a:key": "arn:aws:s:xab:y:xz"})
    request = AccessRequest(
        IamUser("1" * 12, "u", "AIDA"), "s3:GetObject", "arn:aws:s3:::xabxa", "1" * 12, context
    )
    decide(request, layers)
    names = called(lambda: decide(request, layers))
    assert {"_fill_glob", "_fill_shaped"}.intersection(names), "the template was filled in"
    assert not [name for name in names if "compile" in name or "split" in name or "parse" in name]
