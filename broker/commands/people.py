"""Sessions of people whom identity providers vouch for: in browsers, and of clients that they allowed.

Such people are principals of no account before they take a role, so no account's list of sessions has them.
"""

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from broker.access.people import name_of
from broker.app import clock
from broker.commands.records import command_event, transact_recorded
from broker.commands.refusing import CommandRefused
from broker.credentials.portal_sessions import delete_session
from broker.credentials.sso_sessions import end_session_of
from broker.storage.engine import portal_partition
from broker.storage.portal_records import (
    DirectoryIdentity,
    Identity,
    OpenIdConnectIdentity,
    PortalSession,
    SamlIdentity,
)
from broker.storage.sso_records import Approval, LoginSession, SsoSession
from broker.storage.store import LOGIN_SESSIONS, PORTAL_SESSIONS, SSO_SESSIONS, Transaction

if TYPE_CHECKING:
    from broker.app import Broker


class PersonSession(msgspec.Struct, frozen=True, kw_only=True):
    """`provider` is the name of the way in, as the settings have it, or of the directory; `vouched_by` its issuer.

    `client` is "browser", or what a client calls itself. `ended` is what to end: a browser's session, or an approval.
    """

    shown_id: str
    name: str
    provider: str
    vouched_by: str
    client: str
    signed_in_at: int
    ends_at: int
    source_ip: str = ""
    ended: PortalSession | Approval

    @property
    def subject(self) -> str:
        return self.ended.identity.subject


async def list_person_sessions(broker: "Broker", provider: str | None = None) -> list[PersonSession]:
    """Those that have not ended, the newest first."""
    store, idle, now = broker.store.transaction(), broker.settings.portal.idle_minutes * 60, clock()
    found = []
    for shard in await _shards(broker):
        browsers = [one for one in await store.scan(PORTAL_SESSIONS, shard) if now < one.last_seen_at + idle]
        found += [_person(one) for one in browsers]
        found += [_person(one) for one in await store.scan(SSO_SESSIONS, shard)]
        found += [_person(one) for one in await store.scan(LOGIN_SESSIONS, shard)]
    chosen = [
        one
        for one in found
        if one is not None and now < one.ends_at and provider in (None, one.provider, one.vouched_by)
    ]
    return sorted(chosen, key=lambda one: (-one.signed_in_at, one.shown_id))


async def end_person_sessions(broker: "Broker", named: str, provider: str | None) -> list[PersonSession]:
    """End one session, by its id, or all of the person who is called so; raises CommandRefused."""
    listed = await list_person_sessions(broker, provider)
    chosen = [one for one in listed if named in (one.name, one.shown_id)]
    if not chosen:
        raise CommandRefused(
            f"no person and no session is called {named!r}; `broker sessions --people` lists them"
        )
    number = len({one.subject for one in chosen})
    if number > 1:
        providers = ", ".join(sorted({one.provider for one in chosen}))
        raise CommandRefused(
            f"{named!r} is the name of {number} people, of {providers}: choose with --provider, or end single "
            "sessions by their ids"
        )

    async def work(store: Transaction) -> None:
        for one in chosen:
            if isinstance(one.ended, PortalSession):
                delete_session(store, one.ended)
            else:
                await end_session_of(store, one.ended)

    parameters = {
        "person": chosen[0].name,
        "provider": chosen[0].vouched_by,
        "endedSessions": [one.shown_id for one in chosen],
    }
    event = command_event("revoke person", "", "broker:EndPortalSessions", parameters)
    await transact_recorded(broker, work, lambda _: [event])
    return chosen


def _person(session: PortalSession | SsoSession | LoginSession) -> PersonSession | None:
    """None for users and root users, whose sessions are on their account's list."""
    ended = session if isinstance(session, PortalSession) else session.approval
    provider = _provider_of(ended.identity)
    if provider is None:
        return None
    address, shown_id = "", f"client-{sha256(ended.session_id.encode()).hexdigest()[:16]}"
    match session:
        case PortalSession():
            address, shown_id, client = session.source_ip, session.shown_id, "browser"
        case SsoSession():
            client = session.client_name
        case LoginSession():
            client = "aws login"
    return PersonSession(
        shown_id=shown_id,
        name=name_of(ended.identity),
        provider=provider[0],
        vouched_by=provider[1],
        client=client,
        signed_in_at=ended.signed_in_at,
        ends_at=ended.ends_at,
        source_ip=address,
        ended=ended,
    )


def _provider_of(identity: Identity) -> tuple[str, str] | None:
    match identity:
        case OpenIdConnectIdentity() | SamlIdentity():
            return identity.sign_in, identity.issuer
        case DirectoryIdentity():
            return identity.provider, identity.provider
    return None


async def _shards(broker: "Broker") -> list[str]:
    prefix = portal_partition("")
    return [partition.removeprefix(prefix) for partition in await broker.engine.partitions(prefix)]


def shown_person(one: PersonSession) -> dict[str, Any]:
    """For JSON: names in CloudTrail's style, times in ISO 8601."""
    from broker.audit.event import iso_time

    return {
        "session": one.shown_id,
        "person": one.name,
        "provider": one.provider,
        "vouchedBy": one.vouched_by,
        "client": one.client,
        "signedInAt": iso_time(one.signed_in_at),
        "endsAt": iso_time(one.ends_at),
        "sourceAddress": one.source_ip,
    }


def print_people(people: list[PersonSession]) -> None:
    from broker.audit.event import iso_time
    from broker.commands.refusing import printable
    from broker.commands.terminal import print_table

    rows = [
        [
            one.shown_id,
            printable(one.name),
            one.provider,
            printable(one.client),
            iso_time(one.signed_in_at),
            iso_time(one.ends_at),
            one.source_ip or "-",
        ]
        for one in people
    ]
    print_table(["SESSION", "PERSON", "PROVIDER", "CLIENT", "SIGNED IN", "ENDS", "FROM"], rows)
