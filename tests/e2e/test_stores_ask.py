"""Stores that ask by protocols of their own: MinIO's policy plug-in, Keystone's tokens for signatures."""

import json
import urllib.error
import urllib.request
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.conftest import REGION, Account, Keys, Server
from tests.e2e.scenes import allow, assume, deny, document, new_role, new_user, records, trust
from tests.e2e.test_session_operations import session

ACCOUNT = "111111111111"
MINIO, KEYSTONE = "Bearer minios-own-secret", "keystones-own-secret"


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


class Scene:
    def __init__(self, server: Server, account: Account) -> None:
        self.server, self.account = server, account
        self.reader = new_user(server, account, "reader", allow("s3:GetObject"), allow("sts:*"))
        listing = {"StringLike": {"s3:prefix": "mine/*"}}
        new_user(server, account, "lister", allow("s3:ListBucket", Condition=listing))
        new_user(server, account, "careful", allow("s3:*"), deny("s3:DeleteObject"))

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        data = json.dumps(body).encode()
        sent = urllib.request.Request(
            self.server.url + path, data, {"Content-Type": "application/json", **headers}
        )
        try:
            with urllib.request.urlopen(sent, timeout=10) as answer:
                return Answer(answer.status, json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read())

    def minio(self, account: str, action: str = "s3:GetObject", **more: Any) -> bool:
        """What MinIO is answered; `more` are further members of its input."""
        asked = {"account": account, "action": action, "bucket": "photos", "object": "a.jpg", "owner": False}
        answer = self.post("/minio/policy", {"input": asked | more}, Authorization=MINIO)
        assert answer.status == 200, answer.body
        assert answer.body.keys() == {"result"}
        return bool(answer.body["result"])

    def s3_token(self, keys: Keys, secret: str | None = None, **changes: str) -> Answer:
        """As Ceph asks: the string to sign of a request to it, and its signature."""
        own = Credentials(keys.access_key_id, secret or keys.secret_access_key)
        signer = Telling(own, "s3", REGION)
        request = AWSRequest("GET", "http://store.example.com/photos", {"Host": "store.example.com"})
        signer.add_auth(request)
        asked = {
            "access": keys.access_key_id,
            "token": b64encode(signer.string.encode()).decode(),
            "signature": request.headers["Authorization"].rpartition("Signature=")[2],
        }
        return self.post("/v3/s3tokens", {"credentials": asked | changes}, **{"X-Auth-Token": KEYSTONE})

    def ec2_token(self, keys: Keys, path: str = "/photos") -> Answer:
        own = Credentials(keys.access_key_id, keys.secret_access_key)
        body = b"Action=Version"
        request = AWSRequest("POST", "http://store.example.com/photos", {"Host": "store.example.com"}, body)
        SigV4Auth(own, "s3", REGION).add_auth(request)
        asked = {
            "access": keys.access_key_id,
            "host": "store.example.com",
            "verb": "POST",
            "path": path,
            "params": {},
            "headers": dict(request.headers.items()),
            "body_hash": sha256(body).hexdigest(),
        }
        return self.post("/v3/ec2tokens", {"credentials": asked}, **{"X-Auth-Token": KEYSTONE})


class Telling(SigV4Auth):
    """Tells the string to sign."""

    string = ""

    def string_to_sign(self, request: AWSRequest, canonical_request: str) -> str:
        self.string = super().string_to_sign(request, canonical_request)
        return self.string


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("stores")
    environment = {
        "BROKER_STORES_MINIO_AUTHORIZATION": MINIO,
        "BROKER_STORES_MINIO_ACCOUNT_ID": ACCOUNT,
        "BROKER_STORES_KEYSTONE_TOKEN": KEYSTONE,
        "BROKER_AUTHORIZE_ACCOUNTS_TAKE_NAMES": "true",
    }
    with Server(folder, f"sqlite:{folder / 'broker.db'}", environment=environment).running() as server:
        yield Scene(server, server.new_account(ACCOUNT))


def test_minio_asks_for_users_by_their_names(scene: Scene) -> None:
    assert scene.minio("reader")
    assert not scene.minio("reader", "s3:PutObject")
    assert not scene.minio("nobody")
    assert not scene.minio("READER")
    record = records(scene.server)[-1]
    assert (record["eventName"], record["requestParameters"]["account"]) == ("DecideForMinio", "READER")
    assert record["responseElements"]["decision"] == "denied"
    assert scene.minio("service-account-key", claims={"parent": "reader", "sa-policy": "inherited-policy"})
    assert not scene.minio("service-account-key")
    assert scene.minio("administrator", "admin:ServerInfo", owner=True, bucket="", object="")
    assert not scene.minio("reader", "admin:ServerInfo", bucket="", object="")


def test_conditions_and_session_policies_of_minio_count(scene: Scene) -> None:
    asked = {"action": "s3:ListBucket", "object": ""}
    assert scene.minio("lister", **asked, conditions={"prefix": ["mine/a"]})
    assert not scene.minio("lister", **asked, conditions={"prefix": ["yours/a"]})
    assert not scene.minio("lister", **asked)
    narrow = b64encode(document(allow("s3:GetObject", on="arn:aws:s3:::photos/b.jpg")).encode()).decode()
    claims = {"parent": "reader", "sessionPolicy": narrow}
    assert not scene.minio("key", claims=claims)
    assert scene.minio("key", claims=claims, object="b.jpg")
    spoiled = {
        "input": {"account": "reader", "action": "s3:GetObject", "claims": {**claims, "sessionPolicy": "?"}}
    }
    assert scene.post("/minio/policy", spoiled, Authorization=MINIO).status == 400


def test_minio_may_only_look_for_what_denies(scene: Scene) -> None:
    assert scene.minio("reader", "s3:PutObject", denyOnly=True)
    assert not scene.minio("careful", "s3:DeleteObject", denyOnly=True)
    assert not scene.minio("nobody", denyOnly=True)


def test_a_bucket_of_another_account_is_not_minios_own(scene: Scene) -> None:
    other = scene.server.new_account()
    iam = session().client(
        "iam",
        region_name=REGION,
        endpoint_url=scene.server.url,
        aws_access_key_id=other.root.access_key_id,
        aws_secret_access_key=other.root.secret_access_key,
    )
    iam.register_foreign_resource(ResourceArn="arn:aws:s3:::others-photos")
    assert not scene.minio("reader", bucket="others-photos")
    shared = {**allow("s3:GetObject"), "Principal": {"AWS": ACCOUNT}}
    iam.put_foreign_resource_policy(ResourceArn="arn:aws:s3:::others-photos", PolicyDocument=document(shared))
    assert scene.minio("reader", bucket="others-photos")


def test_a_token_of_an_issuer_that_is_not_ours_makes_nobody_a_user(scene: Scene) -> None:
    claims = {
        "iss": "https://idp.example.com",
        "sub": f"arn:aws:iam::{ACCOUNT}:user/reader",
        "parent": "reader",
    }
    assert not scene.minio("reader", claims=claims)


def test_stores_prove_themselves_by_their_secret(scene: Scene) -> None:
    body = {"input": {"account": "reader", "action": "s3:GetObject"}}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEYSTONE}):
        assert scene.post("/minio/policy", body, **headers).status == 401
    for path in ("/v3/s3tokens", "/v3/ec2tokens"):
        assert scene.post(path, {"credentials": {}}, **{"X-Auth-Token": "wrong"}).status == 401
        assert scene.post(path, {"credentials": {}}).status == 401
        assert scene.post(path, {}, **{"X-Auth-Token": KEYSTONE}).status == 400


def test_keystone_says_whose_signature_it_is(scene: Scene) -> None:
    answer = scene.s3_token(scene.reader)
    assert answer.status == 200, answer.body
    token = answer.body["token"]
    assert (token["user"]["name"], token["project"]["id"]) == ("reader", ACCOUNT)
    assert {"id": "Member", "name": "Member"} in token["roles"]
    assert scene.s3_token(scene.reader, secret="wrong" * 8).status == 401
    assert scene.s3_token(scene.reader, access="AKIA" + "A" * 16).status == 401
    string = urlsafe_b64encode(b"AWS4-HMAC-SHA256\n").decode()
    assert scene.s3_token(scene.reader, token=string).status == 401
    role = new_role(scene.server, scene.account, "app", trust(ACCOUNT))
    assert scene.s3_token(assume(scene.server, scene.reader, role)).status == 401


def test_keystone_says_whose_request_it_is(scene: Scene) -> None:
    answer = scene.ec2_token(scene.reader)
    assert answer.status == 200, answer.body
    assert answer.body["token"]["user"]["name"] == "reader"
    assert scene.ec2_token(scene.reader, "/others").status == 401


def test_without_the_settings_there_are_no_such_doors(server: Server) -> None:
    sent = urllib.request.Request(f"{server.url}/minio/policy", b"{}", {"Authorization": MINIO})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(sent, timeout=10)
    assert b"result" not in refused.value.read()
