"""`broker recount`: count again what is kept beside an account's records, and correct it."""

import argparse
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker

DESCRIPTION = """\
Count an account's records again, and correct what is kept beside them: how many users, roles and policies it has, how
often a policy is attached, which users a group has. IAM's answers and quotas are made of that; no permission is.

  broker recount                      all accounts
  broker recount --dry-run            show what is wrong, and change nothing
  broker recount 123456789012         one account

The broker keeps it with every write, so that there is nothing to correct, with two exceptions: brokers of an earlier
version wrote to the store after one of a later version did, or the store was changed by another program. An account
that an early version has written needs no command: it is counted when that is first needed, by a slower request.

Brokers may serve meanwhile. The exit status is 1 where anything was wrong.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("account", nargs="*", metavar="ACCOUNT", help="accounts to count; default: all")
    parser.add_argument("--dry-run", action="store_true", help="show what is wrong, and change nothing")
    add_settings_arguments(parser)


def run(chosen: argparse.Namespace) -> int:
    from broker.commands.opening import with_broker

    async def work(broker: "Broker") -> int:
        from broker.commands.unexpired_sessions import require_account
        from broker.storage.engine import account_partition

        for account in chosen.account:
            await require_account(broker.store.transaction(), account)
        prefix = account_partition("")
        accounts = chosen.account or [
            partition.removeprefix(prefix) for partition in await broker.engine.partitions(prefix)
        ]
        wrong = 0
        for account in accounts:
            wrong += await _recount(broker, account, is_dry=chosen.dry_run)
        done = "would be corrected" if chosen.dry_run else "corrected"
        print(f"{len(accounts)} accounts counted, {wrong} records {done}")
        return 1 if wrong else 0

    return with_broker(chosen, work)


async def _recount(broker: "Broker", account: str, *, is_dry: bool) -> int:
    """How many records were wrong; they are printed."""
    if is_dry:
        found = await broker.store.transaction().recount(account)
    else:
        found = await broker.store.transact(lambda store: store.recount(account))
    for key in found:
        print(f"{account}  {key}")
    return len(found)
