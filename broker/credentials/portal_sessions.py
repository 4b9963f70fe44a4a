"""Sessions of people who are signed in to the portal: found, and ended, also by what is no page.

Where a person's password is changed, taken away, or has to be changed, what was begun with it ends: their sessions in
all browsers and those of clients that they allowed (`aws sso login`, `aws login`). Access keys stay, and so do
credentials that were issued already, until they end or are revoked.
"""

from broker.credentials.sso_sessions import end_client_sessions, shard_of
from broker.storage.portal_records import PortalSession
from broker.storage.records import User
from broker.storage.store import PORTAL_SESSIONS, USERS, Transaction


def session_key(subject: str, session_id: str) -> str:
    return f"{subject}/{session_id}"


async def find_sessions(store: Transaction, subject: str) -> list[PortalSession]:
    """Those of this person in every browser, the last used first."""
    found = await store.scan(PORTAL_SESSIONS, shard_of(subject), prefix=f"{subject}/")
    return sorted(found, key=lambda session: session.last_seen_at, reverse=True)


def delete_session(store: Transaction, session: PortalSession) -> None:
    subject = session.identity.subject
    store.delete(PORTAL_SESSIONS, shard_of(subject), session_key(subject, session.session_id))


async def end_all_sessions(store: Transaction, subject: str, keeping: str = "") -> list[PortalSession]:
    """End those of this person in every browser and of every client, and answer with the former.

    `keeping` is the access key id of the browser's session that stays: the one that asks for this.
    """
    ended = [
        one for one in await find_sessions(store, subject) if one.access_key_id != keeping or not keeping
    ]
    for session in ended:
        delete_session(store, session)
    await end_client_sessions(store, subject)
    return ended


async def end_sessions_with_password(
    store: Transaction, account: str, user_name: str | None, keeping: str = ""
) -> None:
    """End what was begun with the password of this user, or of the root user for None."""
    subject = account
    if user_name is not None:
        user: User | None = await store.find(USERS, account, user_name)
        if user is None:
            return
        subject = user.user_id
    await end_all_sessions(store, subject, keeping)
