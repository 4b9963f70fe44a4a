"""`broker config`: check settings, and print the profiles of clients that use this broker."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments, settings_of

if TYPE_CHECKING:
    from broker.config import Settings

DESCRIPTION = """\
Check settings, and print profiles of clients.

  broker config check --config broker.toml       the changed settings, and everything that would prevent a start
  broker config print --profile alice >> ~/.aws/config
  broker config print --profile data --role-arn arn:aws:iam::222222222222:role/data-reader \\
                      --source-profile alice --external-id demo-external-id
  broker config print --write --profile analyst --sso-account 222222222222 --sso-role analyst
                                                 into ~/.aws/config, where all other lines stay

config/broker.toml explains every setting.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="check the settings, and list those that are not the default")
    show = actions.add_parser("print", help="print the ~/.aws/config block of profiles that use this broker")
    show.add_argument(
        "--profile", metavar="NAME", action="append", help="a profile; may be repeated (default)"
    )
    show.add_argument("--role-arn", metavar="ARN", default="", help="the role that the profiles assume")
    show.add_argument("--source-profile", metavar="NAME", default="", help="whose credentials assume it")
    show.add_argument("--external-id", metavar="ID", default="", help="what the role's trust policy asks for")
    show.add_argument(
        "--sso-account", metavar="ID", default="", help="the account of a role for `broker login`"
    )
    show.add_argument("--sso-role", metavar="NAME", default="", help="that role's name")
    show.add_argument(
        "--write",
        action="store_true",
        help="write the block into AWS_CONFIG_FILE, else ~/.aws/config, instead of printing it",
    )
    show.add_argument("--region", default="us-east-1", help="the region of the profiles (us-east-1)")
    show.add_argument(
        "--endpoint", metavar="URL", help="the URL of the API for clients, where it is not the listener's"
    )
    for one in (check, show):
        add_settings_arguments(one, is_asked_of_broker=False)


def run(chosen: argparse.Namespace) -> int:
    """0 without faults; 2 for invalid settings, 3 where every fault may pass without a change of settings."""
    from broker.commands.refusing import failed, refused_settings
    from broker.config import ConfigurationError

    try:
        settings = settings_of(chosen)
    except ConfigurationError as error:
        if chosen.action == "check" and error.settings is not None:
            return _check(error.settings, str(error).splitlines(), error.faulty_sections)
        return refused_settings(f"broker config {chosen.action}", error)
    if chosen.action == "check":
        return _check(settings)
    if bool(chosen.role_arn) != bool(chosen.source_profile):
        return failed("broker config print", "--role-arn and --source-profile belong together", 2)
    if bool(chosen.sso_account) != bool(chosen.sso_role):
        return failed("broker config print", "--sso-account and --sso-role belong together", 2)
    if chosen.write:
        return _write(_block(settings, chosen))
    print(_block(settings, chosen), end="")
    return 0


def _write(block: str) -> int:
    import os
    from pathlib import Path

    from broker.causes import cause_of
    from broker.commands.config_file import write_sections
    from broker.commands.refusing import NO_ANSWER, failed

    path = Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    try:
        is_changed = write_sections(path, block)
    except (OSError, UnicodeDecodeError) as error:
        return failed("broker config print", f"{path} cannot be written: {cause_of(error)}", NO_ANSWER)
    print(f"{path}: {'written' if is_changed else 'nothing to change'}")
    return 0


def _check(
    settings: "Settings", known: Sequence[str] = (), faulty_sections: frozenset[str] = frozenset()
) -> int:
    """Check everything that a server would open, without creating anything; returns `status_of` the faults.

    `known` are faults of the settings themselves. What needs `faulty_sections` is not opened.
    """
    import asyncio
    import os

    from broker.commands.checking import Fault, find_faults, reserve_addresses, status_of
    from broker.commands.refusing import failed
    from broker.config import warnings_of_exposure

    reserved, found = reserve_addresses(settings)
    faults = [*map(Fault, known), *found]
    for one in [one for sockets in reserved.values() for one in sockets]:
        one.close()
    faults += asyncio.run(find_faults(settings, os.environ, faulty_sections))
    is_default = _print_changed_settings(settings)
    for warning in warnings_of_exposure(settings):
        failed("broker config check: warning", warning)
    for fault in faults:
        failed("broker config check", fault.message)
    if not faults:
        valid = "the settings are valid; all others have their defaults"
        print("all settings have their defaults" if is_default else valid)
    return status_of(faults)


def _print_changed_settings(settings: "Settings") -> bool:
    """Print the settings that differ from their defaults; returns whether none does."""
    from broker.commands.terminal import print_table
    from broker.config import field_of, setting_names
    from broker.names.secret import shown_url

    rows = []
    for name in setting_names():
        section, _, key = name.partition(".")
        value = getattr(getattr(settings, section), key)
        if value != field_of(name).default:
            rows.append([name, shown_url(value) if name == "store.url" else _shown(value)])
    if rows:
        print_table(["SETTING", "VALUE"], rows)
    return not rows


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "***" if type(value).__name__ == "SecretKey" else str(value)


def _block(settings: "Settings", chosen: argparse.Namespace) -> str:
    from broker.commands.profiles import Profile, ca_bundle_of, config_text, endpoint_of

    profiles = [
        Profile(
            name=name,
            role_arn=chosen.role_arn,
            source_profile=chosen.source_profile,
            external_id=chosen.external_id,
            sso_account_id=chosen.sso_account,
            sso_role_name=chosen.sso_role,
        )
        for name in chosen.profile or ["default"]
    ]
    endpoint = chosen.endpoint or endpoint_of(settings)
    return config_text(profiles, endpoint, chosen.region, ca_bundle_of(settings))
