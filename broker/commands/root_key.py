"""`broker root-key`: create or rotate the root access key of an account, and show it once."""

import argparse
import sys
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.audit.event import Event
    from broker.credentials.access_keys import AccessKeyPair
    from broker.storage.store import Transaction

DESCRIPTION = """\
Create a root access key for ACCOUNT and print it as shell commands, only once: the store has a sealed copy.

  eval "$(broker root-key 123456789012 --create-account)"     a new account; this shell uses its root key
  aws iam create-user --user-name admin                       from here on, as on AWS
  broker root-key 123456789012 --rotate                       a new key; every older root key stops working

Root may do everything in its account: create an administrator with it, then rotate the key and store it safely.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("account", metavar="ACCOUNT", help="the account's id, twelve digits")
    parser.add_argument("--rotate", action="store_true", help="replace the existing root keys")
    parser.add_argument(
        "--create-account", action="store_true", help="create the account where it does not exist"
    )
    parser.add_argument("--name", default="", help="the name of a created account")
    add_settings_arguments(parser)


def run(chosen: argparse.Namespace) -> int:
    """0 with the key on standard output, 1 where a root key exists already or the account does not."""
    from broker.commands.opening import with_broker
    from broker.commands.refusing import WRONG_USE, failed
    from broker.names.arn import is_account_id

    if not is_account_id(chosen.account):
        message = f"{chosen.account!r} is no account id: it has twelve digits"
        return failed("broker root-key", message, WRONG_USE)

    async def work(broker: "Broker") -> int:
        from broker.commands.profiles import endpoint_of
        from broker.commands.serving import serving_settings

        endpoint = endpoint_of(await serving_settings(broker))
        pair, deleted = await make_root_key(broker, chosen)
        for key_id in deleted:
            print(f"# {key_id} is deleted and signs nothing any more", file=sys.stderr)
        await _show(broker, chosen, pair, deleted, endpoint)
        return 0

    return with_broker(chosen, work, may_create=chosen.create_account)


async def _show(
    broker: "Broker",
    chosen: argparse.Namespace,
    pair: "AccessKeyPair",
    deleted: tuple[str, ...],
    endpoint: str,
) -> None:
    from broker.commands.records import take_back_keys
    from broker.commands.showing import show_once
    from broker.credentials.access_keys import NewKey

    lines = (
        f"export AWS_ACCESS_KEY_ID={pair.access_key_id}",
        f"export AWS_SECRET_ACCESS_KEY={pair.secret.reveal()}",
        "unset AWS_SESSION_TOKEN AWS_PROFILE",
        f"export AWS_ENDPOINT_URL={endpoint}",
        # The AWS CLI 1 reads only the second.
        "export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1",
    )
    key = NewKey(chosen.account, "", pair.access_key_id, pair.secret)
    note = f"; {', '.join(deleted)} stays deleted" if deleted else ""
    await show_once(
        "".join([f"{line}\n" for line in lines]),
        f"the new root key {pair.access_key_id}",
        lambda: take_back_keys(broker, "root-key", [key]),
        note=note,
    )


async def make_root_key(
    broker: "Broker", chosen: argparse.Namespace
) -> tuple["AccessKeyPair", tuple[str, ...]]:
    """The new pair, and the ids of the keys that it replaces. Raises CommandRefused."""
    from broker.app import clock, entropy
    from broker.commands.records import take_back_committed_keys, transact_recorded
    from broker.credentials.access_keys import ACCESS_KEY_ENTROPY, NewKey, new_access_key_pair
    from broker.credentials.root_keys import ensure_account, rotate_root_key
    from broker.storage.engine import OutcomeUnknown

    await _require_account(broker, chosen)
    pair = new_access_key_pair(chosen.account, entropy(ACCESS_KEY_ENTROPY))

    async def work(store: "Transaction") -> tuple[str, ...]:
        await _require_no_key(store, chosen, pair)
        await ensure_account(store, chosen.account, clock(), chosen.name)
        return await rotate_root_key(store, chosen.account, pair, clock())

    try:
        deleted = await transact_recorded(broker, work, lambda deleted: [_event(chosen, pair, deleted)])
    except OutcomeUnknown:
        key = NewKey(chosen.account, "", pair.access_key_id, pair.secret)
        await take_back_committed_keys(broker, "root-key", [key])
        raise
    return pair, deleted


def _event(chosen: argparse.Namespace, pair: "AccessKeyPair", deleted: tuple[str, ...]) -> "Event":
    from broker.commands.records import command_event

    command = "root-key --rotate" if chosen.rotate else "root-key"
    parameters = {"accessKeyId": pair.access_key_id, "deletedAccessKeyIds": list(deleted)}
    return command_event(command, chosen.account, "broker:CreateRootAccessKey", parameters)


async def _require_account(broker: "Broker", chosen: argparse.Namespace) -> None:
    from broker.commands.refusing import CommandRefused
    from broker.storage.store import ACCOUNTS

    store = broker.store.transaction()
    if chosen.create_account or await store.find(ACCOUNTS, "", chosen.account) is not None:
        return
    known = [account.account_id for account in await store.scan(ACCOUNTS, "", limit=10)]
    existing = f"there are {', '.join(known)}" if known else "there are none yet"
    raise CommandRefused(f"there is no account {chosen.account} ({existing}); --create-account creates it")


async def _require_no_key(store: "Transaction", chosen: argparse.Namespace, pair: "AccessKeyPair") -> None:
    from broker.commands.refusing import CommandRefused
    from broker.storage.store import ACCESS_KEYS, SETTINGS

    settings = await store.find(SETTINGS, chosen.account)
    present = settings.root_access_key_ids if settings is not None else ()
    if present and not chosen.rotate:
        raise CommandRefused(
            f"the root user of {chosen.account} has the key {', '.join(present)}, whose secret cannot be "
            "shown again; --rotate replaces it"
        )
    if await store.find(ACCESS_KEYS, chosen.account, pair.access_key_id) is not None:
        raise CommandRefused("the new key's id is taken, by a chance of one in 500 billion; run it again")
