"""AuthZEN: services that ask the broker what others may do with resources of their own."""

import json
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.conftest import REGION, Account, Keys, Server
from tests.e2e.scenes import allow, assume, deny, document, new_role, new_user, records_of, refused, trust
from tests.e2e.test_session_operations import session

EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: Any

    @property
    def decision(self) -> bool:
        assert self.status == 200, self.body
        return bool(self.body["decision"])


def post(server: Server, path: str, body: Any, keys: Keys | None, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = AWSRequest("POST", server.url + path, {"Content-Type": "application/json", **headers}, data)
    if keys is not None:
        own = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
        SigV4Auth(own, "broker", REGION).add_auth(request)
    return send(urllib.request.Request(request.url, data, dict(request.headers), method="POST"))


def send(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Answer(answer.status, answer.headers, json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, json.loads(error.read()))


def of_session(keys: Keys) -> dict[str, Any]:
    properties = {"session_token": keys.session_token}
    return {"type": "session", "id": keys.access_key_id, "properties": properties}


class Scene:
    """The account owns a bucket; `asker` may ask about everyone in it, `reader` and the role `app` may read it."""

    def __init__(self, server: Server, account: Account, other: Account) -> None:
        self.server, self.account, self.other = server, account, other
        self.bucket = f"arn:aws:s3:::photos-{account.account_id}"
        self.object = f"{self.bucket}/2026/a.jpg"
        self.iam = self.client(account.root)
        self.iam.register_foreign_resource(ResourceArn=self.bucket)
        read = allow("s3:GetObject", on=f"{self.bucket}/*")
        self.asker = new_user(server, account, "asker", allow("broker:EvaluateAccess"))
        self.auditor = new_user(
            server, account, "auditor", allow("broker:EvaluateAccess", "broker:GetDecisionReasons")
        )
        self.reader = new_user(server, account, "reader", read, allow("sts:*"))
        self.app = new_role(server, account, "app", trust(account.account_id), read)
        self.outsider = new_user(server, other, "outsider", allow("*"))

    def client(self, keys: Keys) -> Any:
        return session().client(
            "iam",
            region_name=REGION,
            endpoint_url=self.server.url,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.session_token,
        )

    def principal(self, name: str, account: Account | None = None) -> dict[str, Any]:
        owner = (account or self.account).account_id
        return {"type": "principal", "id": f"arn:aws:iam::{owner}:{name}"}

    def question(self, subject: dict[str, Any], action: str = "s3:GetObject", **more: Any) -> dict[str, Any]:
        on = more.pop("on", self.object)
        return {
            "subject": subject,
            "action": {"name": action},
            "resource": {"type": "resource", "id": on},
            **more,
        }

    def ask(self, subject: dict[str, Any], asker: Keys | None = None, **more: Any) -> Answer:
        return post(self.server, EVALUATION, self.question(subject, **more), asker or self.asker)

    def search(self, what: str, body: dict[str, Any], asker: Keys | None = None) -> Answer:
        return post(self.server, f"/access/v1/search/{what}", body, asker or self.asker)


@pytest.fixture(scope="module")
def scene(server: Server) -> Scene:
    return Scene(server, server.new_account(), server.new_account())


def test_a_service_asks_about_a_user_and_the_journal_has_the_decision(scene: Scene) -> None:
    answer = scene.ask(scene.principal("user/reader"))
    assert answer.decision
    assert answer.body["context"].keys() == {"decision_id"}
    (record,) = records_of(scene.server, answer.body["context"]["decision_id"])
    assert (record["eventSource"], record["eventName"]) == ("broker.amazonaws.com", "EvaluateAccess")
    assert (record["userIdentity"]["userName"], record["readOnly"]) == ("asker", True)
    assert record["requestParameters"]["resource"] == scene.object
    assert record["responseElements"]["decision"] == "allowed"
    denied = scene.ask(scene.principal("user/asker"))
    assert not denied.decision
    (record,) = records_of(scene.server, denied.body["context"]["decision_id"])
    assert "no identity-based policy allows the s3:GetObject action" in record["responseElements"]["reason"]


def test_reasons_are_for_those_who_may_see_them(scene: Scene) -> None:
    reason = scene.ask(scene.principal("user/asker"), scene.auditor).body["context"]["reason"]
    assert (reason["outcome"], reason["layer"], reason["statements"]) == ("implicitDeny", "identity", [])
    reason = scene.ask(scene.principal("user/reader"), scene.auditor).body["context"]["reason"]
    assert reason == {
        "outcome": "allowed",
        "statements": [{"layer": "identity", "policy": "scene", "arn": reason["statements"][0]["arn"]}],
    }


def test_who_has_no_permission_asks_nothing_and_learns_nothing(scene: Scene) -> None:
    for subject in (scene.principal("user/reader"), scene.principal("user/nobody")):
        for asker in (scene.reader, scene.outsider):
            answer = scene.ask(subject, asker)
            assert (answer.status, answer.body["error"]["code"]) == (403, "AccessDenied")
    assert scene.ask(scene.principal("user/nobody")).decision is False
    for what in ("subject", "resource", "action"):
        answer = scene.search(what, scene.question(scene.principal("user/reader")), scene.reader)
        assert answer.status == 403 or answer.body["results"] == []


def test_an_asker_that_proves_nothing_is_unauthorized(scene: Scene) -> None:
    body = scene.question(scene.principal("user/reader"))
    wrong = Keys(scene.asker.access_key_id, "wrong" * 8)
    answers = [post(scene.server, EVALUATION, body, keys) for keys in (None, wrong)]
    answers.append(post(scene.server, EVALUATION, body, None, Authorization="Bearer a.b.c"))
    for answer in answers:
        assert answer.status == 401
        assert "Bearer" in answer.headers["WWW-Authenticate"]


def test_a_session_is_decided_with_what_limits_it_until_it_is_revoked(scene: Scene) -> None:
    narrow = document(allow("s3:GetObject", on=f"{scene.bucket}/2025/*"))
    whole = assume(scene.server, scene.reader, scene.app)
    sts = scene.server.client("sts", scene.reader)
    limited = Keys.of(
        sts.assume_role(RoleArn=scene.app, RoleSessionName="limited", Policy=narrow)["Credentials"]
    )
    assert scene.ask(of_session(whole)).decision
    assert not scene.ask(of_session(limited)).decision
    assert scene.ask(of_session(limited), on=f"{scene.bucket}/2025/a").decision
    assert scene.ask(of_session(whole), scene.outsider, on=scene.object).status == 200
    mixed = {**of_session(whole), "id": limited.access_key_id}
    assert not scene.ask(mixed).decision
    narrow_asker = new_user(
        scene.server, scene.account, "narrow", allow("broker:EvaluateAccess", on=scene.app)
    )
    assert not scene.ask(mixed, narrow_asker).decision  # of nobody, so no permission is asked
    root = session().client(
        "sts",
        region_name=REGION,
        endpoint_url=scene.server.url,
        aws_access_key_id=scene.account.root.access_key_id,
        aws_secret_access_key=scene.account.root.secret_access_key,
    )
    root.revoke_sessions(AccessKeyId=whole.access_key_id)
    assert not scene.ask(of_session(whole)).decision


def test_the_resources_policy_decides_across_accounts(scene: Scene) -> None:
    subject = scene.principal("user/outsider", scene.other)
    asker = new_user(scene.server, scene.other, "asker", allow("broker:EvaluateAccess"))
    assert not scene.ask(subject, asker).decision
    statement = {**allow("s3:GetObject"), "Principal": {"AWS": scene.other.account_id}}
    scene.iam.put_foreign_resource_policy(ResourceArn=scene.bucket, PolicyDocument=document(statement))
    try:
        assert scene.ask(subject, asker).decision
        statement = {**deny("s3:GetObject"), "Principal": "*"}
        scene.iam.put_foreign_resource_policy(ResourceArn=scene.bucket, PolicyDocument=document(statement))
        assert not scene.ask(scene.principal("user/reader")).decision
        shown = scene.iam.get_foreign_resource(ResourceArn=scene.bucket)["ForeignResource"]
        assert shown["PolicyDocument"]["Statement"] == [statement]
    finally:
        scene.iam.delete_foreign_resource_policy(ResourceArn=scene.bucket)
    assert scene.ask(scene.principal("root")).decision
    assert not scene.ask(scene.principal("root"), on="arn:aws:s3:::nobodys/a").decision


def test_the_context_is_read_by_conditions_and_nothing_is_known_of_the_asker(scene: Scene) -> None:
    from_office = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    new_user(scene.server, scene.account, "office", allow("s3:*", Condition=from_office))
    local = {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    new_user(scene.server, scene.account, "local", allow("s3:*", Condition=local))
    office = scene.principal("user/office")
    assert scene.ask(office, context={"aws:SourceIp": "192.0.2.7"}).decision
    assert not scene.ask(office, context={"aws:SourceIp": "198.51.100.7"}).decision
    assert not scene.ask(office).decision
    assert not scene.ask(scene.principal("user/local")).decision
    deceiving = scene.ask(office, context={"aws:MultiFactorAuthPresent": True})
    assert (deceiving.status, deceiving.body["error"]["code"]) == (400, "ValidationError")


def test_several_evaluations_are_answered_each_and_stop_where_they_are_told_to(scene: Scene) -> None:
    may = {"subject": scene.principal("user/reader")}
    may_not = {"subject": scene.principal("user/asker")}
    wrong = {"subject": {"type": "user", "id": "alice"}}

    def decisions(semantic: str, *entries: dict[str, Any]) -> list[bool]:
        body = scene.question({}, evaluations=list(entries), options={"evaluations_semantic": semantic})
        answer = post(scene.server, EVALUATIONS, body, scene.asker)
        assert answer.status == 200, answer.body
        return [one["decision"] for one in answer.body["evaluations"]]

    assert decisions("execute_all", may, may_not, wrong, may) == [True, False, False, True]
    assert decisions("deny_on_first_deny", may, may_not, may) == [True, False]
    assert decisions("permit_on_first_permit", may_not, wrong, may, may) == [False, False, True]
    answer = post(scene.server, EVALUATIONS, scene.question({}, evaluations=[wrong, may]), scene.asker)
    first, second = answer.body["evaluations"]
    assert first["context"]["error"]["status"] == 400
    ids = [one["context"]["decision_id"] for one in (first, second)]
    assert len({record["requestID"] for one in ids for record in records_of(scene.server, one)}) == 2
    alone = post(scene.server, EVALUATIONS, scene.question(scene.principal("user/reader")), scene.asker)
    assert alone.decision


def test_searches_find_what_the_broker_knows(scene: Scene) -> None:
    found = scene.search("subject", scene.question({"type": "principal"}))
    assert {one["id"].rpartition(":")[2] for one in found.body["results"]} == {"user/reader"}
    token = found.body["page"]["next_token"]
    second = scene.search("subject", scene.question({"type": "principal"}, page={"token": token}))
    assert [one["id"] for one in second.body["results"]] == [scene.app]
    assert second.body["page"]["next_token"] == ""
    reader = scene.principal("user/reader")
    found = scene.search("action", scene.question(reader))
    assert [one["name"] for one in found.body["results"]] == ["s3:GetObject"]
    resources = scene.search("resource", scene.question(scene.principal("root"), "s3:ListBucket"))
    assert resources.body["results"] == [{"type": "resource", "id": scene.bucket}]
    assert scene.search("resource", scene.question(reader, "s3:ListBucket")).body["results"] == []
    spoiled = scene.search("subject", scene.question({"type": "principal"}, page={"token": "!"}))
    assert spoiled.status == 400


def test_a_request_id_comes_back_and_the_endpoints_are_published(scene: Scene) -> None:
    body = scene.question(scene.principal("user/reader"))
    answer = post(scene.server, EVALUATION, body, scene.asker, **{"X-Request-ID": "a-1"})
    assert answer.headers["X-Request-ID"] == "a-1"
    url = f"{scene.server.url}/.well-known/authzen-configuration"
    published = send(urllib.request.Request(url)).body
    assert published["policy_decision_point"] == scene.server.url
    assert published["access_evaluation_endpoint"] == scene.server.url + EVALUATION


def test_who_asks_for_the_metadata_with_too_large_a_head_is_answered_whatever_the_host(scene: Scene) -> None:
    host, _, port = scene.server.api.partition(":")
    head = b"GET /.well-known/authzen-configuration HTTP/1.1\r\nHost: \xff\r\nX: " + b"a" * 20_000
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"subject": {}, "subject": {}}', b'{"a":' * 40])
def test_a_body_that_is_no_question_is_refused(scene: Scene, body: bytes) -> None:
    assert post(scene.server, EVALUATION, body, scene.asker).status == 400


def test_operations_on_foreign_resources_are_refused_to_whom_nothing_is_allowed(scene: Scene) -> None:
    iam = scene.client(scene.asker)
    named = {"ResourceArn": scene.bucket}
    assert refused(iam.register_foreign_resource, **named)[1] == "AccessDenied"
    assert refused(iam.put_foreign_resource_policy, **named, PolicyDocument="{}")[1] == "AccessDenied"
    assert refused(iam.get_foreign_resource, **named)[1] == "AccessDenied"
    assert refused(iam.list_foreign_resources)[1] == "AccessDenied"
    assert refused(iam.delete_foreign_resource_policy, **named)[1] == "AccessDenied"
    assert refused(iam.deregister_foreign_resource, **named)[1] == "AccessDenied"
    other = "arn:aws:s3:::" + "other-" + scene.account.account_id
    scene.iam.register_foreign_resource(ResourceArn=other)
    listed = scene.iam.list_foreign_resources(ArnPrefix=other)["ForeignResources"]
    assert [one["ResourceArn"] for one in listed] == [other]
    scene.iam.deregister_foreign_resource(ResourceArn=other)
