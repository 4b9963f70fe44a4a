"""Composes a broker from its settings. The only file that names engines."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import msgspec

import broker.analyzer
import broker.hygiene
import broker.iam
import broker.identity_pools
import broker.identity_store
import broker.organizations
import broker.pod_identity
import broker.roles_anywhere
import broker.signin
import broker.simulator
import broker.sso
import broker.sts
import broker.trail  # noqa: F401  importing a room declares its operations
from broker.access.gate import Gate
from broker.access.library import PolicyLibrary
from broker.access.prove import Prover
from broker.app.master_key import find_master_key, first_master_key, no_master_key
from broker.audit.journal import Journal, Sync
from broker.config import Audit, ConfigurationError, FederationSettings, Keys, Settings, StoreSettings
from broker.credentials.keyrings import Keyrings
from broker.credentials.mint import Mint
from broker.credentials.passwords import Passwords
from broker.credentials.session_list import SessionList
from broker.federation.access_token_owners import ProviderAddresses
from broker.federation.federation import Federation, IssuerRules, SamlRules
from broker.federation.opening import open_certificates, open_directory, open_federation
from broker.federation.reach import Reach
from broker.federation.sign_ins import SignIns
from broker.sealing.keyring import RotationSchedule
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import Dialect
from broker.storage.engine import Engine, EngineUnavailable
from broker.storage.sealed import SealedEngine
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import Store
from broker.system import clock, entropy


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """The objects of the rooms, composed; commands and request handlers use them."""

    settings: Settings
    engine: Engine
    keyrings: Keyrings
    store: Store
    gate: Gate
    mint: Mint
    session_list: SessionList
    prover: Prover
    federation: Federation
    passwords: Passwords


@asynccontextmanager
async def open_broker(
    settings: Settings, environment: Mapping[str, str] = os.environ, *, may_create: bool = True
) -> AsyncIterator[Broker]:
    """Open the store and its keys; where both are missing, create them if `may_create`.

    Raises ConfigurationError and EngineUnavailable, with messages for the operator.
    """
    may_create_key = may_create and settings.keys.create_master_key
    master = find_master_key(settings.keys, environment)
    if master is None and may_create and not may_create_key:
        raise no_master_key(settings, environment, "none may be created: keys.create_master_key is off")
    engine = open_engine(settings.store, may_create=may_create)
    try:
        if master is None:
            is_new = not await engine.partitions("")
            master = first_master_key(
                settings, environment, entropy, may_create=may_create_key, is_new=is_new
            )
        keyrings = Keyrings(engine, master, clock, entropy, rotation_schedule(settings.keys))
        await keyrings.load(may_create=may_create)
    except BaseException:
        await engine.close()
        raise
    async with (
        AsyncExitStack() as stack,
        Store(SealedEngine(engine, keyrings.storage, entropy), clock) as store,
        SessionList(store.engine, clock, entropy) as session_list,
        open_federation_of(settings) as federation,
    ):
        passwords = stack.enter_context(closing(Passwords(settings.passwords, entropy)))
        yield Broker(
            settings=settings,
            engine=engine,
            keyrings=keyrings,
            store=store,
            gate=Gate(PolicyLibrary(), keyrings.sessions, entropy),
            mint=Mint(keyrings.sessions, entropy, session_list.note),
            session_list=session_list,
            prover=Prover(
                keyrings.sessions,
                SigningKeys(),
                Dialect(honour_expires=settings.requests.honour_presigned_expires),
            ),
            federation=federation,
            passwords=passwords,
        )


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite store; None for another engine's URL."""
    return Path(url.removeprefix("sqlite:").removeprefix("//")) if url.startswith("sqlite:") else None


@asynccontextmanager
async def open_federation_of(settings: Settings) -> AsyncIterator[Federation]:
    """Raises ConfigurationError for invalid settings. Sends no request to a provider."""
    chosen = settings.federation
    opening = partial(
        open_federation,
        clock,
        reach=Reach(chosen.plain_http, chosen.private_networks),
        saml=SamlRules(
            chosen.saml_recipients, chosen.saml_audiences, chosen.saml_allow_sha1, chosen.saml_allow_replay
        ),
        leeway=chosen.clock_leeway_seconds,
        single_use=chosen.single_use_tokens,
        issuer=issuer_rules(chosen),
        certificate_authorities=chosen.certificate_authorities,
        plugin=settings.identity_plugin,
        addresses=ProviderAddresses(chosen.login_with_amazon_url, chosen.facebook_graph_url),
        pinned_keys=chosen.pinned_keys,
        sign_ins=sign_ins_of(settings),
    )
    async with AsyncExitStack() as stack:
        section = "ldap"
        try:
            directory = stack.enter_context(open_directory(settings.ldap))
            section = "client_certificates"
            certificates = open_certificates(settings.client_certificates)
            section = "federation"
            opened = opening(directory=directory, certificates=certificates)
            federation = await stack.enter_async_context(opened)
        except ValueError as error:
            raise ConfigurationError(f"{section}.{error}") from None
        yield federation


def sign_ins_of(settings: Settings) -> SignIns:
    directory = settings.ldap.provider if settings.ldap.servers else ""
    return SignIns(
        settings.portal.openid_connect, settings.portal.saml, directory, settings.ldap.identity_store
    )


def issuer_rules(chosen: FederationSettings) -> IssuerRules:
    schedule = msgspec.structs.replace(
        IssuerRules().schedule,
        rotate_every=chosen.issuer_rotate_every_hours * 3600,
        staged_for=chosen.issuer_published_for_hours * 3600,
    )
    return IssuerRules(chosen.issuer_url, schedule)


def open_engine(store: StoreSettings, *, may_create: bool = True) -> Engine:
    """`sqlite:PATH` or `redis://…`; raises ConfigurationError for anything else."""
    url = store.url.reveal()
    scheme, _, rest = url.partition(":")
    path = sqlite_path(url)
    if path is not None and rest:
        if not may_create and not path.exists():
            raise EngineUnavailable(
                f"there is no store: {path.absolute()} does not exist; is store.url right (--store)? "
                "`broker serve` makes a new one"
            )
        return SqliteEngine(path, clock, entropy, may_create=may_create)
    if scheme in ("unix", "redis", "rediss") or scheme.startswith(("redis+", "rediss+")):
        from broker.storage.redis import RedisEngine

        try:
            replicas, accepts_losses = _redis_replicas(store), store.accept_lost_commits
            return RedisEngine(url, entropy, replicas=replicas, accepts_losses=accepts_losses)
        except ValueError:
            # Without redis-py's message: it quotes the invalid part, which may be the password.
            raise ConfigurationError(
                "store.url: this URL of a Redis cannot be read; in user and password / @ : ? # are percent-encoded"
            ) from None
    raise ConfigurationError(
        f"store.url: {scheme!r} is no engine; write sqlite:PATH or redis://HOST:PORT/NUMBER"
    )


def _redis_replicas(store: StoreSettings) -> int:
    """How many replicas acknowledge a commit: one where one may take the master's place, unless the settings say it."""
    if store.redis_replicas >= 0:
        return store.redis_replicas
    return 1 if store.url.reveal().startswith(("redis+", "rediss+")) else 0


def rotation_schedule(keys: Keys) -> RotationSchedule:
    return RotationSchedule(
        rotate_every=keys.rotate_every_hours * 3600, staged_for=keys.staged_for_minutes * 60
    )


def open_journal(audit: Audit) -> Journal:
    """Raises OSError."""
    limits = audit.maximum_size_bytes, audit.keep, audit.keep_unauthenticated
    return Journal(Path(audit.path), *limits, sync=Sync(audit.sync))
