"""What a record says of a request that failed, and what is answered where the record cannot be written."""

import pytest

from broker.audit.event import Event, begin_event
from broker.errors import Refusal, access_denied
from broker.performing import note_unknown_outcome, outcome_of, unjournalled
from broker.storage.engine import Conflict, EngineUnavailable, OutcomeUnknown


def event_of(*, read_only: bool | None, error_code: str = "") -> Event:
    """`read_only` is None until the request has been performed."""
    event = begin_event(0.0, "id", "192.0.2.1", "agent", bytes(16))
    event.read_only, event.error_code = read_only, error_code
    return event


@pytest.mark.parametrize(
    ("read_only", "error", "outcome"),
    [
        (None, access_denied("no"), None),
        (None, EngineUnavailable("away"), None),
        (None, Conflict("moved"), None),
        (None, OutcomeUnknown("lost"), {"outcome": "unknown"}),
        (True, ValueError("cannot be rendered"), None),
        (False, ValueError("cannot be rendered"), {"outcome": "carried out"}),
    ],
)
def test_a_record_with_an_error_says_so_where_something_may_have_been_done(
    read_only: bool | None, error: Exception, outcome: dict[str, str] | None
) -> None:
    assert outcome_of(event_of(read_only=read_only), error) == outcome


@pytest.mark.parametrize(
    ("error", "data"), [(OutcomeUnknown("lost"), {"outcome": "unknown"}), (access_denied("no"), None)]
)
def test_a_record_that_says_beforehand_that_it_changes_something_is_not_taken_for_done(
    error: Exception, data: dict[str, str] | None
) -> None:
    event = event_of(read_only=False)
    note_unknown_outcome(event, error)
    assert event.additional_event_data == data


@pytest.mark.parametrize(
    ("read_only", "error_code", "is_done"),
    [(False, "", True), (True, "", False), (None, "AccessDenied", False), (False, "InternalFailure", False)],
)
def test_a_deed_without_a_record_is_answered_as_done(
    read_only: bool | None, error_code: str, is_done: bool
) -> None:
    refusal = unjournalled(event_of(read_only=read_only, error_code=error_code), "no room")
    assert isinstance(refusal, Refusal) and refusal.code == "ServiceUnavailable"
    assert refusal.message.startswith("The request was carried out, but") is is_done
    assert "no room" in refusal.reason and "no room" not in refusal.message
