"""`broker root-password`: the console password of an account's root user, set or taken away."""

import argparse
import getpass
import sys
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.names.secret import SecretKey
    from broker.storage.store import Transaction

DESCRIPTION = """\
Set the password with which the root user of ACCOUNT signs in to the portal. It is asked for twice, and not shown.

  broker root-password 123456789012                 choose one; an older one stops working
  broker root-password 123456789012 --generate      make one, show it this once, and have it changed at sign-in
  broker root-password 123456789012 --remove        root can no longer sign in; root's access keys stay

Without a terminal the password is the first line of standard input. It has at least eight characters of three of the
types uppercase letters, lowercase letters, numbers and symbols, and is not the account's name or mail address.

Whoever is signed in to the portal as this root user is signed out, and so are the clients that they allowed.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("account", metavar="ACCOUNT", help="the account's id, twelve digits")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--generate", action="store_true", help="make a password and show it this once")
    choice.add_argument("--remove", action="store_true", help="take the password away")
    add_settings_arguments(parser)


def run(chosen: argparse.Namespace) -> int:
    """0 where it is done, 1 where there is no such account, no password to remove, or the password is refused."""
    from broker.commands.opening import with_broker
    from broker.commands.refusing import CommandRefused, failed

    typed = ""
    if not (chosen.remove or chosen.generate):
        try:
            typed = _asked_for().reveal()
        except CommandRefused as error:
            return failed("broker root-password", str(error), error.status)

    async def work(broker: "Broker") -> int:
        from broker.commands.showing import show, show_once
        from broker.names.secret import SecretKey

        await _require_account(broker, chosen.account)
        if chosen.remove:
            await remove_root_password(broker, chosen.account)
            show(f"the root user of {chosen.account} has no password any more\n")
            return 0
        if not chosen.generate:
            await set_root_password(broker, chosen.account, SecretKey(typed), is_reset_required=False)
            show(f"the root user of {chosen.account} has this password now\n")
            return 0
        password = _generated()
        await set_root_password(broker, chosen.account, password, is_reset_required=True)
        await show_once(
            f"{password.reveal()}\n",
            f"the new password of the root user of {chosen.account}",
            lambda: remove_root_password(broker, chosen.account),
        )
        return 0

    return with_broker(chosen, work, standard_input=f"{typed}\n")


async def set_root_password(
    broker: "Broker", account: str, password: "SecretKey", *, is_reset_required: bool
) -> None:
    """Set it, with its record; raises CommandRefused for one that the rules forbid."""
    from broker.app import clock
    from broker.commands.records import command_event, transact_recorded
    from broker.commands.refusing import CommandRefused
    from broker.credentials.password_changes import change_password, find_login_profile
    from broker.errors import Refusal
    from broker.storage.password_records import LoginProfile

    now = clock()

    async def work(store: "Transaction") -> None:
        profile = await find_login_profile(store, account, None) or LoginProfile(
            user_name=None, password_hash=None, created_at=int(now), changed_at=int(now)
        )
        await change_password(
            store, broker.passwords, account, profile, password, now, is_reset_required=is_reset_required
        )

    parameters = {"passwordResetRequired": is_reset_required}
    event = command_event("root-password", account, "broker:SetRootPassword", parameters)
    try:
        await transact_recorded(broker, work, lambda _: [event])
    except Refusal as refusal:
        raise CommandRefused(refusal.message) from None


async def remove_root_password(broker: "Broker", account: str) -> None:
    """Raises CommandRefused where there is none."""
    from broker.commands.records import command_event, transact_recorded
    from broker.commands.refusing import CommandRefused
    from broker.credentials.password_changes import delete_login_profile
    from broker.storage.store import ROOT_LOGIN_PROFILE

    async def work(store: "Transaction") -> None:
        if await store.find(ROOT_LOGIN_PROFILE, account) is None:
            raise CommandRefused(f"the root user of {account} has no password")
        await delete_login_profile(store, account, None)

    event = command_event("root-password", account, "broker:DeleteRootPassword", None)
    await transact_recorded(broker, work, lambda _: [event])


async def _require_account(broker: "Broker", account: str) -> None:
    from broker.commands.refusing import CommandRefused, WrongUse
    from broker.names.arn import is_account_id
    from broker.storage.store import ACCOUNTS

    if not is_account_id(account):
        raise WrongUse(f"{account!r} is no account id: it has twelve digits")
    if await broker.store.transaction().find(ACCOUNTS, "", account) is None:
        raise CommandRefused(f"there is no account {account}; `broker root-key --create-account` makes it")


def _generated() -> "SecretKey":
    from broker.app import entropy
    from broker.credentials.password_rules import GENERATED_ENTROPY, generated_password

    return generated_password(entropy(GENERATED_ENTROPY))


def _asked_for() -> "SecretKey":
    """Typed twice without being shown, or the first line of standard input. Raises CommandRefused."""
    from broker.commands.refusing import CommandRefused
    from broker.names.secret import SecretKey

    if sys.stdin is not None and sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("The same once more: ") != password:
            raise CommandRefused("the two passwords differ; nothing was changed")
    else:
        password = sys.stdin.readline().rstrip("\n") if sys.stdin is not None else ""
    if not password:
        raise CommandRefused("no password was given; nothing was changed")
    return SecretKey(password)
