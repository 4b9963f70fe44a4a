"""Session tags: passed, inherited, transitive; keys compare without case and keep their spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.protocol.shapes.sts import Tag
from broker.sts.session_tags import TAG_LIMIT, session_tags
from tests.unit.sts.conftest import role, session_caller

FIRST = role("first", "{}")
CALLER = session_caller(FIRST)

keys = st.text("abAB", min_size=1, max_size=3)


def tags(**pairs):
    return [Tag(key=key, value=value) for key, value in pairs.items()]


def refused(*asked):
    with pytest.raises(Refusal) as refusal:
        session_tags(*asked)
    assert refusal.value.code == "InvalidParameterValue"
    return refusal.value.message


@given(st.lists(keys, unique_by=str.lower, max_size=6), st.data())
def test_what_is_transitive_is_inherited_by_every_later_session(names, data):
    wanted = data.draw(st.lists(st.sampled_from(names), unique_by=str.lower)) if names else []
    asked = [data.draw(st.sampled_from([name, name.upper(), name.lower()])) for name in wanted]
    first = session_tags(CALLER, [Tag(key=name, value=f"<{name}>") for name in names], asked)
    assert set(first.tags) == set(names)
    assert set(first.transitive_keys) == set(wanted), "spelled as the tag is"
    passed_on = session_caller(
        FIRST, session_tags=dict(first.tags), transitive_tag_keys=first.transitive_keys
    )
    second = session_tags(passed_on, [], [])
    assert second.tags == {name: f"<{name}>" for name in wanted}
    third = session_tags(
        session_caller(FIRST, session_tags=second.tags, transitive_tag_keys=second.transitive_keys), [], []
    )
    assert third.tags == second.tags


def test_an_inherited_key_is_not_set_again_in_any_spelling():
    caller = session_caller(FIRST, session_tags={"Team": "blue", "Cost": "1"}, transitive_tag_keys=("Team",))
    assert "conflicts with a transitive tag key" in refused(caller, tags(tEAM="red"), [])
    found = session_tags(caller, tags(cost="2"), ["COST"])
    assert found.tags == {"Team": "blue", "cost": "2"}
    assert found.transitive_keys == ("Team", "cost")


def test_keys_that_differ_in_case_only_are_one_key():
    assert "Tag keys are case insensitive" in refused(CALLER, tags(Team="a", tEAm="b"), [])
    assert "Tag keys are case insensitive" in refused(CALLER, [*tags(a="1"), *tags(a="1")], [])


def test_a_transitive_key_must_be_among_the_tags():
    assert "must be included in the requested tags" in refused(CALLER, tags(Team="a"), ["Cost"])


def test_reserved_keys_are_refused():
    assert "aws:" in refused(CALLER, [Tag(key="AWS:x", value="1")], [])


def test_inherited_tags_count_towards_the_limit():
    inherited = {f"k{number}": "" for number in range(TAG_LIMIT)}
    caller = session_caller(FIRST, session_tags=inherited, transitive_tag_keys=tuple(inherited))
    assert len(session_tags(caller, [], []).tags) == TAG_LIMIT
    assert "over the limit of 50" in refused(caller, tags(one="more"), [])
