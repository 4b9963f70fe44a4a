"""Console passwords of declared users: generated once, shown once, and changed by their users when they sign in."""

from broker.credentials.password_changes import NewPassword
from broker.declaration.attempt import Attempt
from broker.declaration.declared import DeclaredUser
from broker.declaration.properties import NamedEntity, Property
from broker.declaration.source import DeclarationError
from broker.storage.records import User
from broker.storage.store import LOGIN_PROFILES

GENERATE = "generate"


async def _settle_password(attempt: Attempt, target: NamedEntity, user: User, wanted: DeclaredUser) -> None:
    password = wanted.console_password
    if password is None:
        await _remove_password(attempt, target, user)
    elif password == GENERATE:
        await _generate_password(attempt, target, user)
    elif isinstance(password, str):
        raise DeclarationError(
            f"{wanted.where}: console_password is {GENERATE}, or null for none: a file never holds a password"
        )


async def _generate_password(attempt: Attempt, target: NamedEntity, user: User) -> None:
    """An existing password is not changed."""
    if await attempt.store.find(LOGIN_PROFILES, target.account, user.user_name) is not None:
        return
    password = attempt.means.one_time_password(target.account, user.user_name)
    parameters = {"Password": password.reveal(), "PasswordResetRequired": True}
    await target.change(attempt, "CreateLoginProfile", parameters, "+", "console password")
    attempt.passwords.append(NewPassword(target.account, user.user_name, password))


async def _remove_password(attempt: Attempt, target: NamedEntity, user: User) -> None:
    if await attempt.store.find(LOGIN_PROFILES, target.account, user.user_name) is not None:
        await target.change(attempt, "DeleteLoginProfile", {}, "-", "console password")


CONSOLE_PASSWORD = Property(settle=_settle_password, remove=_remove_password)
