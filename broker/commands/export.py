"""`broker export`: the declaration of what is in the store."""

import argparse
import sys
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker

DESCRIPTION = """\
Print the declaration of what is in the store, as `broker apply` reads it: applied to the same store it changes nothing,
applied to an empty one it makes the same accounts, users, groups, roles, policies, instance profiles, identity
providers, identity pools, identity stores, instances and organization.

  broker export > accounts.yaml
  broker export --account 123456789012 > one.yaml
  broker export | diff accounts.yaml -              what was changed by hand

It holds no secret: access keys, passwords, bearer tokens and other credentials are not in it, nor are people of
identity pools and identity stores, nor what AWS manages. What is left out is counted on standard error.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--account", metavar="ID", action="append", default=[], help="only this account; may be repeated"
    )
    add_settings_arguments(parser)


def run(chosen: argparse.Namespace) -> int:
    """0 with the declaration, 1 where there is no such account."""
    from broker.commands.opening import with_broker

    async def work(broker: "Broker") -> int:
        from broker.commands.refusing import CommandRefused
        from broker.commands.showing import show
        from broker.declaration.exporting import AccountNotFound, export
        from broker.yaml_text import as_yaml

        try:
            exported = await export(broker.store.transaction(), tuple(chosen.account))
        except AccountNotFound as error:
            raise CommandRefused(f"there is no account {error}") from None
        show(as_yaml(exported.values))
        for name, count in exported.left_out.items():
            print(f"# not in the declaration: {count} {name}", file=sys.stderr)
        return 0

    return with_broker(chosen, work)
