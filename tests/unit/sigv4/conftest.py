"""botocore on the other side: requests signed by the signers that every boto3 and AWS CLI uses."""

from collections.abc import Callable, Sequence
from datetime import datetime
from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from broker.sigv4.authorization import UnverifiedRequest

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOON = datetime.fromisoformat("20260101T120000Z")


def unverified(request: AWSRequest) -> UnverifiedRequest:
    """What a server would read of a request that botocore sends."""
    parts = urlsplit(request.url)
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    if not any(name == "host" for name, _ in headers):
        headers.insert(0, ("host", parts.netloc))
    return UnverifiedRequest(request.method, parts.path, parts.query, tuple(headers), request.data or b"")


def sign(
    signer: type[SigV4Auth] = SigV4Auth,
    *,
    method: str = "POST",
    url: str = "http://127.0.0.1:8080/",
    params: Sequence[tuple[str, str]] = (),
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    token: str | None = None,
    secret: str = SECRET,
    service: str = "sts",
    region: str = "eu-west-1",
    moment: datetime = NOON,
    **options: object,
) -> UnverifiedRequest:
    request = AWSRequest(method, url, data=body, params=list(params))
    for name, value in headers:
        request.headers.add_header(name, value)
    credentials = Credentials("AKIDEXAMPLE", secret, token)
    with mock.patch("botocore.auth.get_current_datetime", lambda: moment):
        signer(credentials, service, region, **options).add_auth(request)
    return unverified(request)


def presign(signer: type[SigV4QueryAuth] = SigV4QueryAuth, **arguments: object) -> UnverifiedRequest:
    return sign(signer, **{"method": "GET", "expires": 60, **arguments})


@pytest.fixture(scope="session", name="sign")
def _sign() -> Callable[..., UnverifiedRequest]:
    """Sign in the Authorization header: `sign(method=, url=, headers=, body=, token=, ...)`."""
    return sign


@pytest.fixture(scope="session", name="presign")
def _presign() -> Callable[..., UnverifiedRequest]:
    """Sign in the query: `presign(url=, expires=, ...)`."""
    return presign


@pytest.fixture(scope="session")
def noon() -> float:
    """When the fixtures above sign, unless another time is passed: epoch seconds."""
    return NOON.timestamp()
