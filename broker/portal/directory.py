"""Sign in as a person of the LDAP directory that the settings name, with the password that is known there.

The directory slows down guesses (`broker.federation.attempts`). What is kept of the person are name and groups.
"""

import re

from aiohttp import web
from msgspec.structs import replace

from broker.assertions.checks import CheckFailed, Checks
from broker.errors import service_unavailable
from broker.federation.attempts import TooManyAttempts
from broker.federation.directory import DirectoryLogins, DirectoryUnavailable, Person
from broker.portal.dependencies import DIRECTORY, Portal
from broker.portal.rendering import page, see_other, texts_of
from broker.portal.routes import Route
from broker.portal.sign_in_records import CONSOLE_LOGIN, begin_record, note_failure
from broker.portal.signing_in import FIRST_PAGE, begin_federated_session, new_state, with_state
from broker.portal.visit import Visit
from broker.storage.portal_records import DirectoryIdentity
from broker.storage.store import Transaction

# The name becomes that of the sessions of roles: the model's roleSessionNameType.
_is_session_name = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII).fullmatch


async def show(portal: Portal, visit: Visit) -> web.Response:
    _directory(portal)
    return _form(portal, visit)


async def sign_in(portal: Portal, visit: Visit) -> web.Response:
    directory = _directory(portal)
    portal.tools.journal.catch_up()
    user_name = visit.form.get("user_name", "").strip()
    try:
        person = await _logged_in(directory, visit, user_name)
    except CheckFailed as failed:
        await _record_failure(portal, visit, directory, "AccessDenied", f"check failed: {failed}")
        return _form(portal, visit, user_name, error=texts_of("directory").incorrect, status=403)
    except TooManyAttempts as error:
        await _record_failure(portal, visit, directory, "Throttling", str(error))
        return _form(portal, visit, user_name, error=texts_of("directory").too_many, status=429)
    except DirectoryUnavailable as error:
        raise service_unavailable(str(error)) from None
    identity = DirectoryIdentity(
        provider=directory.rules.provider,
        name=person.name,
        distinguished_name=person.distinguished_name,
        groups=person.groups,
    )
    noted = {"identityProvider": directory.rules.provider}
    return await begin_federated_session(portal, visit, identity, _nothing_first, noted=noted)


async def _logged_in(directory: DirectoryLogins, visit: Visit, user_name: str) -> Person:
    checks = Checks()
    password = visit.form.get("password", "")
    person = await directory.log_in(user_name, password, visit.facts.source_ip, checks)
    checks.require(
        "session name",
        _is_session_name(person.name) is not None,
        found=person.name,
        wanted="2 to 64 letters, digits and _+=,.@-",
    )
    return person


async def _nothing_first(store: Transaction) -> None:
    """A password is good more than once."""


async def _record_failure(
    portal: Portal, visit: Visit, directory: DirectoryLogins, code: str, reason: str
) -> None:
    event = begin_record(portal, visit.facts, CONSOLE_LOGIN)
    note_failure(event, code, reason, "", None, identityProvider=directory.rules.provider)
    await portal.tools.journal.record(event)


def _form(
    portal: Portal, visit: Visit, user_name: str = "", *, error: str = "", status: int = 200
) -> web.Response:
    if visit.session is not None:
        return see_other(FIRST_PAGE)
    state = new_state(portal, visit)
    response = page(
        portal,
        replace(visit, state=state),
        "directory",
        status=status,
        directory=_directory(portal).rules.provider,
        user_name=user_name,
        error=error,
    )
    return with_state(portal, visit, response, state)


def _directory(portal: Portal) -> DirectoryLogins:
    directory = portal.tools.federation.directory
    if directory is None:
        raise web.HTTPNotFound
    return directory


ROUTES = (
    Route("GET", DIRECTORY, show, "SignInDirectory", is_open=True),
    Route("POST", DIRECTORY, sign_in, "SignInDirectory", is_open=True),
)
