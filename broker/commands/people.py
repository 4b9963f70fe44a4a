"""Sessions of the portal of people whom identity providers vouch for: listed, and ended.

Such people are principals of no account before they take a role, so no account's list of sessions has them.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from broker.access.people import name_of
from broker.app import clock
from broker.commands.records import command_event, transact_recorded
from broker.commands.refusing import CommandRefused
from broker.credentials.portal_sessions import delete_session
from broker.storage.engine import portal_partition
from broker.storage.portal_records import (
    DirectoryIdentity,
    FederatedIdentity,
    OpenIdConnectIdentity,
    PortalSession,
    SamlIdentity,
)
from broker.storage.store import PORTAL_SESSIONS, Transaction

if TYPE_CHECKING:
    from broker.app import Broker


class PersonSession(msgspec.Struct, frozen=True):
    """`provider` is the name of the way in, as the settings have it, or of the directory; `vouched_by` its issuer."""

    session: PortalSession
    name: str
    provider: str
    vouched_by: str


async def list_person_sessions(broker: "Broker", provider: str | None = None) -> list[PersonSession]:
    """Those that have not ended, the newest first."""
    store, idle, now = broker.store.transaction(), broker.settings.portal.idle_minutes * 60, clock()
    found = []
    for shard in await _shards(broker):
        for session in await store.scan(PORTAL_SESSIONS, shard):
            one = _person(session)
            is_over = now >= min(session.ends_at, session.last_seen_at + idle)
            if one is not None and not is_over and provider in (None, one.provider, one.vouched_by):
                found.append(one)
    return sorted(found, key=lambda one: (-one.session.signed_in_at, one.session.shown_id))


async def end_person_sessions(broker: "Broker", named: str, provider: str | None) -> list[PersonSession]:
    """End one session, by its id, or all of the person who is called so; raises CommandRefused."""
    chosen = [
        one
        for one in await list_person_sessions(broker, provider)
        if named in (one.name, one.session.shown_id)
    ]
    if not chosen:
        raise CommandRefused(
            f"no person and no session is called {named!r}; `broker sessions --people` lists them"
        )
    subjects = {one.session.identity.subject: one for one in chosen}
    if len(subjects) > 1:
        providers = ", ".join(sorted({one.provider for one in chosen}))
        raise CommandRefused(
            f"{named!r} is the name of {len(subjects)} people, of {providers}: choose with --provider, or end single "
            "sessions by their ids"
        )

    async def work(store: Transaction) -> None:
        for one in chosen:
            delete_session(store, one.session)

    person = chosen[0]
    parameters = {
        "person": person.name,
        "provider": person.vouched_by,
        "endedSessions": [one.session.shown_id for one in chosen],
    }
    event = command_event("revoke person", "", "broker:EndPortalSessions", parameters)
    await transact_recorded(broker, work, lambda _: [event])
    return chosen


def _person(session: PortalSession) -> PersonSession | None:
    identity = session.identity
    if not isinstance(identity, FederatedIdentity):
        return None
    provider, vouched_by = _provider_of(identity)
    return PersonSession(session, name_of(identity), provider, vouched_by)


def _provider_of(identity: FederatedIdentity) -> tuple[str, str]:
    match identity:
        case OpenIdConnectIdentity() | SamlIdentity():
            return identity.sign_in, identity.issuer
        case DirectoryIdentity():
            return identity.provider, identity.provider


async def _shards(broker: "Broker") -> list[str]:
    prefix = portal_partition("")
    return [partition.removeprefix(prefix) for partition in await broker.engine.partitions(prefix)]


def shown_person(one: PersonSession) -> dict[str, Any]:
    """For JSON: names in CloudTrail's style, times in ISO 8601."""
    from broker.audit.event import iso_time

    session = one.session
    return {
        "session": session.shown_id,
        "person": one.name,
        "provider": one.provider,
        "vouchedBy": one.vouched_by,
        "signedInAt": iso_time(session.signed_in_at),
        "lastSeenAt": iso_time(session.last_seen_at),
        "endsAt": iso_time(session.ends_at),
        "sourceAddress": session.source_ip,
        "userAgent": session.user_agent,
    }


def print_people(people: list[PersonSession]) -> None:
    from broker.audit.event import iso_time
    from broker.commands.terminal import print_table

    rows = [
        [
            one.session.shown_id,
            one.name,
            one.provider,
            iso_time(one.session.signed_in_at),
            iso_time(one.session.last_seen_at),
            iso_time(one.session.ends_at),
            one.session.source_ip,
        ]
        for one in people
    ]
    headings = ["SESSION", "PERSON", "PROVIDER", "SIGNED IN", "LAST SEEN", "ENDS", "FROM"]
    print_table(headings, rows)
