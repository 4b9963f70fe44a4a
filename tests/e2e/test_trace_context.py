"""A request that names a trace: so do its log lines and its record, and those of the next request do not."""

import http.client
import json
from contextlib import closing

import pytest

from tests.e2e.conftest import Account, Server
from tests.e2e.raw_requests import WHO_AM_I, raw_request
from tests.e2e.scenes import records

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_a_trace_is_that_of_one_request_and_is_told_to_no_client(server: Server, account: Account) -> None:
    host, _, port = server.api.partition(":")
    sent = [VALID, {}, {"traceparent": "00-secret-text-01"}]
    ids = []
    with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
        for headers in sent:
            connection.request("POST", "/", "Action=GetUser&Version=2010-05-08", {**FORM, **headers})
            answer = connection.getresponse()
            shown = answer.read().decode() + str(answer.getheaders())
            assert answer.status == 403 and TRACE not in shown and "secret-text" not in shown
            ids.append(answer.getheader("x-amzn-RequestId"))
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    logged = {line["request_id"]: line for line in lines if line.get("request_id") in ids}
    assert [logged[one].get("trace_id") for one in ids] == [TRACE, None, None]
    assert logged[ids[0]]["parent_id"] == PARENT
    assert "secret-text" not in server.log
    recorded = {one["requestID"]: one.get("additionalEventData") for one in records(server)}
    assert [recorded[one] for one in ids] == [{"traceId": TRACE, "parentId": PARENT}, None, None]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_the_record_of_what_was_done_names_the_trace(server: Server, account: Account) -> None:
    asked = raw_request(server, account.root, WHO_AM_I, headers=VALID)
    assert asked.send(server).status == 200
    found = [one for one in records(server) if one.get("recipientAccountId") == account.account_id]
    assert found[-1]["additionalEventData"] == {"traceId": TRACE, "parentId": PARENT}
