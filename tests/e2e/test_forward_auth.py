"""Forward authentication with real proxies: nginx, HAProxy and Caddy, by the files of config/examples/forward-auth.

A client of gRPC's own asks by Envoy's messages, as one proxy more.
"""

import datetime
import http.client
import json
import posixpath
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

import botocore.auth
import grpc
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from broker.config.loading import load_settings
from tests.e2e.conftest import REACHES_LOOPBACK, REGION, Account, Keys
from tests.e2e.forwarding import (
    EXAMPLES,
    HOST,
    PASSES_BODIES,
    PROXIES,
    Answer,
    grpc_beside,
    send,
    server_behind,
)
from tests.e2e.grpc_proxy import ask as ask_by_grpc
from tests.e2e.grpc_proxy import new_check
from tests.e2e.portal import Client, PortalServer
from tests.e2e.scenes import allow, assume, document, new_role, new_user, records_of, trust, written_in
from tests.e2e.test_authzen import post as ask
from tests.e2e.test_session_operations import session
from tests.e2e.test_token_exchange import ACCESS_TOKEN, EXCHANGE, SIGNED
from tests.e2e.test_token_exchange import post as post_form
from tests.identity_providers.fixtures import STS
from tests.identity_providers.openid_provider import OpenIdProvider
from tests.ports import free_port

ACCOUNT = "111111111111"
SHOP = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:shop"
SERVICE = "execute-api"
ORDER = "/orders/7"


class Scene:
    """The account of the example's routes; `alice` may read orders, `bob` may do nothing."""

    def __init__(self, server: PortalServer, account: Account, forward: str) -> None:
        self.server, self.account, self.forward = server, account, forward
        self.forward_grpc = grpc_beside(forward)
        self.alice = new_user(
            server, account, "alice", allow("execute-api:Invoke", on=f"{SHOP}/prod/*"), allow("sts:*")
        )
        self.bob = new_user(server, account, "bob")
        self.app = new_role(
            server, account, "app", trust(ACCOUNT), allow("execute-api:Invoke", on=f"{SHOP}/prod/*")
        )
        self.iam = session().client(
            "iam",
            region_name=REGION,
            endpoint_url=server.url,
            aws_access_key_id=account.root.access_key_id,
            aws_secret_access_key=account.root.secret_access_key,
        )
        public = {**allow("execute-api:Invoke", on=f"{SHOP}/prod/GET/public/*"), "Principal": "*"}
        self.iam.put_foreign_resource_policy(ResourceArn=SHOP, PolicyDocument=document(public))

    @cached_property
    def access_token(self) -> str:
        """An access token of the account's issuer for itself, of a session of `app` that alice has exchanged."""
        issuer = self.iam.enable_outbound_web_identity_federation()["IssuerIdentifier"]
        more = document(allow("sts:GetWebIdentityToken"))
        self.iam.put_role_policy(RoleName="app", PolicyName="tokens", PolicyDocument=more)
        asked = {
            "grant_type": EXCHANGE,
            "subject_token_type": SIGNED,
            "subject_token": self.alice.access_key_id,
            "requested_token_type": ACCESS_TOKEN,
            "resource": self.app,
            "audience": issuer,
        }
        answer = post_form(f"{issuer}/oauth2/token", asked, self.alice)
        assert answer.status == 200, answer.body
        return str(answer.body["access_token"])

    @cached_property
    def cookies(self) -> str:
        """The Cookie header of alice's browser, which has a cookie of the server behind, too."""
        self.server.set_password(self.account, "alice")
        client = Client(self.server)
        client.sign_in(ACCOUNT, "alice")
        client.cookies["cart"] = "full"
        return "; ".join(f"{name}={value}" for name, value in client.cookies.items())

    def web_role(self, provider: OpenIdProvider) -> str:
        """A role that tokens of the provider take, made once."""
        iam = self.server.client("iam", self.account.root)
        if not iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
            arn = iam.create_open_id_connect_provider(
                Url=provider.issuer, ClientIDList=[STS], ThumbprintList=["0" * 40]
            )["OpenIDConnectProviderArn"]
            trusting = {
                "Effect": "Allow",
                "Principal": {"Federated": arn},
                "Action": "sts:AssumeRoleWithWebIdentity",
            }
            new_role(self.server, self.account, "web", trusting, allow("execute-api:Invoke"))
        return f"arn:aws:iam::{ACCOUNT}:role/web"


def routes() -> str:
    """Those of the example, and one for tokens of a provider."""
    shown = load_settings(EXAMPLES / "broker.toml", {}).authorize.routes
    tables = [{name: getattr(one, name) for name in one.__struct_fields__} for one in shown]
    wide = {**tables[0], "path": "/tokens/{order}", "role_arn": f"arn:aws:iam::{ACCOUNT}:role/web"}
    return json.dumps([*tables, wide])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("forward")
    forward = f"127.0.0.1:{free_port(1)}"
    environment = {
        **REACHES_LOOPBACK,
        "BROKER_LISTEN_FORWARD": forward,
        "BROKER_LISTEN_FORWARD_GRPC": grpc_beside(forward),
        "BROKER_AUTHORIZE_ROUTES": routes(),
    }
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}", environment=environment)
    server.environment["BROKER_FEDERATION_ISSUER_URL"] = f"{server.url}/issuers"
    with server.running():
        yield Scene(server, server.new_account(ACCOUNT), forward)


@pytest.fixture(scope="module", params=PROXIES)
def proxy(
    request: pytest.FixtureRequest, scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with server_behind() as behind:
        folder = tmp_path_factory.mktemp(request.param)
        with PROXIES[request.param](folder, scene.forward, behind) as address:
            yield address


def signed(
    keys: Keys, method: str = "GET", target: str = ORDER, body: bytes = b"", **more: str
) -> list[tuple[str, str]]:
    """The headers of a request that is signed as a client of API Gateway signs."""
    request = AWSRequest(method, f"http://{HOST}{target}", {"Host": HOST, **more}, body)
    own = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    SigV4Auth(own, SERVICE, REGION).add_auth(request)
    return list(request.headers.items())


def presigned(keys: Keys, seconds: int = 60, target: str = ORDER) -> str:
    request = AWSRequest("GET", f"http://{HOST}{target}", {"Host": HOST})
    own = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    SigV4QueryAuth(own, SERVICE, REGION, seconds).add_auth(request)
    return request.url.removeprefix(f"http://{HOST}")


def at(moment: datetime.datetime) -> Any:
    """Signed at another time, as a clock that is wrong would."""
    return patch.object(botocore.auth, "get_current_datetime", lambda *_: moment.replace(tzinfo=None))


def decision(scene: Scene, answer: Answer) -> dict[str, Any]:
    """The record of the decision that the client was told of."""
    (record,) = records_of(scene.server, answer.headers["X-Broker-Decision-Id"])
    return record


def test_who_may_gets_through_and_the_server_behind_learns_who_it_is(scene: Scene, proxy: str) -> None:
    answer = send(proxy, "GET", f"{ORDER}?lines=2", signed(scene.alice, target=f"{ORDER}?lines=2"))
    assert answer.seen["path"] == f"{ORDER}?lines=2"
    assert answer.seen_header("X-Broker-Arn") == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert answer.seen_header("X-Broker-Account") == ACCOUNT
    assert answer.seen_header("X-Broker-User-Id").startswith("AIDA")
    assert answer.seen_header("Authorization") is None
    keys = assume(scene.server, scene.alice, scene.app)
    answer = send(proxy, "GET", ORDER, signed(keys))
    assert answer.seen_header("X-Broker-Arn").startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/app/")
    assert answer.seen_header("X-Amz-Security-Token") is None


def test_who_may_not_is_denied_with_the_id_of_the_decision(scene: Scene, proxy: str) -> None:
    answer = send(proxy, "GET", ORDER, signed(scene.bob))
    assert answer.status == 403
    record = decision(scene, answer)
    assert (record["eventName"], record["errorCode"]) == ("AuthorizeRequest", "AccessDenied")
    assert record["userIdentity"]["userName"] == "bob"
    assert record["requestParameters"]["resource"] == f"{SHOP}/prod/GET/orders/7"
    assert "no identity-based policy allows" in record["errorMessage"]


def test_nobody_in_particular_sees_what_is_public_and_is_asked_for_a_proof_elsewhere(
    scene: Scene, proxy: str
) -> None:
    answer = send(proxy, "GET", "/public/a.css", [("Host", HOST)])
    assert answer.seen["path"] == "/public/a.css"
    assert not answer.seen_header("X-Broker-Arn")
    answer = send(proxy, "GET", ORDER, [("Host", HOST)])
    assert answer.status == 401
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert send(proxy, "GET", "/elsewhere", signed(scene.alice, target="/elsewhere")).status == 403
    assert send(proxy, "DELETE", ORDER, signed(scene.alice, "DELETE")).status == 403


def test_a_signature_is_good_for_its_request_and_its_time_alone(scene: Scene, proxy: str) -> None:
    headers = signed(scene.alice)
    assert send(proxy, "GET", "/orders/8", headers).status == 401
    assert send(proxy, "PUT", ORDER, headers).status == 401
    assert send(proxy, "GET", f"{ORDER}?a=b", headers).status == 401
    with at(datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=20)):
        old, old_url = signed(scene.alice), presigned(scene.alice, 600)
    assert send(proxy, "GET", ORDER, old).status == 401
    assert send(proxy, "GET", old_url, [("Host", HOST)]).status == 401
    wrong = Keys(scene.alice.access_key_id, "wrong" * 8)
    assert send(proxy, "GET", ORDER, signed(wrong)).status == 401
    url = presigned(scene.alice)
    assert send(proxy, "GET", url, [("Host", HOST)]).seen["path"] == url
    assert send(proxy, "GET", url.replace("/7", "/8"), [("Host", HOST)]).status == 401


def test_a_session_that_is_revoked_is_out_with_the_next_request(scene: Scene, proxy: str) -> None:
    keys = assume(scene.server, scene.alice, scene.app)
    assert send(proxy, "GET", ORDER, signed(keys)).status == 200
    sts = session().client(
        "sts",
        region_name=REGION,
        endpoint_url=scene.server.url,
        aws_access_key_id=scene.account.root.access_key_id,
        aws_secret_access_key=scene.account.root.secret_access_key,
    )
    sts.revoke_sessions(AccessKeyId=keys.access_key_id)
    assert send(proxy, "GET", ORDER, signed(keys)).status == 401


@pytest.mark.parametrize("name", ["X-Broker-Arn", "x-broker-account", "X_Broker_Arn", "X-Broker-Cookie"])
def test_a_client_cannot_say_itself_who_it_is(scene: Scene, proxy: str, name: str) -> None:
    """It is denied, or the header does not get to the server behind."""
    for headers in (signed(scene.alice), [("Host", HOST)]):
        path = ORDER if len(headers) > 1 else "/public/a"
        answer = send(proxy, "GET", path, [*headers, (name, "arn:aws:iam::111111111111:root")])
        if answer.status not in (400, 403):
            assert "root" not in str(answer.seen["headers"])


@pytest.mark.parametrize(
    "name",
    ["X-Original-URI", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Host"],
)
def test_a_client_cannot_say_which_request_it_sends(scene: Scene, proxy: str, name: str) -> None:
    value = {"Method": "GET", "Host": "other.example.com"}.get(name.rpartition("-")[2], "/public/a")
    answer = send(proxy, "PUT", ORDER, [("Host", HOST), (name, value)])
    assert answer.status in (401, 403)
    answer = send(proxy, "GET", ORDER, [*signed(scene.bob), (name, value)])
    assert answer.status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/public/../orders/7",
        "/public/%2e%2e/orders/7",
        "/public/.%2e/orders/7",
        "/public/..%2forders/7",
        "/public/%2e%2e%2forders%2f7",
        "/public//orders/7",
        "//orders/7",
        "//public/a",
        "/public/./a",
        "/public/..;/orders/7",
        "/public/a%00b",
        "/public/%252e%252e/orders/7",
        "/public\\..\\orders\\7",
        "/public/..%5corders",
        "/PUBLIC/a",
        "/public/%61",
    ],
)
def test_all_agree_on_the_path_or_it_goes_nowhere(scene: Scene, proxy: str, path: str, request: Any) -> None:
    for headers in ([("Host", HOST)], signed(scene.alice, target=path)):
        answer = send(proxy, "GET", path, headers)
        if request.node.callspec.params["proxy"] == "traefik" and answer.status == 200:
            # It normalises the path itself, before it asks: what was decided about is what it sends on.
            assert answer.seen["path"] == posixpath.normpath(f"/{unquote(path).lstrip('/')}")
            assert answer.seen["path"].startswith("/public/") or len(headers) > 1
            continue
        assert answer.status in (400, 401, 403), answer.body


def test_another_host_is_none_of_the_routes(scene: Scene, proxy: str) -> None:
    answer = send(proxy, "GET", "/public/a", [("Host", "other.example.com")])
    assert answer.status != 200 or not answer.body  # Caddy has no site of this name, and answers nothing


def test_a_body_is_what_was_signed_where_the_proxy_passes_it_on(
    scene: Scene, proxy: str, request: Any
) -> None:
    headers = signed(scene.alice, "PUT", body=b"ten apples")
    name = request.node.callspec.params["proxy"]
    if name not in PASSES_BODIES:  # without the body, the hash has to be in the request
        assert send(proxy, "PUT", ORDER, headers, b"ten apples").status == 401
        digest = sha256(b"ten apples").hexdigest()
        headers = signed(scene.alice, "PUT", body=b"ten apples", **{"X-Amz-Content-SHA256": digest})
        answer = send(proxy, "PUT", ORDER, headers, b"ten apples")
        assert answer.seen_header("X-Amz-Content-SHA256") == digest
        forged = [(key, value.replace(digest, "0" * 64)) for key, value in headers]
        assert send(proxy, "PUT", ORDER, forged, b"ten apples").status == 401
        return
    assert send(proxy, "PUT", ORDER, headers, b"ten apples").seen["body"] == "ten apples"
    assert send(proxy, "PUT", ORDER, headers, b"ten thousand").status == 401
    assert send(proxy, "PUT", ORDER, headers).status == 401


def test_what_is_signed_without_a_body_is_not_taken_for_writing(scene: Scene, proxy: str) -> None:
    unsigned = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    assert send(proxy, "GET", ORDER, signed(scene.alice, **unsigned)).status == 200
    assert send(proxy, "PUT", ORDER, signed(scene.alice, "PUT", **unsigned)).status == 401


def test_tokens_of_a_provider_take_the_role_of_the_route(
    scene: Scene, proxy: str, openid_provider: OpenIdProvider
) -> None:
    scene.web_role(openid_provider)
    token = openid_provider.machine_token("pipeline", "urn:sts")
    bearer = [("Host", HOST), ("Authorization", f"Bearer {token}")]
    for _ in range(2):
        answer = send(proxy, "GET", "/tokens/7", bearer)
        assert answer.seen_header("X-Broker-Arn") == f"arn:aws:sts::{ACCOUNT}:assumed-role/web/forward"
        assert answer.seen_header("Authorization") is None
    assert send(proxy, "GET", ORDER, bearer).status == 401
    spoiled = [("Host", HOST), ("Authorization", f"Bearer {token[:-4]}AAAA")]
    assert send(proxy, "GET", "/tokens/7", spoiled).status == 401


def test_an_access_token_of_the_accounts_issuer_is_its_session(scene: Scene, proxy: str) -> None:
    bearer = [("Host", HOST), ("Authorization", f"Bearer {scene.access_token}")]
    answer = send(proxy, "GET", ORDER, bearer)
    assert answer.seen_header("X-Broker-Arn") == f"arn:aws:sts::{ACCOUNT}:assumed-role/app/token-exchange"
    for token in (f"{scene.access_token[:-4]}AAAA", "a.b.c", ""):
        assert send(proxy, "GET", ORDER, [("Host", HOST), ("Authorization", f"Bearer {token}")]).status == 401


def test_the_portals_cookie_is_its_person_and_stays_with_the_broker(scene: Scene, proxy: str) -> None:
    assert "broker-session" in scene.cookies
    answer = send(proxy, "GET", ORDER, [("Host", HOST), ("Cookie", scene.cookies)])
    assert answer.seen_header("X-Broker-Arn") == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert answer.seen_header("Cookie") == "cart=full"
    spoiled = scene.cookies.replace("broker-session=", "broker-session=A")
    assert send(proxy, "GET", ORDER, [("Host", HOST), ("Cookie", spoiled)]).status == 401
    assert (
        send(proxy, "GET", "/public/a", [("Host", HOST), ("Cookie", spoiled)]).seen_header("Cookie")
        == "cart=full"
    )


def test_the_portals_cookie_stays_with_the_broker_though_the_client_sends_two_headers(
    scene: Scene, proxy: str
) -> None:
    for cookies in (("cart=full", scene.cookies), (scene.cookies, "cart=full")):
        headers = [("Host", HOST), *(("Cookie", value) for value in cookies)]
        answer = send(proxy, "GET", "/public/a", headers)
        assert answer.status == 200
        assert "broker-session" not in str(answer.seen["headers"])


def test_browsers_are_sent_to_the_portal(scene: Scene, proxy: str, request: Any) -> None:
    answer = send(proxy, "GET", ORDER, [("Host", HOST), ("Accept", "text/html,*/*")])
    if request.node.callspec.params["proxy"] == "haproxy":
        assert answer.status == 401  # the example is for machines
        return
    assert (answer.status, answer.headers["Location"]) == (302, scene.server.origin)


def test_services_ask_with_access_tokens_about_tokens_of_providers(
    scene: Scene, openid_provider: OpenIdProvider
) -> None:
    role = scene.web_role(openid_provider)
    may_ask = document(allow("broker:EvaluateAccess"))
    scene.iam.put_role_policy(RoleName="app", PolicyName="asks", PolicyDocument=may_ask)
    token = openid_provider.machine_token("pipeline", "urn:sts")
    bearer = {"Authorization": f"Bearer {scene.access_token}"}

    def decided(token: str, role_arn: str) -> bool:
        subject = {"type": "web_identity", "id": token, "properties": {"role_arn": role_arn}}
        question = {
            "subject": subject,
            "action": {"name": "execute-api:Invoke"},
            "resource": {"type": "resource", "id": f"{SHOP}/prod/GET/orders/7"},
        }
        answer = ask(scene.server, "/access/v1/evaluation", question, None, **bearer)
        assert answer.status == 200, answer.body
        return bool(answer.body["decision"])

    assert decided(token, role)
    assert not decided(token, scene.app)
    assert not decided(f"{token[:-4]}AAAA", role)
    assert token not in written_in(scene.server)
    scene.iam.delete_role_policy(RoleName="app", PolicyName="asks")
    answer = ask(
        scene.server, "/access/v1/evaluation", {"subject": {"type": "principal", "id": role}}, None, **bearer
    )
    assert answer.status == 400


def test_only_a_proxy_of_the_settings_is_answered(scene: Scene) -> None:
    headers = [("Host", HOST), ("X-Original-Method", "GET"), ("X-Original-Host", HOST)]
    headers.append(("X-Original-URI", "/public/a"))
    assert send(scene.forward, "GET", "/forward/x-original", headers).status == 200
    connection = http.client.HTTPConnection(
        *scene.forward.split(":"), timeout=10, source_address=("127.0.0.9", 0)
    )
    connection.request("GET", "/forward/x-original", headers=dict(headers))
    answer = connection.getresponse()
    assert answer.status == 403
    (record,) = records_of(scene.server, answer.headers["X-Broker-Decision-Id"])
    assert "is not one of authorize.proxies" in record["errorMessage"]
    connection.close()
    assert send(scene.forward, "GET", "/", headers).status == 403
    envoy = [("Host", HOST)]
    assert send(scene.forward, "GET", "/forward/envoy/public/a", envoy).status == 200
    assert send(scene.forward, "GET", "/forward/envoy/public/../orders/7", envoy).status == 403


def test_what_envoy_has_to_say_and_does_not_is_denied_with_a_record(scene: Scene) -> None:
    whole = new_check("GET", HOST, "/public/a", [])
    no_source = new_check("GET", HOST, "/public/a", [], source="")
    with grpc.insecure_channel(scene.forward_grpc) as channel:
        assert ask_by_grpc(channel, whole.SerializeToString()).status.code == 0
        for message, reason in (
            (no_source.SerializeToString(), "source.address"),
            (b"\xff", "no CheckRequest"),
        ):
            answer = ask_by_grpc(channel, message)
            assert (answer.status.code, answer.denied_response.status.code) == (7, 403)
            shown = {one.header.key: one.header.value for one in answer.denied_response.headers}
            (record,) = records_of(scene.server, shown["x-broker-decision-id"])
            assert reason in record["errorMessage"]


def test_the_address_in_a_record_is_that_of_envoys_client(scene: Scene) -> None:
    forged = [("X-Forwarded-For", "10.0.0.1")]
    message = new_check("GET", HOST, ORDER, forged, source="192.0.2.7").SerializeToString()
    with grpc.insecure_channel(scene.forward_grpc) as channel:
        answer = ask_by_grpc(channel, message)
    assert (answer.status.code, answer.denied_response.status.code) == (16, 401)
    shown = {one.header.key: one.header.value for one in answer.denied_response.headers}
    (record,) = records_of(scene.server, shown["x-broker-decision-id"])
    assert record["sourceIPAddress"] == "192.0.2.7"
