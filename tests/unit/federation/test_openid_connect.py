"""The portal as a client of OpenID providers: what is believed of their documents, and how the client proves itself."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.federation.openid_connect import (
    OpenIdConnectClients,
    OpenIdConnectSignIn,
    authenticate,
    faults_of_openid_connect,
    parse_metadata,
)
from broker.federation.reach import Answer, FetchFailed, Reach, StatusAnswer
from broker.names.secret import SecretKey

ISSUER = "https://login.example.com"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth?tenant=1",
    "token_endpoint": f"{ISSUER}/token",
}
SIGN_IN = OpenIdConnectSignIn(
    name="company", issuer=ISSUER, client_id="por:tal", client_secret=SecretKey("s/x")
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Host:
    """A provider that answers `document`, or is not there where that is None."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.asked: list[str] = []

    async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer:
        self.asked.append(url)
        if self.document is None:
            raise FetchFailed(f"{url} cannot be reached")
        return Answer(msgspec.json.encode(self.document))

    async def post_form(
        self, url: str, secret_form: Mapping[str, str], headers: Mapping[str, str]
    ) -> StatusAnswer:
        raise AssertionError("no code is traded in these tests")


def test_endpoints_are_those_of_the_document() -> None:
    found = parse_metadata(
        {**DOCUMENT, "authorization_response_iss_parameter_supported": True}, ISSUER, Reach()
    )
    assert found.authorization_endpoint == f"{ISSUER}/auth?tenant=1"
    assert found.end_session_endpoint == ""
    assert found.states_issuer


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "end_session_endpoint"])
@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://login.example.com/auth",
        "https://user:password@login.example.com/",
        "https://login.example.com/#/auth",
        "https://169.254.169.254/",
        "https://login.example.com/\r\nSet-Cookie: a=b",
        "//login.example.com/auth",
        "/auth",
        ["https://login.example.com"],
        7,
    ],
)
def test_an_endpoint_that_nobody_may_be_sent_to_is_refused(name: str, url: Any) -> None:
    with pytest.raises(FetchFailed):
        parse_metadata({**DOCUMENT, name: url}, ISSUER, Reach())


@pytest.mark.parametrize("issuer", ["https://evil.example", f"{ISSUER}/", ISSUER.upper(), None, 7])
def test_a_document_of_another_issuer_is_refused(issuer: Any) -> None:
    with pytest.raises(FetchFailed):
        parse_metadata({**DOCUMENT, "issuer": issuer}, ISSUER, Reach())


def test_a_client_proves_itself_in_the_header_with_its_parts_encoded() -> None:
    form: dict[str, str] = {}
    headers = authenticate(form, SIGN_IN, takes_basic=True)
    assert headers == {"Authorization": f"Basic {b64encode(b'por%3Atal:s%2Fx').decode()}"}
    assert form == {}


def test_a_client_proves_itself_in_the_form_where_the_provider_takes_nothing_else() -> None:
    methods = {**DOCUMENT, "token_endpoint_auth_methods_supported": ["client_secret_post"]}
    form: dict[str, str] = {}
    takes_basic = parse_metadata(methods, ISSUER, Reach()).takes_basic
    assert authenticate(form, SIGN_IN, takes_basic=takes_basic) == {}
    assert form == {"client_id": "por:tal", "client_secret": "s/x"}


def test_a_public_client_only_names_itself() -> None:
    form: dict[str, str] = {}
    public = msgspec.structs.replace(SIGN_IN, client_secret=SecretKey(""))
    assert authenticate(form, public, takes_basic=True) == {}
    assert form == {"client_id": "por:tal"}


def test_a_secret_is_read_from_its_file_when_it_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    from_file = msgspec.structs.replace(SIGN_IN, client_secret=SecretKey(""), client_secret_file=str(file))
    with pytest.raises(FetchFailed, match="cannot be read"):
        from_file.secret()
    file.write_text("of the file\n")
    assert from_file.secret() == "of the file"


async def test_a_document_is_cached_for_an_hour_and_a_failure_for_a_moment() -> None:
    host, clock = Host(None), Clock()
    clients = OpenIdConnectClients(host, clock, Reach())
    for _ in range(3):
        with pytest.raises(FetchFailed):
            await clients.metadata(ISSUER)
    assert host.asked == [f"{ISSUER}/.well-known/openid-configuration"]
    host.document = DOCUMENT
    clock.now += 15
    for _ in range(3):
        assert (await clients.metadata(ISSUER)).token_endpoint == f"{ISSUER}/token"
    assert len(host.asked) == 2
    clock.now += 3600
    await clients.metadata(ISSUER)
    assert len(host.asked) == 3


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "The Company"}, "is no name"),
        ({"name": ""}, "is no name"),
        ({"name": "a/../b"}, "is no name"),
        ({"issuer": "http://login.example.com"}, "is not https"),
        ({"issuer": "login.example.com"}, "is not https"),
        ({"client_id": ""}, "has no client_id"),
        ({"client_secret_file": "x"}, "set one of them"),
        ({"scopes": ("email",)}, "openid is one of them"),
        ({"scopes": ("openid email",)}, "openid is one of them"),
    ],
)
def test_an_entry_that_cannot_work_is_a_fault(changes: dict[str, Any], fault: str) -> None:
    entry = msgspec.structs.replace(SIGN_IN, **changes)
    assert any(fault in found for found in faults_of_openid_connect([entry], Reach()))


def test_a_whole_entry_has_no_fault() -> None:
    assert list(faults_of_openid_connect([SIGN_IN], Reach())) == []
