"""What attackers try with codes, tokens and the pages that allow a client, each refused."""

import http.client
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.e2e.conftest import Account
from tests.e2e.portal import Client, PortalServer
from tests.e2e.scenes import allow, new_role, new_user, records, refused, trust
from tests.e2e.test_sso_login import READER

CALLBACK = "http://127.0.0.1/oauth/callback"
AT = "http://127.0.0.1:43210/oauth/callback"
VERIFIER = "v" * 43
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "sso:account:access"


def challenge_of(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Registered:
    """A client as `aws sso login` registers it."""

    server: PortalServer
    client_id: str
    secret: str

    @property
    def oidc(self) -> Any:
        return self.server.client("sso-oidc", None)

    def authorize(self, **changes: str) -> str:
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": AT,
            "state": "the-state",
            "code_challenge_method": "S256",
            "scopes": SCOPE,
            "code_challenge": challenge_of(VERIFIER),
            **changes,
        }
        return f"/authorize?{urlencode({name: text for name, text in query.items() if text})}"

    def token(self, **arguments: str) -> dict[str, Any]:
        proof = {"clientId": self.client_id, "clientSecret": self.secret}
        return dict(self.oidc.create_token(**{**proof, **arguments}))

    def trade(self, code: str, **changes: str) -> dict[str, Any]:
        of_code = {
            "grantType": "authorization_code",
            "code": code,
            "redirectUri": AT,
            "codeVerifier": VERIFIER,
        }
        return self.token(**{**of_code, **changes})

    def refresh(self, token: str) -> dict[str, Any]:
        return self.token(grantType="refresh_token", refreshToken=token)

    def start(self) -> dict[str, Any]:
        return dict(
            self.oidc.start_device_authorization(
                clientId=self.client_id, clientSecret=self.secret, startUrl="https://a.awsapps.com/start"
            )
        )


def register(server: PortalServer, **options: Any) -> Registered:
    defaults = {
        "clientName": "a <b>client</b>",
        "clientType": "public",
        "scopes": [SCOPE],
        "redirectUris": [CALLBACK],
        "grantTypes": ["authorization_code", "refresh_token", DEVICE_CODE],
    }
    answer = server.client("sso-oidc", None).register_client(**{**defaults, **options})
    return Registered(server, answer["clientId"], answer["clientSecret"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("sso")
    with PortalServer(folder, f"sqlite:{folder / 'broker.db'}").running() as running:
        assert isinstance(running, PortalServer)
        yield running


@pytest.fixture(scope="module")
def account(server: PortalServer) -> Account:
    made = server.new_account()
    for name in ("alice", "mallory"):
        new_user(server, made, name, allow("sts:AssumeRole"))
        server.set_password(made, name)
    new_role(server, made, READER, trust(f"arn:aws:iam::{made.account_id}:user/alice"))
    return made


@pytest.fixture(scope="module")
def known(server: PortalServer) -> Registered:
    return register(server)


@pytest.fixture(scope="module")
def alice(server: PortalServer, account: Account) -> Client:
    client = Client(server)
    assert client.sign_in(account.account_id, "alice").status == 303
    return client


def decide(person: Client, target: str, decision: str = "allow") -> str:
    """Where the person is sent after the decision."""
    page = person.get(target)
    assert page.status == 200, page.body
    answer = person.post(target, {"csrf_token": page.token, "decision": decision})
    assert answer.status == 303, answer.body
    return answer.header("Location")


def code_in(location: str) -> str:
    assert location.startswith(f"{AT}?")
    query = parse_qs(urlsplit(location).query)
    assert query["state"] == ["the-state"]
    return query["code"][0]


def refused_with(client: Any, name: str) -> Any:
    return pytest.raises(getattr(client.exceptions, name))


def test_a_code_buys_tokens_once_and_who_offers_it_again_ends_the_session(
    known: Registered, alice: Client, server: PortalServer
) -> None:
    code = code_in(decide(alice, known.authorize()))
    tokens = known.trade(code)
    portal = server.client("sso", None)
    assert portal.list_accounts(accessToken=tokens["accessToken"])["accountList"]
    with refused_with(known.oidc, "InvalidGrantException"):
        known.trade(code)
    with refused_with(portal, "UnauthorizedException"):
        portal.list_accounts(accessToken=tokens["accessToken"])
    with refused_with(known.oidc, "InvalidGrantException"):
        known.refresh(tokens["refreshToken"])


@pytest.mark.parametrize(
    "changes",
    [
        {"codeVerifier": "w" * 43},
        {"codeVerifier": challenge_of(VERIFIER)},
        {"codeVerifier": "short"},
        {"redirectUri": "http://127.0.0.1:43211/oauth/callback"},
        {"redirectUri": CALLBACK},
    ],
    ids=["verifier", "challenge as verifier", "short", "port", "no port"],
)
def test_a_code_is_bound_to_its_verifier_and_its_address(
    known: Registered, alice: Client, changes: dict[str, str]
) -> None:
    code = code_in(decide(alice, known.authorize()))
    with refused_with(known.oidc, "InvalidGrantException"):
        known.trade(code, **changes)


def test_a_code_is_bound_to_its_client(known: Registered, alice: Client, server: PortalServer) -> None:
    code = code_in(decide(alice, known.authorize()))
    with refused_with(known.oidc, "InvalidGrantException"):
        register(server).trade(code)
    assert known.trade(code)["tokenType"] == "Bearer"  # the other has used nothing up


def test_a_client_is_its_secret(known: Registered, server: PortalServer, alice: Client) -> None:
    other = register(server)
    code = code_in(decide(alice, known.authorize()))
    for secret in (other.secret, known.client_id, "", known.secret[:-4] + "AAAA"):
        with refused_with(known.oidc, "InvalidClientException"):
            known.trade(code, clientSecret=secret or "x")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "a" * 42}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scopes": "sso:account:access codewhisperer:completions"}, "invalid_scope"),
    ],
)
def test_a_request_without_pkce_or_with_more_than_there_is_gets_no_code(
    known: Registered, alice: Client, changes: dict[str, str], error: str
) -> None:
    answer = alice.get(known.authorize(**changes))
    assert answer.status == 303
    assert answer.header("Location") == f"{AT}?{urlencode({'error': error, 'state': 'the-state'})}"


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/oauth/callback",
        "http://127.0.0.1.evil.example/oauth/callback",
        "http://127.0.0.1@evil.example/oauth/callback",
        "http://127.0.0.1:1@evil.example/oauth/callback",
        "http://localhost:43210/oauth/callback",
        "http://[::1]:43210/oauth/callback",
        "http://127.0.0.1:43210/oauth/callback/../evil",
        "http://127.0.0.1:43210/oauth/callback?next=//evil.example",
        "http://127.0.0.1:43210/oauth/callback#",
        "http://127.0.0.1:43210/oauth/callback\r\nSet-Cookie: a=b",
        "http://127.0.0.1:43210/OAUTH/callback",
        "javascript:alert(1)",
        "",
    ],
)
def test_nobody_is_redirected_to_an_address_that_the_client_has_not_registered(
    known: Registered, alice: Client, address: str
) -> None:
    answer = alice.get(known.authorize(redirect_uri=address))
    assert (answer.status, answer.header("Location")) == (400, "")


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state"])
def test_a_parameter_that_is_there_twice_is_refused(known: Registered, alice: Client, name: str) -> None:
    answer = alice.get(f"{known.authorize()}&{name}=x")
    assert (answer.status, answer.header("Location")) == (400, "")


def test_no_page_of_another_site_allows_a_client(known: Registered, alice: Client) -> None:
    target = known.authorize()
    token = alice.get(target).token
    forged = alice.post(target, {"csrf_token": "0" * 32, "decision": "allow"})
    foreign = alice.post(target, {"csrf_token": token, "decision": "allow"}, Origin="https://evil.example")
    assert (forged.status, foreign.status) == (403, 403)


def test_the_consent_shows_the_clients_name_as_text_and_cannot_be_framed(
    known: Registered, alice: Client
) -> None:
    page = alice.get(known.authorize())
    assert "a &lt;b&gt;client&lt;/b&gt;" in page.body
    assert "<b>client" not in page.body
    policy = page.header("Content-Security-Policy")
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:43210;" in policy


def test_whoever_is_not_signed_in_comes_back_to_the_same_question(
    known: Registered, server: PortalServer, account: Account
) -> None:
    stranger, target = Client(server), known.authorize()
    assert stranger.get(target).header("Location") == "/sign-in"
    form = {"account": account.account_id, "user_name": "alice", "password": "correct horse 7 Battery"}
    answer = stranger.post("/sign-in", {**form, "csrf_token": stranger.get("/sign-in").token})
    assert answer.header("Location") == target


def test_an_access_token_is_no_refresh_token_and_the_other_way_round(
    known: Registered, alice: Client, server: PortalServer
) -> None:
    tokens = known.trade(code_in(decide(alice, known.authorize())))
    portal = server.client("sso", None)
    with refused_with(portal, "UnauthorizedException"):
        portal.list_accounts(accessToken=tokens["refreshToken"])
    with refused_with(known.oidc, "InvalidGrantException"):
        known.refresh(tokens["accessToken"])


@pytest.mark.parametrize("token", ["x", "a" * 96, "A" * 96, "é" * 10, "0" * 95 + "/"])
def test_a_token_that_was_never_given_out_opens_nothing(server: PortalServer, token: str) -> None:
    portal = server.client("sso", None)
    with refused_with(portal, "UnauthorizedException"):
        portal.get_role_credentials(
            accessToken=token.encode().decode("latin-1"), accountId="1" * 12, roleName=READER
        )


def test_each_operation_refuses_who_has_neither_a_token_nor_a_client(
    server: PortalServer, known: Registered, alice: Client
) -> None:
    portal, oidc = server.client("sso", None), server.client("sso-oidc", None)
    nobody, role = {"accessToken": "a" * 96}, {"accountId": "1" * 12, "roleName": READER}
    client = {"clientId": "nobody", "clientSecret": "x"}
    start = {**client, "startUrl": f"{server.origin}/start"}
    code = {**client, "grantType": "authorization_code", "code": "x"}
    metadata = {"clientName": "n", "clientType": "public", "scopes": ["nonsense"]}
    for call, asked, expected in (
        (portal.list_accounts, nobody, (401, "UnauthorizedException")),
        (portal.list_account_roles, {**nobody, "accountId": "1" * 12}, (401, "UnauthorizedException")),
        (portal.get_role_credentials, {**nobody, **role}, (401, "UnauthorizedException")),
        (portal.logout, nobody, (401, "UnauthorizedException")),
        (oidc.start_device_authorization, start, (401, "InvalidClientException")),
        (oidc.create_token, code, (401, "InvalidClientException")),
        (oidc.register_client, metadata, (400, "InvalidScopeException")),
    ):
        assert refused(call, **asked)[:2] == expected, call.__name__
    token = known.trade(code_in(decide(alice, known.authorize())))["accessToken"]
    portal.logout(accessToken=token)
    with refused_with(portal, "UnauthorizedException"):
        portal.list_accounts(accessToken=token)


def test_a_refresh_token_of_another_client_is_refused(
    known: Registered, alice: Client, server: PortalServer
) -> None:
    tokens = known.trade(code_in(decide(alice, known.authorize())))
    with refused_with(known.oidc, "InvalidGrantException"):
        register(server).refresh(tokens["refreshToken"])
    assert known.refresh(tokens["refreshToken"])["accessToken"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"redirectUris": ["https://example.com/callback"]}, "InvalidRedirectUriException"),
        ({"redirectUris": ["http://localhost/callback"]}, "InvalidRedirectUriException"),
        ({"redirectUris": []}, "InvalidRedirectUriException"),
        ({"scopes": ["codewhisperer:completions"]}, "InvalidScopeException"),
        ({"grantTypes": ["password"]}, "UnsupportedGrantTypeException"),
        ({"clientType": "confidential"}, "InvalidClientMetadataException"),
        ({"clientName": "AWS\u202e CLI"}, "InvalidClientMetadataException"),
        ({"clientName": " "}, "InvalidClientMetadataException"),
        ({"clientName": "a" * 201}, "InvalidClientMetadataException"),
    ],
)
def test_what_a_client_may_not_register_is_refused(
    server: PortalServer, options: dict[str, Any], error: str
) -> None:
    with refused_with(server.client("sso-oidc", None), error):
        register(server, **options)


def test_a_client_uses_only_what_it_has_registered(server: PortalServer, alice: Client) -> None:
    device_only = register(server, grantTypes=[DEVICE_CODE], redirectUris=[CALLBACK])
    answer = alice.get(device_only.authorize())
    assert "error=unauthorized_client" in answer.header("Location")
    with refused_with(device_only.oidc, "UnauthorizedClientException"):
        device_only.trade("0" * 96)
    code_only = register(server, grantTypes=["authorization_code"])
    with refused_with(code_only.oidc, "UnauthorizedClientException"):
        code_only.start()
    assert "refreshToken" not in code_only.trade(code_in(decide(alice, code_only.authorize())))


def enter(person: Client, user_code: str, decision: str) -> tuple[int, str]:
    """Status and page after the person has entered the code and, where a client waits, decided."""
    form = person.get(f"/device?{urlencode({'user_code': user_code})}")
    page = person.post("/device", {"csrf_token": form.token, "user_code": user_code})
    if page.status != 200:
        return page.status, page.body
    answer = person.post(
        "/device/decision", {"csrf_token": page.token, "user_code": user_code, "decision": decision}
    )
    return answer.status, answer.body


def test_a_device_code_buys_tokens_once_after_the_person_has_allowed_it(
    known: Registered, alice: Client
) -> None:
    started = known.start()
    with refused_with(known.oidc, "AuthorizationPendingException"):
        known.token(grantType=DEVICE_CODE, deviceCode=started["deviceCode"])
    with refused_with(known.oidc, "SlowDownException"):
        known.token(grantType=DEVICE_CODE, deviceCode=started["deviceCode"])
    status, page = enter(alice, started["userCode"].lower().replace("-", " "), "allow")
    assert (status, "Access is allowed" in page) == (200, True)
    assert known.token(grantType=DEVICE_CODE, deviceCode=started["deviceCode"])["refreshToken"]
    with refused_with(known.oidc, "InvalidGrantException"):
        known.token(grantType=DEVICE_CODE, deviceCode=started["deviceCode"])
    assert enter(alice, started["userCode"], "allow")[0] == 403


def test_a_device_that_is_denied_is_told_so(known: Registered, alice: Client) -> None:
    started = known.start()
    assert "Access is denied" in enter(alice, started["userCode"], "deny")[1]
    with refused_with(known.oidc, "AccessDeniedException"):
        known.token(grantType=DEVICE_CODE, deviceCode=started["deviceCode"])


def test_user_codes_cannot_be_guessed(known: Registered, server: PortalServer, account: Account) -> None:
    mallory = Client(server)
    mallory.sign_in(account.account_id, "mallory")
    started = known.start()
    for _ in range(7):
        assert enter(mallory, "BBBB-BBBB", "allow")[0] == 403
    # By now even the right one is refused for a while.
    assert enter(mallory, started["userCode"], "allow")[0] == 403
    with refused_with(known.oidc, "AuthorizationPendingException"):
        known.token(grantType=DEVICE_CODE, deviceCode=started["deviceCode"])


def test_no_secret_is_in_the_journal_or_the_log(
    known: Registered, alice: Client, server: PortalServer, account: Account
) -> None:
    started = known.start()
    code = code_in(decide(alice, known.authorize()))
    tokens = known.trade(code)
    renewed = known.refresh(tokens["refreshToken"])
    got = server.client("sso", None).get_role_credentials(
        accessToken=renewed["accessToken"],
        accountId=account.account_id,
        roleName=READER,
    )["roleCredentials"]
    written = (server.folder / "audit.jsonl").read_text() + server.log
    for secret in (
        code,
        started["deviceCode"],
        known.secret,
        VERIFIER,
        tokens["accessToken"],
        tokens["refreshToken"],
        renewed["accessToken"],
        got["secretAccessKey"],
        got["sessionToken"],
    ):
        assert secret not in written


def test_the_api_redirects_a_browser_to_the_portal_and_nowhere_else(
    known: Registered, server: PortalServer
) -> None:
    for target in (known.authorize(), "/authorize?next=//evil.example", "/authorize"):
        connection = http.client.HTTPConnection(server.api, timeout=20)
        connection.request("GET", target)
        answer = connection.getresponse()
        location = answer.getheader("Location")
        connection.close()
        assert answer.status == 302
        assert location is not None
        assert location.startswith(f"{server.origin}/authorize?")


def test_unreadable_requests_are_refused_in_json_and_leave_a_record(server: PortalServer) -> None:
    connection = http.client.HTTPConnection(server.api, timeout=20)
    for method, path, headers, body, code in (
        ("POST", "/token", {"Content-Type": "application/json"}, "{", "InvalidRequestException"),
        ("POST", "/token", {"Content-Type": "text/plain"}, "{}", "UnsupportedMediaType"),
        ("TRACE", "/token", {}, "", "UnsupportedHttpVerb"),
        ("GET", "/token", {}, "", "UnknownOperationException"),
        (
            "POST",
            "/token?aws_iam=t",
            {"Content-Type": "application/json"},
            "{}",
            "MissingAuthenticationToken",
        ),
    ):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        assert answer.getheader("x-amzn-ErrorType") == code
        assert isinstance(json.loads(answer.read()), dict)
        assert records(server)[-1]["requestID"] == answer.getheader("x-amzn-RequestId")
    connection.close()


def test_state_that_is_strange_comes_back_as_it_was(known: Registered, alice: Client) -> None:
    state = "a b&c=d#e%0d%0a" + secrets.token_hex(4)
    location = decide(alice, known.authorize(state=state))
    assert parse_qs(urlsplit(location).query)["state"] == [state]
