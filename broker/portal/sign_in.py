"""Sign in as an IAM user or as an account's root user, with a password."""

from aiohttp import web
from msgspec.structs import replace

from broker.credentials.sign_in import PasswordAccepted, check_password
from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.portal.cookies import SignInState
from broker.portal.dependencies import Portal
from broker.portal.rendering import page, see_other, texts_of
from broker.portal.routes import Route
from broker.portal.sign_in_records import CONSOLE_LOGIN, begin_record, note_failure
from broker.portal.signing_in import FIRST_PAGE, find_account_id, go_on, new_state, with_state
from broker.portal.visit import Visit
from broker.storage.portal_records import IamUserIdentity, Identity, RootIdentity
from broker.storage.store import USERS

# In place of an unknown account: the work is the same, and so is the answer.
_NO_ACCOUNT = "none"


async def show(portal: Portal, visit: Visit) -> web.Response:
    """The form; at `/console/NAME` with the account's name in it."""
    return _form(portal, visit, account=visit.request.match_info.get("account", ""), is_root=False)


async def show_root(portal: Portal, visit: Visit) -> web.Response:
    return _form(portal, visit, account="", is_root=True)


async def sign_in(portal: Portal, visit: Visit) -> web.Response:
    return await _sign_in(portal, visit, visit.form.get("user_name", "").strip())


async def sign_in_as_root(portal: Portal, visit: Visit) -> web.Response:
    return await _sign_in(portal, visit, None)


async def _sign_in(portal: Portal, visit: Visit, user_name: str | None) -> web.Response:
    """`user_name` None is the root user."""
    tools, form = portal.tools, visit.form
    tools.journal.catch_up()
    account_id = await find_account_id(tools.store.transaction(), form.get("account", "")) or _NO_ACCOUNT
    try:
        accepted = await check_password(
            tools.store,
            portal.tools.passwords,
            account_id,
            user_name,
            SecretKey(form.get("password", "")),
            visit.facts.source_ip,
            visit.facts.now,
        )
    except Refusal as refusal:
        await _record_failure(portal, visit, account_id, user_name, refusal)
        return _form(
            portal,
            visit,
            account=form.get("account", ""),
            user_name=user_name or "",
            is_root=user_name is None,
            error=refusal.message,
            status=429 if refusal.code == "Throttling" else 403,
        )
    state = replace(
        new_state(portal, visit),
        identity=identity_of(accepted),
        must_change=accepted.must_change,
        longest=accepted.maximum_session_seconds,
        password_mark=accepted.password_mark,
    )
    return await go_on(portal, visit, state)


def identity_of(accepted: PasswordAccepted) -> Identity:
    user = accepted.user
    if user is None:
        return RootIdentity(account_id=accepted.account_id)
    return IamUserIdentity(
        account_id=user.account_id, user_name=user.user_name, user_id=user.user_id, path=user.path
    )


async def refused_at_provider(portal: Portal, visit: Visit, title: str, reason: str) -> web.Response:
    """Back to the form: the identity provider did not vouch for the person. What was begun there is over."""
    event = begin_record(portal, visit.facts, CONSOLE_LOGIN)
    note_failure(event, "AccessDenied", reason, "", None, identityProvider=title)
    await portal.tools.journal.record(event)
    error = texts_of("sign_in").refused_at_provider.format(provider=title)
    if visit.session is not None:  # which stays as it was
        raise Refusal("AccessDenied", error, reason=reason, status=403)
    if visit.state is not None:
        visit = replace(visit, state=replace(visit.state, begun=None))
    return _form(portal, visit, account="", is_root=False, error=error, status=403)


async def _record_failure(
    portal: Portal, visit: Visit, account_id: str, user_name: str | None, refusal: Refusal
) -> None:
    known = "" if account_id == _NO_ACCOUNT else account_id
    user = None
    if known and user_name:
        user = await portal.tools.store.transaction().find(USERS, known, user_name)
    event = begin_record(portal, visit.facts, CONSOLE_LOGIN)
    note_failure(event, refusal.code, refusal.reason or refusal.message, known, user, mFAUsed="No")
    await portal.tools.journal.record(event)


def _form(
    portal: Portal,
    visit: Visit,
    *,
    account: str,
    user_name: str = "",
    is_root: bool,
    error: str = "",
    status: int = 200,
) -> web.Response:
    if visit.session is not None:
        return see_other(FIRST_PAGE)
    state: SignInState = new_state(portal, visit)
    response = page(
        portal,
        replace(visit, state=state),
        "sign_in",
        status=status,
        account=account,
        user_name=user_name,
        is_root=is_root,
        error=error,
        has_ended=visit.has_ended,
        providers=[] if is_root else portal.ways,
    )
    return with_state(portal, visit, response, state)


ROUTES = (
    Route("GET", "/sign-in", show, "SignIn", is_open=True),
    Route("POST", "/sign-in", sign_in, "SignIn", is_open=True),
    Route("GET", "/sign-in/root", show_root, "SignInAsRoot", is_open=True),
    Route("POST", "/sign-in/root", sign_in_as_root, "SignInAsRoot", is_open=True),
    Route("GET", r"/console/{account:[a-z0-9-]{3,63}}", show, "SignIn", is_open=True),
)
