"""Profiles of ~/.aws/config for programs of this machine: a port of the loopback address for each, and a token.

A program without a config of its own (a container of the host's network, an IDE, a test) gets a profile's credentials,
renewed, by two variables; it never sees what the profile has: a login, keys, a role. Long-term keys are not handed on:
a session of them is.
"""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from botocore import exceptions
from botocore.session import Session

from broker.agent.answering import outermost
from broker.agent.cache import AgentCache, AgentCredentials, Fetch, UpstreamAway, UpstreamRefusal
from broker.agent.guard import Guard
from broker.agent.handlers import ContainerHandler, KnownContainer, digest_of
from broker.agent.running import AgentTools, renew_until
from broker.agent.settings import AgentConfigurationError
from broker.names.addresses import parse_network
from broker.names.secret import SecretKey
from broker.web.listeners import reserve
from broker.web.server import Server

_LOOPBACK = "127.0.0.1"
_TOKEN_ENTROPY = 32  # bytes; the token has 43 characters, of the 64 that SDKs take
_SHORT_LIFE = 900.0  # seconds; of a session in a file, whose end nothing says
_GRACE = 2.0


class ServedProfile(msgspec.Struct, frozen=True):
    """A profile, and the port that it is served at; 0 for any."""

    name: str
    port: int = 0


def parse_profile(text: str) -> ServedProfile:
    """`NAME` or `NAME=PORT`; raises AgentConfigurationError."""
    name, is_named, port = text.partition("=")
    if not name or (is_named and not (port.isdigit() and int(port) < 65536)):
        raise AgentConfigurationError(f"--profile: {text!r} is neither NAME nor NAME=PORT")
    return ServedProfile(name, int(port or 0))


async def run_profiles(
    profiles: Sequence[ServedProfile],
    tools: AgentTools,
    stopping: asyncio.Event,
    announce: Callable[[str], None],
) -> None:
    """Serve until `stopping` is set; `announce` is given lines for a shell. Raises AgentConfigurationError."""
    cache = AgentCache(tools.clock, tools.random)
    servers: list[Server] = []
    try:
        for profile in profiles:
            token = urlsafe_b64encode(tools.entropy(_TOKEN_ENTROPY)).decode().rstrip("=")
            digest = digest_of(token)
            known = {digest: KnownContainer(b"", digest, _fetch_of(profile.name, tools.clock))}
            guard = Guard([_LOOPBACK], [parse_network("127.0.0.0/8")])
            handler = ContainerHandler(guard, cache, known)
            server = Server(outermost(handler.answer), tools.clock, maximum_body=0, name=profile.name)
            sockets = reserve(_LOOPBACK, profile.port)
            await server.listen(sockets)
            servers.append(server)
            announce(_variables(profile.name, sockets[0].getsockname()[1], token))
        await renew_until(stopping, cache)
    finally:
        await asyncio.gather(*(server.stop(_GRACE) for server in servers))
        await cache.close()


def _variables(name: str, port: int, token: str) -> str:
    return (
        f"# {name}\n"
        f"export AWS_CONTAINER_CREDENTIALS_FULL_URI=http://{_LOOPBACK}:{port}/v1/credentials\n"
        f"export AWS_CONTAINER_AUTHORIZATION_TOKEN={token}"
    )


def _fetch_of(name: str, clock: Callable[[], float]) -> Fetch:
    """Raises AgentConfigurationError where there is no such profile."""
    session = Session(profile=name)
    try:
        session.get_scoped_config()
    except exceptions.ProfileNotFound as error:
        raise AgentConfigurationError(str(error)) from None

    async def fetch() -> AgentCredentials:
        try:
            return await asyncio.to_thread(_credentials_of, session, clock)
        except exceptions.ClientError as error:
            said = error.response.get("Error", {})
            raise UpstreamRefusal(400, str(said.get("Code")), str(said.get("Message"))) from None
        except (exceptions.BotoCoreError, OSError) as error:
            raise UpstreamAway(f"{type(error).__name__}: {error}") from None

    return fetch


def _credentials_of(session: Session, clock: Callable[[], float]) -> AgentCredentials:
    """What the profile has now; of long-term keys a session."""
    found = session.get_credentials()
    if found is None:
        raise UpstreamRefusal(400, "NoCredentials", "the profile has no credentials")
    frozen = found.get_frozen_credentials()
    now = clock()
    if frozen.token is None:
        return _session_of_keys(session, now)
    ends: Any = getattr(found, "_expiry_time", None)
    return AgentCredentials(
        access_key_id=frozen.access_key,
        secret=SecretKey(frozen.secret_key),
        session_token=frozen.token,
        account_id=getattr(frozen, "account_id", None) or "",
        role_arn="",
        issued_at=now,
        expires_at=now + _SHORT_LIFE if ends is None else ends.timestamp(),
    )


def _session_of_keys(session: Session, now: float) -> AgentCredentials:
    region = session.get_config_variable("region") or "us-east-1"
    given = session.create_client("sts", region_name=region).get_session_token()["Credentials"]
    return AgentCredentials(
        access_key_id=given["AccessKeyId"],
        secret=SecretKey(given["SecretAccessKey"]),
        session_token=given["SessionToken"],
        account_id="",
        role_arn="",
        issued_at=now,
        expires_at=given["Expiration"].timestamp(),
    )
