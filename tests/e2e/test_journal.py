"""What is written down of a request, and what never is."""

import json
import resource
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.audit.following import tail_lines
from tests.e2e.conftest import REGION, Account, Keys, Server
from tests.e2e.raw_requests import VERSIONS, WHO_AM_I, raw_request
from tests.e2e.scenes import (
    Phone,
    allow,
    ask,
    assume,
    deny,
    document,
    new_role,
    new_user,
    records,
    records_of,
    refused,
    sentence,
    trust,
    who_am_i,
    written_in,
)


def test_every_refusal_leaves_one_record_that_says_who_and_why(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula")
    role = f"arn:aws:iam::{account.account_id}:role/none"
    asked = {
        "Action": "AssumeRole",
        "Version": VERSIONS["sts"],
        "RoleArn": role,
        "RoleSessionName": "session",
    }
    denied = raw_request(server, keys, asked, headers={"User-Agent": "scene/1"}).send(server)
    (record,) = records_of(server, denied.request_id)
    assert record["userIdentity"]["type"] == "IAMUser"
    assert record["userIdentity"]["arn"] == f"arn:aws:iam::{account.account_id}:user/ursula"
    assert record["userIdentity"]["accessKeyId"] == keys.access_key_id
    assert record["requestParameters"] == {"roleArn": role, "roleSessionName": "session"}
    assert (record["eventSource"], record["eventName"]) == ("sts.amazonaws.com", "AssumeRole")
    assert (record["errorCode"], record["sourceIPAddress"]) == ("AccessDenied", "127.0.0.1")
    assert record["errorMessage"] == sentence(denied.message)
    assert record["userAgent"] == "scene/1"

    forged = raw_request(server, replace(keys, secret_access_key="x" * 40), asked).send(server)
    (record,) = records_of(server, forged.request_id)
    assert record["errorCode"] == "SignatureDoesNotMatch"
    claimed = {"type": "Unknown", "accessKeyId": keys.access_key_id}
    assert record["userIdentity"] == claimed, "nobody is named who has not proven to be it"
    assert (record["requestParameters"], record["responseElements"]) == (None, None)
    nonsense = raw_request(server, replace(keys, access_key_id="no key's id"), asked).send(server)
    (record,) = records_of(server, nonsense.request_id)
    assert record["userIdentity"] == {"type": "Unknown"}


def test_the_record_of_a_session_names_the_key_that_it_was_given(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("*"))
    role = new_role(server, account, "worker", trust(f"arn:aws:iam::{account.account_id}:root"))
    asked = {"RoleArn": role, "RoleSessionName": "session"}
    answer = server.client("sts", keys).assume_role(**asked)
    (record,) = records_of(server, answer["ResponseMetadata"]["RequestId"])
    given = record["responseElements"]
    assert given["credentials"]["accessKeyId"] == answer["Credentials"]["AccessKeyId"]
    assert given["assumedRoleUser"]["arn"] == answer["AssumedRoleUser"]["Arn"]
    assert record["readOnly"] is True
    assert answer["Credentials"]["SecretAccessKey"] not in json.dumps(record)
    assert answer["Credentials"]["SessionToken"] not in json.dumps(record)


def test_a_role_arn_that_is_none_is_called_invalid(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("*"))
    sts = server.client("sts", keys)
    for arn in ("worker-worker-worker-worker", f"arn:aws:iam::{account.account_id}:user/ursula"):
        assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="session") == (
            400,
            "ValidationError",
            f"{arn} is invalid",
        )


def test_journal_and_log_hold_no_secret(server: Server, account: Account, root: Any) -> None:
    """A whole story, with everything that must stay secret collected on the way."""
    keys = new_user(server, account, "mia", allow("*"))
    phone = Phone(root, "mia")
    code = phone.code(1)
    sts = server.client("sts", keys)
    session = Keys.of(sts.get_session_token(**phone.asked(code))["Credentials"])
    guest = Keys.of(sts.get_federation_token(Name="guest", Policy=document(allow("*")))["Credentials"])
    role = new_role(server, account, "worker", trust(account.account_id), allow("*"))
    worker = assume(server, keys, role)
    for live in (keys, session, guest, worker):
        server.client("sts", live).get_caller_identity()
        who_am_i(server, replace(live, secret_access_key="x" * 40))
        raw_request(server, live, WHO_AM_I, method="GET", expires=60).send(server)
        raw_request(server, live, WHO_AM_I, method="GET", expires=60, late_by=2000).send(server)
    who_am_i(server, replace(worker, session_token=(worker.session_token or "")[:-8]))
    misspelt = ("654321 ", "987654x")
    refused(sts.get_session_token, **phone.asked(misspelt[0]))
    codes = {"AuthenticationCode1": misspelt[1], "AuthenticationCode2": misspelt[1]}
    refused(root.enable_mfa_device, UserName="mia", SerialNumber=phone.serial_number, **codes)
    written = written_in(server)
    assert "Value '***' at 'tokenCode'" in written
    assert not any(code in written for code in misspelt)
    for live in (account.root, keys, session, guest, worker):
        assert live.access_key_id in written
        assert live.secret_access_key not in written
        assert live.session_token is None or live.session_token[:40] not in written
    parameters = [record.get("requestParameters") or {} for record in records(server)]
    shown = {given["tokenCode"] for given in parameters if "tokenCode" in given}
    assert shown == {"HIDDEN_DUE_TO_SECURITY_REASONS"}


def test_a_deed_whose_record_found_no_room_is_recorded_before_anything_else_is_done(tmp_path: Path) -> None:
    journal = tmp_path / "audit.jsonl"
    journal.write_bytes(b"{}\n" * 700_000)  # larger than the store will be: the limit is the journal's alone
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}")
    server.start()
    assert server.process is not None
    try:
        iam = server.client("iam", server.new_account().root)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, -1))
        for name in ("done", "refused", "refused-too"):
            assert refused(iam.create_user, UserName=name)[:2] == (503, "ServiceUnavailable")
        assert ask(server, "/readyz")[0] == 503
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        assert ask(server, "/readyz")[0] == 200
        assert [user["UserName"] for user in iam.list_users()["Users"]] == ["done"]
    finally:
        server.stop()
    written = [record for record in records(server) if record]
    proven = [record["eventName"] for record in written if record["userIdentity"]["type"] == "Root"]
    assert proven == ["CreateUser", "ListUsers"]
    assert written[0]["requestParameters"] == {"userName": "done"}
    codes = [record["errorCode"] for record in written if "errorCode" in record]
    assert codes == ["ServiceUnavailable", "ServiceUnavailable"], "of callers who were not even proven"


def test_where_the_journals_folder_is_gone_nothing_is_answered_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    server = Server(
        tmp_path,
        f"sqlite:{tmp_path / 'broker.db'}",
        environment={"BROKER_AUDIT_PATH": f"{folder}/audit.jsonl"},
    )
    server.start()
    try:
        sts = server.client("sts", server.new_account().root)
        sts.get_caller_identity()
        shutil.rmtree(folder)
        time.sleep(1.5)
        for _ in range(100):
            assert refused(sts.get_caller_identity)[:2] == (503, "ServiceUnavailable")
        status, why = ask(server, "/readyz")
        assert status == 503 and "the journal cannot be written" in why and "No such file or directory" in why
        assert server.log.count("reopening the journal failed") == 1
        folder.mkdir()
        assert ask(server, "/readyz")[0] == 200
        sts.get_caller_identity()
        written = [json.loads(line) for line in tail_lines(folder / "audit.jsonl", 200, follow=False)]
        codes = [record.get("errorCode") for record in written]
        assert (codes.count("ServiceUnavailable"), codes.count(None), len(codes)) == (99, 2, 101)
    finally:
        assert server.stop() == 0


def test_strangers_cannot_push_a_deed_out_of_the_journal(tmp_path: Path) -> None:
    """Whatever they send, each of their records is small, and none of them takes the place of a proven caller's."""
    limits = {"BROKER_AUDIT_MAXIMUM_SIZE_BYTES": "16384", "BROKER_AUDIT_KEEP": "1"}
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=limits)
    long = "x" * 7000
    stranger = Keys("AKIA" + "X" * 124, "secret")
    headers = {"User-Agent": f"first{long}", "Host": f"{long}.example.com", "X-Forwarded-For": long}
    signed = raw_request(server, stranger, {**WHO_AM_I, "Unknown": long}, headers=headers)
    scoped = dict(signed.headers)["Authorization"].replace(REGION, long)
    sent = (
        signed,
        signed.with_header("Authorization", scoped),
        signed.with_header("Authorization", long),
        signed.with_header("Authorization", f"AWS4-HMAC-SHA256 Credential={long}"),
        raw_request(server, None, {"Action": long, "Version": long}, headers=headers),
        raw_request(server, None, {}, headers={**headers, "X-Amz-Target": f"{long}.{long}"}),
        raw_request(server, stranger, WHO_AM_I, method="GET", expires=60, headers=headers),
    )
    with server.running():
        account = server.new_account()
        server.client("iam", account.root).create_user(UserName="witness")
        for _ in range(12):
            for one in sent:
                assert 400 <= one.send(server).status < 500
        server.client("iam", account.root).list_users()
    written = records(server)
    proven = [record["eventName"] for record in written if record["userIdentity"]["type"] == "Root"]
    assert proven == ["CreateUser", "ListUsers"]
    files = list(tmp_path.glob("audit.jsonl.unauthenticated*"))
    of_strangers = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert {record["userIdentity"]["type"] for record in of_strangers} == {"Unknown"}
    assert max(len(json.dumps(record)) for record in of_strangers) < 4096
    assert all(len(record["userAgent"]) <= 1024 for record in of_strangers)
    assert 16384 < sum(file.stat().st_size for file in files) <= 2 * 16384


RECORDED_SYNCS = """
import os, time
_fdatasync = os.fdatasync
def recorded_fdatasync(descriptor):
    begun = time.time()
    _fdatasync(descriptor)
    with open(os.environ["RECORDED_SYNCS"], "a") as file:
        file.write(f"{begun} {time.time()} {os.readlink(f'/proc/self/fd/{descriptor}')}\\n")
os.fdatasync = recorded_fdatasync
"""


@pytest.mark.parametrize(("sync", "within"), [("none", None), ("second", 1.0), ("each", 0.0)])
def test_a_record_is_on_the_disk_when_the_setting_says(
    tmp_path: Path, sync: str, within: float | None
) -> None:
    """`within` seconds of the answer; the server writes down each of its syncs."""
    (tmp_path / "sitecustomize.py").write_text(RECORDED_SYNCS)
    recorded_fdatasync = tmp_path / "recorded_fdatasync"
    recorded_fdatasync.touch()
    environment = {
        "BROKER_AUDIT_SYNC": sync,
        "PYTHONPATH": str(tmp_path),
        "RECORDED_SYNCS": str(recorded_fdatasync),
    }
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=environment)
    with server.running():
        sts = server.client("sts", server.new_account().root)
        for _ in range(3):
            sts.get_caller_identity()
            answered = time.time()
            time.sleep(1.5)
            syncs = [line.split() for line in recorded_fdatasync.read_text().splitlines()]
            if within is None:
                assert syncs == []
                continue
            begun, ended, file = syncs[-1]
            assert file == str(tmp_path / "audit.jsonl")
            # How long the disk takes is its own affair, where nobody waits for it.
            assert float(ended if sync == "each" else begun) <= answered + within
    assert len(records(server)) == 3


ATTRIBUTES = {
    "AccessKeyId": lambda one: one["AccessKeyId"],
    "EventId": lambda one: one["EventId"],
    "EventName": lambda one: one["EventName"],
    "EventSource": lambda one: one["EventSource"],
    "ReadOnly": lambda one: one["ReadOnly"],
    "ResourceName": lambda one: one["Resources"][0]["ResourceName"],
    "ResourceType": lambda one: one["Resources"][0]["ResourceType"],
    "Username": lambda one: one["Username"],
}


def test_events_are_looked_up_by_each_attribute_a_page_at_a_time(server: Server) -> None:
    account, other = server.new_account(), server.new_account()
    began = datetime.now(UTC) - timedelta(seconds=2)
    lena = new_user(server, account, "lena", allow("iam:GetUser", "cloudtrail:LookupEvents"))
    new_user(server, other, "lena")
    server.client("iam", lena).get_user(UserName="lena")
    client = server.client("cloudtrail", lena)
    pages = client.get_paginator("lookup_events").paginate(PaginationConfig={"PageSize": 2})
    events = [one for page in pages for one in page["Events"]]
    assert [one["EventName"] for one in events] == [
        "GetUser",
        "CreateAccessKey",
        "PutUserPolicy",
        "CreateUser",
    ]
    records = [json.loads(one["CloudTrailEvent"]) for one in events]
    assert {one["recipientAccountId"] for one in records} == {account.account_id}
    by_name = [{"AttributeKey": "EventName", "AttributeValue": "LookupEvents"}]
    looked_up = json.loads(client.lookup_events(LookupAttributes=by_name)["Events"][0]["CloudTrailEvent"])
    assert (looked_up["readOnly"], looked_up["responseElements"]) == (True, None)
    assert looked_up["requestParameters"]["maxResults"] == 2
    created = next(one for one in events if one["EventName"] == "CreateUser")
    assert created["Resources"][0] == {"ResourceType": "AWS::IAM::User", "ResourceName": "lena"}
    assert (created["Username"], created["ReadOnly"]) == ("root", "false")
    for key, value_of in ATTRIBUTES.items():
        wanted = {"AttributeKey": key, "AttributeValue": value_of(created)}
        found = client.lookup_events(LookupAttributes=[wanted], StartTime=began)["Events"]
        assert created["EventId"] in [one["EventId"] for one in found]
        assert {value_of(one) for one in found if one["Resources"]} == {wanted["AttributeValue"]}
    assert client.lookup_events(EndTime=began)["Events"] == []
    assert client.lookup_events(EventCategory="insight")["Events"] == []


def test_a_look_up_that_cannot_be_is_refused_by_name(server: Server) -> None:
    account = server.new_account()
    client = server.client("cloudtrail", account.root)
    by_name = {"AttributeKey": "EventName", "AttributeValue": "CreateUser"}
    for name in ("nina", "nora"):
        new_user(server, account, name)
    token = client.lookup_events(LookupAttributes=[by_name], MaxResults=1)["NextToken"]
    now = datetime.now(UTC)
    assert (
        refused(client.lookup_events, LookupAttributes=[by_name] * 2)[1] == "InvalidLookupAttributesException"
    )
    for wrong in ({"NextToken": token}, {"NextToken": "?"}, {"NextToken": "W10="}):
        assert refused(client.lookup_events, **wrong)[1] == "InvalidNextTokenException"
    times = {"StartTime": now, "EndTime": now - timedelta(hours=1)}
    assert refused(client.lookup_events, **times)[1] == "InvalidTimeRangeException"
    assert refused(client.lookup_events, MaxResults=51)[1] == "ValidationException"
    guest = new_user(server, account, "guest", allow("iam:*"))
    assert refused(server.client("cloudtrail", guest).lookup_events)[:2] == (400, "AccessDeniedException")


def test_what_a_look_up_may_see_is_decided_by_every_kind_of_policy(server: Server) -> None:
    """Who may not look up learns nothing, whatever the attribute; each refusal names what denied it."""
    account = server.new_account()
    may = allow("cloudtrail:LookupEvents")
    limited = document(allow("iam:*"))
    new_role(server, account, "auditor", trust(account.account_id), may)
    taker = new_user(server, account, "taker", allow("sts:AssumeRole"))
    arn = f"arn:aws:iam::{account.account_id}:role/auditor"
    whole = server.client("cloudtrail", assume(server, taker, arn))
    assert whole.lookup_events(MaxResults=1)["Events"]
    keys = new_user(
        server,
        account,
        "lena",
        may,
        deny("cloudtrail:*", Condition={"StringEquals": {"aws:RequestedRegion": REGION}}),
    )
    denied = {
        "session policy": assume(server, taker, arn, Policy=limited),
        "explicit deny": keys,
        "identity-based policy": new_user(server, account, "none", allow("cloudtrail:GetTrail")),
    }
    for layer, caller in denied.items():
        for wanted in ({}, {"LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": "lena"}]}):
            _, code, message = refused(server.client("cloudtrail", caller).lookup_events, **wanted)
            assert code == "AccessDeniedException" and layer in message
