"""Clients that read nothing but JSON (aws-iam-authenticator, Teleport, Envoy): answers and refusals of every kind."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import Account, Server
from tests.e2e.raw_requests import VERSIONS, WHO_AM_I, Answer, raw_request
from tests.e2e.scenes import records_of

JSON = {"Accept": "application/json"}


def checked_answer(server: Server, answer: Answer) -> Any:
    """The answer's JSON, checked to be recorded under its request id."""
    assert answer.headers["content-type"] == "application/json"
    shown = json.loads(answer.body)
    (whole,) = [shown] if "Error" in shown else shown.values()
    request_id = whole["RequestId"] if "Error" in whole else whole["ResponseMetadata"]["RequestId"]
    assert answer.headers["x-amzn-requestid"] == request_id
    (record,) = records_of(server, request_id)
    assert record.get("errorCode") == shown.get("Error", {}).get("Code")
    return shown


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_asks_for_json_learns_who_they_are(server: Server, account: Account, method: str) -> None:
    answer = raw_request(server, account.root, WHO_AM_I, method=method, headers=JSON).send(server)
    assert answer.status == 200
    result = checked_answer(server, answer)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
    arn = f"arn:aws:iam::{account.account_id}:root"
    assert result == {"UserId": account.account_id, "Account": account.account_id, "Arn": arn}


def test_a_presigned_url_is_answered_in_json_too(server: Server, account: Account) -> None:
    """As aws-iam-authenticator fetches it: the Accept header need not be signed."""
    url = server.client("sts", account.root).generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(urllib.request.Request(url, headers=JSON), timeout=10) as answer:
        shown = json.loads(answer.read())
    assert shown["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Account"] == account.account_id
    broken = urllib.request.Request(url.replace("GetCallerIdentity", "GetSessionToken"), headers=JSON)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(broken, timeout=10)
    assert json.loads(error.value.read())["Error"]["Code"] == "SignatureDoesNotMatch"
    error.value.close()


def test_credentials_expire_at_epoch_seconds(server: Server, account: Account) -> None:
    asked = {"Action": "GetSessionToken", "Version": VERSIONS["sts"]}
    answer = raw_request(server, account.root, asked, headers=JSON).send(server)
    credentials = checked_answer(server, answer)["GetSessionTokenResponse"]["GetSessionTokenResult"][
        "Credentials"
    ]
    assert isinstance(credentials["Expiration"], int)
    (record,) = records_of(server, answer.headers["x-amzn-requestid"])
    assert record["responseElements"]["credentials"]["accessKeyId"] == credentials["AccessKeyId"]


def test_iam_answers_in_json_as_well(server: Server, account: Account) -> None:
    asked = {"Action": "ListUsers", "Version": VERSIONS["iam"]}
    answer = raw_request(server, account.root, asked, service="iam", headers=JSON).send(server)
    listed = checked_answer(server, answer)["ListUsersResponse"]["ListUsersResult"]
    assert listed == {"Users": [], "IsTruncated": False, "Marker": None}


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("unsigned", {"keys": False}, 403, "MissingAuthenticationToken"),
    ("another method", {"method": "PUT"}, 405, "UnsupportedHttpVerb"),
    ("no form", {"headers": {"Content-Type": "application/json"}}, 415, "UnsupportedMediaType"),
    ("too large", {"parameters": {**WHO_AM_I, "Padding": "x" * (256 << 10)}}, 413, "RequestEntityTooLarge"),
    ("no action", {"parameters": {"Version": VERSIONS["sts"]}}, 400, "MissingAction"),
    ("unknown action", {"parameters": {**WHO_AM_I, "Action": "MakeMeRoot"}}, 400, "InvalidAction"),
    ("broken form", {"query": {"a": "b"}, "path": "/?a=%zz&"}, 400, "MalformedQueryString"),
    ("a constraint", {"parameters": {**WHO_AM_I, "Action": "AssumeRole"}}, 400, "ValidationError"),
    ("late", {"late_by": 3600}, 403, "SignatureDoesNotMatch"),
]


@pytest.mark.parametrize(
    ("changed", "status", "code"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_whatever_is_wrong_is_refused_in_json(
    server: Server, account: Account, changed: dict[str, Any], status: int, code: str
) -> None:
    given = dict(changed)
    keys = account.root if given.pop("keys", True) else None
    headers = {**JSON, **given.pop("headers", {})}
    answer = raw_request(server, keys, given.pop("parameters", WHO_AM_I), headers=headers, **given).send(
        server
    )
    assert answer.status == status
    error = checked_answer(server, answer)["Error"]
    fault = "Receiver" if status >= 500 else "Sender"
    assert (error["Code"], error["Type"]) == (code, fault)
    assert set(error) == {"Code", "Message", "Type"}
