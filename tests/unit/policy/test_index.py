import json

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy import Context, PolicyKind, PolicySet, Source, SourceKind, compile_policies, parse_policy
from broker.policy.index import FEW_STATEMENTS, MOST_ACTIONS_CACHED, _ActionsOfService, _Few
from broker.policy.statement import compile_statement

SOURCE = Source(SourceKind.USER, "policy")


def compiled(*statements: dict[str, object], name: str = "policy") -> PolicySet:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return compile_policies([(Source(SourceKind.USER, name), parse_policy(text, PolicyKind.IDENTITY))])


def allow(action: object, resource: object, sid: str = "", effect: str = "Allow") -> dict[str, object]:
    return {"Sid": sid, "Effect": effect, "Action": action, "Resource": resource}


def sids(policies: PolicySet, action: str, resource: str) -> list[str]:
    return sorted(found.statement.sid for found in policies.by_action[action].candidates(resource, Context()))


MANY = compiled(
    allow("s3:GetObject", "arn:aws:s3:::b/k", "exact"),
    allow("s3:Get*", "arn:aws:s3:::b/*", "prefix"),
    allow("s3:*", "arn:aws:s3:::*/k", "suffix"),
    allow("*", "*", "everything"),
    allow("*:GetObject", "arn:aws:s3:::b/k", "anyvendor"),
    allow("s3:G?tObject", "arn:aws:s3:::?/k", "single"),
    allow(["s3:PutObject", "S3:GETOBJECT"], ["arn:aws:s3:::c/k", "arn:aws:s3:::b/*", "*"], "several"),
    {"Sid": "notaction", "Effect": "Deny", "NotAction": "s3:Put*", "Resource": "*"},
    {"Sid": "notresource", "Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::b/*"},
    allow("s3:GetObject", "arn:aws:s3:::${aws:username}/k", "variable"),
)


def test_every_way_of_naming_an_action_and_a_resource_is_found() -> None:
    assert sids(MANY, "s3:getobject", "arn:aws:s3:::b/k") == sorted(
        ["exact", "prefix", "suffix", "everything", "anyvendor", "single", "several", "notaction"]
    )
    assert sids(MANY, "s3:putobject", "arn:aws:s3:::c/k") == ["everything", "several", "suffix"]
    assert sids(MANY, "s3:getobject", "arn:aws:s3:::zz/y") == [
        "everything",
        "notaction",
        "notresource",
        "several",
    ]
    assert sids(MANY, "ec2:runinstances", "*") == ["everything", "notaction"]


def test_a_variable_is_filled_in_when_it_is_asked() -> None:
    index = MANY.by_action["s3:getobject"]
    found = index.candidates("arn:aws:s3:::bob/k", Context({"aws:username": "bob"}))
    assert "variable" in {item.statement.sid for item in found}


def test_a_union_answers_for_all_its_parts_and_shares_them() -> None:
    first, second = (
        compiled(allow("s3:*", "*", "one"), name="first"),
        compiled(allow("*", "*", "two"), name="second"),
    )
    both = PolicySet.union(first, second)
    assert sids(both, "s3:getobject", "*") == ["one", "two"]
    assert [source.name for source, _ in both.policies] == ["first", "second"]
    assert sids(first, "s3:getobject", "*") == ["one"]
    assert both._parts == (first, second)
    assert PolicySet.union(both, first)._parts == (first, second, first)
    assert PolicySet.union(first) is first


def test_what_is_kept_per_action_is_bounded() -> None:
    policies = compiled(allow("*", "*"))
    for number in range(MOST_ACTIONS_CACHED * 2 + 5):
        policies.by_action[f"s3:action{number}"]
    assert len(policies.by_action) <= MOST_ACTIONS_CACHED


ACTIONS = st.sampled_from(["s3:Get", "s3:Put", "s3:*", "*", "s3:G*", "*:Get", "s3:?et", "ec2:Get", "ec2:*"])
RESOURCES = st.sampled_from(
    [
        "*",
        "arn:aws:s3:::a",
        "arn:aws:s3:::a*",
        "arn:aws:s3:::*b",
        "arn:aws:s3:::a/?",
        "arn:aws:s3:*",
        "arn:aws:s3:::a*b",
    ]
)
STATEMENTS = st.builds(
    lambda action, resource, effect: allow(action, resource, effect=effect),
    st.lists(ACTIONS, min_size=1, max_size=3),
    st.lists(RESOURCES, min_size=1, max_size=3),
    st.sampled_from(["Allow", "Deny"]),
)


@settings(max_examples=150, deadline=None)
@given(
    statements=st.lists(STATEMENTS, min_size=1, max_size=6),
    action=st.sampled_from(["s3:get", "s3:put", "ec2:get"]),
    resource=st.sampled_from(
        ["*", "arn:aws:s3:::a", "arn:aws:s3:::ab", "arn:aws:s3:::a/x", "arn:aws:s3:::b"]
    ),
)
def test_the_verdict_of_many_statements_is_that_of_each_by_itself(
    statements: list[dict[str, object]], action: str, resource: str
) -> None:
    together = compiled(*statements).by_action[action].verdict(resource, Context())
    alone = [compiled(statement) for statement in statements]
    single = [one.by_action[action].verdict(resource, Context()) for one in alone]
    assert together is (False if False in single else True if True in single else None)
    assert PolicySet.union(*alone).by_action[action].verdict(resource, Context()) is together


def test_policies_under_another_name_are_compiled_once_and_told_apart() -> None:
    first = compiled(allow("s3:GetObject", "*"), name="first")
    second = first.attributed_to(Source(SourceKind.GROUP, "second"))
    assert second.shared_parts == first.shared_parts
    assert second.by_action["s3:getobject"] is first.by_action["s3:getobject"]
    named = PolicySet.union(first, second).candidates("s3:getobject", "arn:aws:s3:::b/k", Context())
    assert [source.name for source, _ in named] == ["first", "second"]
    assert [source.name for source, _ in second.policies] == ["second"]


def test_a_set_weighs_more_the_more_it_says() -> None:
    (small,) = compiled(allow("s3:GetObject", "*")).shared_parts
    (large,) = compiled(*[allow("s3:Get*", "*")] * 10).shared_parts
    assert 1_000 < small.weight < large.weight < 100_000


@settings(max_examples=150, deadline=None)
@given(
    statements=st.lists(STATEMENTS, min_size=1, max_size=6),
    excluded=st.lists(ACTIONS, min_size=1, max_size=2),
    action=st.sampled_from(["s3:get", "s3:put", "ec2:get", "s3:", "sqs:get"]),
)
def test_few_statements_asked_one_by_one_are_those_that_the_index_finds(
    statements: list[dict[str, object]], excluded: list[str], action: str
) -> None:
    statements = [*statements, {"Effect": "Allow", "NotAction": excluded, "Resource": "*"}]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    policy = parse_policy(text, PolicyKind.IDENTITY)
    made = [compile_statement(SOURCE, policy, statement, {}) for statement in policy.statements]
    few, indexed = _Few(tuple(made)).matching(action), _ActionsOfService(made).matching(action)
    assert len(few) == len(indexed) == len(set(few))
    assert set(few) == set(indexed)


def test_many_statements_are_indexed_and_few_are_not() -> None:
    kinds = [
        type(compiled(*[allow("s3:*", "*")] * count).shared_parts[0].actions)  # type: ignore[attr-defined]
        for count in (1, FEW_STATEMENTS, FEW_STATEMENTS + 1)
    ]
    assert kinds == [_Few, _Few, _ActionsOfService]
