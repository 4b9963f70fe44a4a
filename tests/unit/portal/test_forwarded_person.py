"""What of a Cookie header may go on to a server on the portal's host."""

import pytest

from broker.portal.forwarded_person import without_own


@pytest.mark.parametrize(
    ("sent", "goes_on"),
    [
        ("", ""),
        ("cart=full", "cart=full"),
        ("cart=full; broker-session=A; a=b", "cart=full; a=b"),
        ("__Host-broker-session=A", ""),
        ("cart={'a':1,'b':2}; broker-session=A", "cart={'a':1,'b':2}"),
        ("a=broker-session", "a=broker-session"),
        # A proxy joined several headers.
        ("cart=full,broker-session=A; a=b", "cart=full; a=b"),
        ("cart=full, broker-session =A,c=d", "cart=full,c=d"),
        ("cart=full,a=b", "cart=full,a=b"),
        ("broker-session=A,cart=full; a=b", "a=b"),
    ],
)
def test_the_portals_cookies_do_not_go_on(sent: str, goes_on: str) -> None:
    assert without_own(sent) == goes_on
