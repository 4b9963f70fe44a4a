"""What tests of SCIM share: an identity store of a provider, and a client that pushes people."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import botocore.session
from botocore.config import Config

from tests.e2e.conftest import REGION, Keys, Server

MODELS = Path(__file__).parents[2] / "config" / "aws-models"
PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_SCHEMA = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"


def identity_store_client(server: Server, keys: Keys) -> Any:
    """boto3 that knows the operations which AWS has not."""
    core = botocore.session.Session()
    loader = core.get_component("data_loader")
    loader.search_paths.insert(0, str(MODELS))
    return boto3.session.Session(botocore_session=core).client(
        "identitystore",
        region_name=REGION,
        endpoint_url=server.url,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
        config=Config(retries={"max_attempts": 0}),
    )


@dataclass(frozen=True)
class ScimAnswer:
    status: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class ScimClient:
    """Speaks HTTP and nothing else."""

    url: str
    token: str

    def send(
        self, method: str, path: str, body: Any = None, media: str = "application/scim+json", **headers: str
    ) -> ScimAnswer:
        request = urllib.request.Request(
            f"{self.url}/scim/v2{path}",
            method=method,
            data=None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                **({} if body is None else {"Content-Type": media}),
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return _answer(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.read(), dict(error.headers))

    def get(self, path: str, **query: str) -> ScimAnswer:
        return self.send("GET", f"{path}?{urlencode(query)}" if query else path)

    def patch(self, path: str, *operations: dict[str, Any], **headers: str) -> ScimAnswer:
        body = {"schemas": [PATCH_SCHEMA], "Operations": list(operations)}
        return self.send("PATCH", path, body, **headers)

    def new_user(self, user_name: str, **more: Any) -> str:
        """Its id."""
        body = {"schemas": [USER_SCHEMA], "userName": user_name, "active": True, **more}
        answer = self.send("POST", "/Users", body)
        assert answer.status == 201, answer.body
        return str(answer.body["id"])

    def new_group(self, name: str, *members: str) -> str:
        body = {
            "schemas": [GROUP_SCHEMA],
            "displayName": name,
            "members": [{"value": one} for one in members],
        }
        answer = self.send("POST", "/Groups", body)
        assert answer.status == 201, answer.body
        return str(answer.body["id"])


def _answer(status: int, body: bytes, headers: dict[str, str]) -> ScimAnswer:
    return ScimAnswer(status, json.loads(body) if body else None, headers)


@dataclass(frozen=True)
class Pushed:
    """An identity store, and the client that pushes its people."""

    client: Any
    store_id: str
    arn: str
    token_id: str
    scim: ScimClient


def push_people(server: Server, keys: Keys, provider: str, **options: Any) -> Pushed:
    """A new identity store of the provider, with a token."""
    client = identity_store_client(server, keys)
    made = client.create_identity_store(Provider=provider, **options)
    token = client.create_bearer_token(IdentityStoreId=made["IdentityStoreId"])
    return Pushed(
        client,
        made["IdentityStoreId"],
        made["IdentityStoreArn"],
        token["TokenId"],
        ScimClient(server.url, token["BearerToken"]),
    )
