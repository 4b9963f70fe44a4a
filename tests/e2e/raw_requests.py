"""Requests signed by botocore, which a test may change before it sends them, and their answers.

boto3 cannot send malformed requests.
"""

import http.client
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import urlencode, urlsplit

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.conftest import REGION, Keys, Server

FORM = "application/x-www-form-urlencoded"
VERSIONS = {"sts": "2011-06-15", "iam": "2010-05-08"}
WHO_AM_I = {"Action": "GetCallerIdentity", "Version": VERSIONS["sts"]}


@dataclass(frozen=True)
class Answer:
    """The server's answer; `code` and `message` are empty unless it is a refusal."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return self._text("Code")

    @property
    def message(self) -> str:
        return self._text("Message")

    @property
    def request_id(self) -> str:
        """The RequestId in the body."""
        return self._text("RequestId")

    @property
    def refusal(self) -> tuple[int, str, str]:
        return self.status, self.code, self.message

    def _text(self, name: str) -> str:
        found = ET.fromstring(self.body).find(f".//{{*}}{name}")
        return (found.text or "") if found is not None else ""


@dataclass(frozen=True)
class RawRequest:
    """A request before it is sent. `target` is that of the request line."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def with_header(self, name: str, value: str) -> "RawRequest":
        """Set `name`, whatever was signed."""
        others = tuple((key, text) for key, text in self.headers if key.lower() != name.lower())
        return replace(self, headers=(*others, (name, value)))

    def send(self, server: Server) -> Answer:
        connection = http.client.HTTPConnection(server.api, timeout=20)
        try:
            connection.putrequest(self.method, self.target, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers:
                connection.putheader(name, value.encode("utf-8", "surrogateescape"))
            if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in self.headers):
                connection.putheader("Content-Length", str(len(self.body)))
            connection.endheaders(self.body)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()


def raw_request(
    server: Server,
    keys: Keys | None,
    parameters: Mapping[str, str],
    *,
    service: str = "sts",
    method: str = "POST",
    path: str = "/",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    late_by: float = 0,
    expires: int | None = None,
) -> RawRequest:
    """`parameters` as a form (of a POST) or query; `keys` None signs nothing.

    `late_by` is how many seconds ago it claims to be signed; `expires` makes it a presigned URL.
    """
    form = urlencode(parameters)
    body = form.encode() if method == "POST" else b""
    asked = "&".join(filter(None, (urlencode(query or {}), "" if body else form)))
    request = AWSRequest(method, f"{server.url}{path}{'?' * bool(asked)}{asked}", data=body)
    for name, value in {
        "Host": server.api,
        **({"Content-Type": FORM} if body else {}),
        **(headers or {}),
    }.items():
        request.headers[name] = value
    if keys is not None:
        _sign(request, keys, service, late_by, expires)
    parts = urlsplit(request.url)
    target = parts.path + ("?" + parts.query if parts.query else "")
    return RawRequest(method, target, tuple(request.headers.items()), body)


def _sign(request: AWSRequest, keys: Keys, service: str, late_by: float, expires: int | None) -> None:
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    moment = datetime.now(UTC) - timedelta(seconds=late_by)
    signer: Any = (
        SigV4Auth(credentials, service, REGION)
        if expires is None
        else SigV4QueryAuth(credentials, service, REGION, expires)
    )
    with mock.patch("botocore.auth.get_current_datetime", lambda: moment):
        signer.add_auth(request)
