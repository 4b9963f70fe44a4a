"""What of the journal is looked for, by the address of the page."""

import shlex
from urllib.parse import parse_qsl

import pytest

from broker.audit.event import SessionAttributes, SessionContext, SessionIssuer, UserIdentity, begin_event
from broker.audit.facets import RecordFilter
from broker.audit.reader import RecordPlace
from broker.errors import Refusal
from broker.portal.console.journal_query import query_of, question_of, shown_place, shown_record

NOW = 1_767_225_600
ACCOUNT = "111111111111"
USER = f"arn:aws:iam::{ACCOUNT}:user/alice"


def test_the_address_is_the_filter_and_what_it_does_not_know_is_not() -> None:
    query = query_of(
        {"principal": " alice ", "outcome": "denied", "since": "1h", "account": "2", "x": "y"}, NOW
    )
    assert query.wanted == RecordFilter((("principal", "alice"), ("outcome", "denied")), NOW - 3600, None)
    assert query.after is None


def test_a_cell_narrows_the_filter_and_a_click_removes_a_part() -> None:
    query = query_of({"principal": "a&b", "since": "1h"}, NOW)
    assert dict(parse_qsl(query.narrowed(event="X"))) == {"principal": "a&b", "since": "1h", "event": "X"}
    assert dict(parse_qsl(query.narrowed(principal="c", error=""))) == {"principal": "c", "since": "1h"}
    assert query.without("principal") == "since=1h"


def test_the_command_is_the_same_filter_and_nothing_of_it_is_taken_for_something_else() -> None:
    attack = "a'; rm -rf / #$(id)"
    query = query_of({"principal": attack, "read-only": "true"}, NOW)
    assert shlex.split(query.command) == ["--principal", attack, "--read-only"]
    assert query_of({"read-only": "false"}, NOW).command == "--writing"


@pytest.mark.parametrize(
    ("name", "text"),
    [("since", "soon"), ("until", "9"), ("after", "1"), ("after", "x/y"), ("after", "1/" + "g" * 36)],
)
def test_what_cannot_be_read_is_refused(name: str, text: str) -> None:
    with pytest.raises(Refusal):
        query_of({name: text}, NOW)


def test_a_place_comes_back_from_the_address() -> None:
    place = RecordPlace(NOW, "00000000-0000-4000-8000-000000000002")
    assert query_of({"after": shown_place(place)}, NOW).after == place


def record(identity: UserIdentity) -> object:
    made = begin_event(NOW, "request", "192.0.2.1", "agent", bytes(16))
    made.user_identity, made.event_source, made.event_name = identity, "iam.amazonaws.com", "GetPolicy"
    made.request_parameters = {"policyArn": f"arn:aws:iam::{ACCOUNT}:policy/p"}
    return made


def test_a_row_leads_to_more_of_its_kind() -> None:
    row = shown_record(record(UserIdentity("IAMUser", arn=USER, user_name="alice")), query_of({}, NOW))  # type: ignore[arg-type]
    assert (row.who, row.what, row.outcome) == ("alice", "iam:GetPolicy", "succeeded")
    assert dict(parse_qsl(row.who_query)) == {"principal": USER}
    assert dict(parse_qsl(row.what_query)) == {"event": "GetPolicy", "source": "iam"}
    assert dict(parse_qsl(row.outcome_query)) == {"outcome": "succeeded"}


def test_the_simulator_is_asked_for_the_role_of_a_session_and_not_for_root() -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    issuer = SessionIssuer("Role", "AROA1", role, ACCOUNT, "r")
    context = SessionContext(SessionAttributes("", "false"), issuer)
    session = UserIdentity(
        "AssumedRole", arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s", session_context=context
    )
    asked = dict(parse_qsl(question_of(record(session))))  # type: ignore[arg-type]
    assert asked == {
        "principal": role,
        "action": "iam:GetPolicy",
        "resource": f"arn:aws:iam::{ACCOUNT}:policy/p",
    }
    root = UserIdentity("Root", arn=f"arn:aws:iam::{ACCOUNT}:root")
    assert question_of(record(root)) == ""  # type: ignore[arg-type]
    assert question_of(record(UserIdentity("Unknown"))) == ""  # type: ignore[arg-type]
