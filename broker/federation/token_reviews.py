"""Asks an API server of Kubernetes whether a service account token is still good: a TokenReview.

The server says no as soon as the pod, the service account or the namespace is gone, which no signature shows.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from broker.assertions.service_account_token import AUDIENCE
from broker.causes import cause_of
from broker.federation.reach import FetchFailed, StatusAnswer
from broker.storage.pod_identity_records import TokenReview

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class PostsJson(Protocol):
    """A Fetcher."""

    async def post_json(
        self, url: str, secret_body: Mapping[str, Any], headers: Mapping[str, str], authorities: str = ""
    ) -> StatusAnswer: ...


class TokenReviews:
    """Asks with the broker's own token at that server, read again each time: the kubelet, or a CronJob, renews it."""

    def __init__(self, client: PostsJson) -> None:
        self._client = client

    async def ask(self, at: TokenReview, unverified_token: str) -> bytes:
        """The server's answer, JSON; raises FetchFailed."""
        headers = {"Accept": "application/json"}
        if at.token_file:
            headers["Authorization"] = f"Bearer {await asyncio.to_thread(_read_token, at.token_file)}"
        question = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": unverified_token, "audiences": [AUDIENCE]},
        }
        url = at.server.rstrip("/") + _PATH
        answer = await self._client.post_json(url, question, headers, at.certificate_authority)
        if answer.status not in (200, 201):
            raise FetchFailed(f"{url} answered {answer.status}")
        return answer.body


def _read_token(file: str) -> str:
    try:
        return Path(file).read_text("ascii").strip()
    except OSError as error:
        raise FetchFailed(f"{file} cannot be read: {cause_of(error)}") from None
    except UnicodeDecodeError:
        raise FetchFailed(f"{file} holds no token") from None
