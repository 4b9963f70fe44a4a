"""A refusal as pages show it: without its encoded half, and with the field that it names."""

import pytest

from broker.errors import Refusal
from broker.portal.refusals import shown_refusal


@pytest.mark.parametrize(
    ("message", "member"),
    [
        ("The specified value for path is invalid. It must begin and end with /", "path"),
        (
            "1 validation error detected: Value at 'policySourceArn' failed to satisfy constraint",
            "policysourcearn",
        ),
        ("User with name dana already exists.", ""),
        ("", ""),
    ],
)
def test_the_member_that_is_at_fault_is_known_where_the_message_names_it(message: str, member: str) -> None:
    assert shown_refusal(Refusal("ValidationError", message)).member == member


def test_the_encoded_reasons_are_apart_from_the_sentence() -> None:
    message = "User is not authorized. Encoded authorization failure message: abc"
    shown = shown_refusal(Refusal("AccessDenied", message))
    assert (shown.message, shown.encoded_reasons) == ("User is not authorized", "abc")
