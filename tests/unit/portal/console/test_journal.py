"""The rows of the journal: what others wrote is text in each cell, whatever it says."""

import re

import pytest

from broker.audit.event import UserIdentity, begin_event
from broker.portal.console.journal_query import query_of, shown_record
from broker.portal.rendering import _environment, texts_of

ATTACK = "\"><img src=x onerror=alert(1)><script>'`{{7*7}}"
HARMLESS = re.compile(r"</?(tr|th|td|a|span|time)( [a-z-]+(=\"[^\"<>]*\")?)*>")


def rows(**values: str) -> str:
    event = begin_event(1_767_225_600, "request", values.get("address", ""), ATTACK, bytes(16))
    event.user_identity = UserIdentity("IAMUser", arn=values.get("arn", ""), user_name=values.get("who", "x"))
    event.event_source, event.event_name = values.get("source", ""), values.get("event", "")
    event.error_code, event.event_id = values.get("error", ""), values.get("id", "id")
    event.request_parameters = {"userName": values.get("resource", "")}
    query = query_of({"principal": values.get("query", "")}, 0)
    return (
        _environment()
        .get_template("console/journal_rows.html")
        .render(
            rows=[shown_record(event, query)],
            row_text=texts_of("console/journal_rows"),
            query=query,
            here=values.get("here", ""),
            now=1_767_225_600,
            opened=None,
        )
    )


@pytest.mark.parametrize(
    "name", ["address", "arn", "who", "source", "event", "error", "id", "resource", "query", "here"]
)
def test_an_attack_in_a_cell_makes_no_element_and_no_attribute(name: str) -> None:
    tags = re.findall(r"<[^>]*>", rows(**{name: ATTACK}))
    assert tags
    assert [tag for tag in tags if not HARMLESS.fullmatch(tag)] == []
    without_values = [re.sub('"[^"]*"', "", tag) for tag in tags]
    assert not [tag for tag in without_values if re.search(r"\son[a-z]+=", tag)]


def test_every_cell_but_the_outcome_leads_to_its_filter() -> None:
    shown = rows(
        who="alice", event="X", source="iam.amazonaws.com", resource="r", address="192.0.2.1", error="E"
    )
    for part in ("principal=alice", "event=X&amp;source=iam", "resource=r", "address=192.0.2.1", "error=E"):
        assert f"?{part}" in shown
