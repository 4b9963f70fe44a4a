"""Destinations of a sign-in with credentials: pages of the console, and nothing that a request says."""

import pytest

from broker.errors import Refusal
from broker.portal.console.federation import destination_of

ACCOUNT = "222222222222"
ORIGIN = "https://portal.example"
OVERVIEW = f"/console/{ACCOUNT}/overview"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (f"{ORIGIN}/console/{ACCOUNT}/roles/data-reader", f"/console/{ACCOUNT}/roles/data-reader"),
        (f"{ORIGIN}/console/{ACCOUNT}/roles?x=//evil.example", f"/console/{ACCOUNT}/roles"),
        (f"{ORIGIN}/console/{ACCOUNT}/a\r\nSet-Cookie: x", OVERVIEW),
        (f"{ORIGIN}/console/{ACCOUNT}/../../access", OVERVIEW),
        (f"{ORIGIN}\\@evil.example", None),
        ("https://portal.example.evil.example/", None),
        ("https://console.aws.amazon.com:444/", None),
        ("https://eu-west-1.console.aws.amazon.com/ec2", OVERVIEW),
    ],
)
def test_a_destination_is_ours_or_aws_or_refused(url: str, path: str | None) -> None:
    if path is not None:
        assert destination_of(url, ORIGIN, ACCOUNT) == path
        return
    with pytest.raises(Refusal, match="Destination"):
        destination_of(url, ORIGIN, ACCOUNT)
