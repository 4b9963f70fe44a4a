"""`broker authorize explain`: what a request behind a proxy is, and what is decided about it."""

import asyncio
import json

import pytest

from broker.app import open_broker
from broker.config import Settings
from broker.storage.records import Account, User
from broker.storage.store import ACCOUNTS, USERS, Transaction

from .conftest import Run

HERE = "111111111111"
SHOP = f"arn:aws:execute-api:us-east-1:{HERE}:shop"
ROUTES = [
    {
        "host": "shop.example.com",
        "path": "/orders/{order}",
        "action": "execute-api:Invoke",
        "resource": f"{SHOP}/{{method}}/{{order}}",
        "keys": {"shop:Order": "{order}"},
    }
]
URL = "https://shop.example.com/orders/7?a=b"


@pytest.fixture
def explain(run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("BROKER_AUTHORIZE_ROUTES", json.dumps(ROUTES))
    condition = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    user = User(
        account_id=HERE, user_name="alice", user_id="AIDA1", created_at=1, inline_policies={"own": document}
    )

    async def populate() -> None:
        async def work(store: Transaction) -> None:
            store.put(ACCOUNTS, "", Account(account_id=HERE))
            store.put(USERS, HERE, user)

        async with open_broker(settings, {}) as broker:
            await broker.store.transact(work)

    asyncio.run(populate())
    return lambda *arguments: run("authorize", "explain", *arguments)


def test_a_request_is_shown_as_what_the_gate_judges(explain: Run) -> None:
    ended = explain("GET", URL)
    assert ended.status == 0
    for shown in ("route 1: shop.example.com /orders/{order}", f"{SHOP}/GET/7", "shop:order = 7"):
        assert shown in ended.shown


@pytest.mark.parametrize(
    ("method", "url", "why"),
    [
        ("GET", "https://other.example.com/orders/7", "no route"),
        ("GET", "https://shop.example.com/orders/%2e%2e", "needs no encoding"),
        ("GET", "https://shop.example.com", "no route"),
    ],
)
def test_what_goes_nowhere_is_denied_with_the_reason(explain: Run, method: str, url: str, why: str) -> None:
    ended = explain(method, url)
    assert (ended.status, why in ended.shown) == (1, True)


def test_the_decision_is_explained_by_layers(explain: Run) -> None:
    alice = ("--principal", f"arn:aws:iam::{HERE}:user/alice")
    allowed = explain("GET", URL, *alice, "--context", "aws:SourceIp=192.0.2.7")
    assert (allowed.status, "ALLOWED" in allowed.shown) == (0, True)
    denied = explain("GET", URL, *alice)
    assert (denied.status, "DENIED" in denied.shown) == (1, True)
    assert "not in the request: aws:SourceIp" in denied.shown


def test_wrong_use_is_told(explain: Run) -> None:
    assert explain("GET", "/orders/7").status == 2
    assert explain("GET", URL, "--principal", f"arn:aws:iam::{HERE}:user/nobody").status == 2
    assert explain("GET", URL, "--principal", "alice").status == 2
    assert explain("GET", URL, "--principal", f"arn:aws:iam::{HERE}:root", "--context", "x").status == 2
