"""Hosts at which people sign in are hosts of the routes, and there is a portal that they are sent to."""

import json

import pytest

from broker.config import ConfigurationError, load_settings

ROUTE = {
    "host": "app.example.com:8443",
    "path": "/orders/{order}",
    "action": "execute-api:Invoke",
    "resource": "arn:aws:execute-api:us-east-1:111111111111:shop/prod/GET/orders/{order}",
}


def load(hosts: list[str], portal: str = "127.0.0.1:8443") -> tuple[str, ...]:
    environment = {
        "BROKER_LISTEN_FORWARD": "127.0.0.1:9465",
        "BROKER_LISTEN_PORTAL": portal,
        "BROKER_AUTHORIZE_ROUTES": json.dumps([ROUTE]),
        "BROKER_AUTHORIZE_SIGN_IN_HOSTS": json.dumps(hosts),
    }
    return load_settings(None, environment).authorize.sign_in_hosts


def test_people_sign_in_at_a_host_of_the_routes() -> None:
    assert load([]) == ()
    assert load(["app.example.com:8443"]) == ("app.example.com:8443",)


@pytest.mark.parametrize("host", ["app.example.com", "APP.example.com:8443", "evil.example", ""])
def test_another_host_is_refused_also_where_the_port_alone_differs(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"authorize\.sign_in_hosts: .* is the host of no route"):
        load([host])


def test_without_a_portal_nobody_signs_in() -> None:
    with pytest.raises(ConfigurationError, match=r"authorize\.sign_in_hosts: .* listen\.portal is empty"):
        load(["app.example.com:8443"], portal="")
