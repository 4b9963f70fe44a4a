"""The broker, as the agent asks it: AssumeRoleForPodIdentity for pods, AssumeRole for containers and machines.

The agent's own credentials are found as any SDK finds them (a profile with keys, with `web_identity_token_file`, or
with `credential_process`, such as AWS's rolesanywhere-credential-helper), and are renewed by botocore. Never from a
metadata endpoint: that would be the agent itself.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from botocore import exceptions
from botocore.config import Config
from botocore.session import Session

from broker.agent.cache import MOST_FETCHES, AgentCredentials, UpstreamAway, UpstreamRefusal
from broker.agent.settings import BrokerSection
from broker.names.secret import SecretKey

_TIMEOUTS = Config(connect_timeout=3, read_timeout=8, retries={"max_attempts": 0})
# What the agent serves itself.
_METADATA_PROVIDERS = ("container-role", "iam-role")
_AWAY_STATUS = 500


class Upstream:
    """Clients of one broker; `clock` gives epoch seconds."""

    def __init__(self, settings: BrokerSection, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._threads = ThreadPoolExecutor(MOST_FETCHES, thread_name_prefix="upstream")
        self._clients: dict[str, Any] = {}
        self._making = Lock()
        # The endpoint is also that of AssumeRoleWithWebIdentity, which botocore calls by itself.
        os.environ["AWS_ENDPOINT_URL"] = settings.url
        self._session = Session(profile=settings.profile or None)
        providers = self._session.get_component("credential_provider")
        for name in _METADATA_PROVIDERS:
            providers.remove(name)

    def for_pod(self, cluster: str, token: SecretKey, node: str) -> Callable[[], Awaitable[AgentCredentials]]:
        """What fetches credentials of the pod whose service account token this is."""
        request = {"clusterName": cluster, "token": token.reveal(), **({"eksNodeName": node} if node else {})}

        def ask() -> AgentCredentials:
            answer = self._client("eks-auth").assume_role_for_pod_identity(**request)
            given, arn = answer["credentials"], answer["assumedRoleUser"]["arn"]
            return AgentCredentials(
                access_key_id=given["accessKeyId"],
                secret=SecretKey(given["secretAccessKey"]),
                session_token=given["sessionToken"],
                account_id=arn.split(":")[4],
                role_arn=arn,
                issued_at=self._clock(),
                expires_at=given["expiration"].timestamp(),
            )

        return lambda: self._asked(ask)

    def for_role(self, role_arn: str, session_name: str) -> Callable[[], Awaitable[AgentCredentials]]:
        """What fetches credentials of a role that the agent's own identity may assume."""

        def ask() -> AgentCredentials:
            answer = self._client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session_name)
            given = answer["Credentials"]
            return AgentCredentials(
                access_key_id=given["AccessKeyId"],
                secret=SecretKey(given["SecretAccessKey"]),
                session_token=given["SessionToken"],
                account_id=role_arn.split(":")[4],
                role_arn=role_arn,
                issued_at=self._clock(),
                expires_at=given["Expiration"].timestamp(),
            )

        return lambda: self._asked(ask)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _asked(self, ask: Callable[[], AgentCredentials]) -> AgentCredentials:
        """Raises UpstreamRefusal and UpstreamAway."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except exceptions.ClientError as error:
            raise _failure_of(error.response) from None
        except (exceptions.BotoCoreError, OSError) as error:
            raise UpstreamAway(f"{type(error).__name__}: {error}") from None

    def _client(self, service: str) -> Any:
        with self._making:
            if service not in self._clients:
                self._clients[service] = self._session.create_client(
                    service,
                    region_name=self._settings.region,
                    endpoint_url=self._settings.url,
                    verify=self._settings.certificate_authorities or None,
                    config=_TIMEOUTS,
                )
            return self._clients[service]


def _failure_of(response: dict[str, Any]) -> UpstreamRefusal | UpstreamAway:
    """A refusal is final; a server's failure and throttling pass.

    So does a refusal of the agent's own credentials: it is no decision about who asks the agent.
    """
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", _AWAY_STATUS))
    error = response.get("Error", {})
    code = str(error.get("Code") or "")
    if status >= _AWAY_STATUS or code in _PASSING:
        return UpstreamAway(f"{code}: {error.get('Message')}")
    message = str(error.get("Message") or "").partition(". Encoded authorization failure message:")[0]
    return UpstreamRefusal(status, code, message)


_PASSING = frozenset(
    {
        "ExpiredToken",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "Throttling",
        "ThrottlingException",
    }
)
