"""`broker apply`: change the store to what a file declares."""

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.app import Broker
    from broker.commands.pruning import Deletions
    from broker.credentials.access_keys import NewKey
    from broker.declaration.attempt import Attempt
    from broker.declaration.declared import Declaration

DESCRIPTION = """\
Change the store to what FILE declares: accounts, users, groups, roles, policies, instance profiles, identity providers,
identity pools, identity stores, instances, the organization (config/README.md has them all). It is
idempotent: a second run changes nothing. It is safe beside running servers.

  broker apply config/demo.yaml --dry-run        show what would change, and change nothing
  broker apply config/demo.yaml                  change it
  broker apply config/demo.yaml --prune          also delete what the file does not name in its accounts: lists it and
                                                 asks; --yes agrees, --max-deletions limits it

A file looks like this (YAML; a name ending in .toml is read as TOML):

  accounts:
    "111111111111":
      name: workloads
      policies:
        read-data: {document: {file: read-data.json}}
      users:
        alice:
          attached_policies: [read-data]
          access_keys: 1
      roles:
        web:
          trust_policy:
            Version: "2012-10-17"
            Statement: {Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: "sts:AssumeRole"}

A property that the file does not mention is not changed. A list or mapping in the file is complete: policies, groups
and tags of alice that are not in her lists are removed. `access_keys: 1` creates a key in the first run, and
`console_password: generate` a one-time password where she has none; both are shown only then. Every change is made by
the API's own operations as the account's root where there are any, and is journalled.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", type=Path, help="the declaration, YAML or TOML")
    parser.add_argument("--dry-run", action="store_true", help="show the difference and change nothing")
    parser.add_argument(
        "--prune",
        action="store_true",
        help="delete what the file does not name in the accounts that it names; lists it and asks first",
    )
    parser.add_argument("--yes", action="store_true", help="with --prune: delete without asking")
    parser.add_argument(
        "--max-deletions",
        metavar="N",
        type=int,
        default=100,
        help="with --prune: change nothing where more would be deleted (100)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="change nothing where a policy has errors or security warnings (see `broker policy check`)",
    )
    parser.add_argument(
        "--credentials",
        metavar="FILE",
        type=Path,
        help="write new access keys there (as ~/.aws/credentials, mode 0600) instead of showing them",
    )
    add_settings_arguments(parser)


def run(chosen: argparse.Namespace) -> int:
    """0 where the store is now (or would be) as declared, 1 where the file or a change is refused."""
    from broker.commands.opening import with_broker
    from broker.commands.refusing import REFUSED, WRONG_USE, CommandRefused, failed
    from broker.commands.remote import current_remote
    from broker.commands.showing import show
    from broker.declaration.reading import (
        decode_declaration,
        encode_declaration,
        has_fixed_keys,
        read_declaration,
    )
    from broker.declaration.source import DeclarationError, UnreadableDeclaration

    remote = current_remote()
    try:
        if remote is not None:
            declaration = decode_declaration(remote.files["declaration"])
        else:
            declaration = read_declaration(chosen.file)
    except DeclarationError as error:
        status = WRONG_USE if isinstance(error, UnreadableDeclaration) else REFUSED
        return failed("broker apply", str(error), status)

    reads_secrets = has_fixed_keys(declaration)
    if reads_secrets or chosen.credentials is not None:
        chosen.needs_direct = "the running broker reads no secrets from files for others, and writes no files"
        if remote is not None:
            return failed("broker apply", chosen.needs_direct, WRONG_USE)

    async def work(broker: "Broker") -> int:
        _require_valid(broker, declaration, chosen.strict)
        try:
            agreed = None
            if chosen.prune and not chosen.dry_run:
                agreed = await _agreed_deletions(broker, declaration, chosen)
            attempt = await apply_and_write_keys(
                broker, declaration, chosen.file, chosen.credentials, chosen.prune, chosen.dry_run, agreed
            )
        except DeclarationError as error:
            raise CommandRefused(f"{error}\nnothing was changed") from None
        keys = attempt.keys if chosen.credentials is None else []
        if (keys or attempt.passwords or attempt.bearer_tokens) and not chosen.dry_run:
            await _show_with_secrets(broker, attempt, keys, declaration, chosen.file)
        else:
            show(_report(attempt, chosen.dry_run))
        return 0

    files = {"declaration": encode_declaration(declaration)}
    return with_broker(chosen, work, may_create=True, is_dry=chosen.dry_run, files=files)


def _require_valid(broker: "Broker", declaration: "Declaration", is_strict: bool) -> None:
    """Raises CommandRefused."""
    if is_strict:
        from broker.commands.strict import require_valid

        require_valid(declaration, broker.settings.policies.service_principals)


async def _agreed_deletions(
    broker: "Broker", declaration: "Declaration", chosen: argparse.Namespace
) -> "Deletions":
    """What may be deleted. Raises DeclarationError, and CommandRefused where that is not agreed to."""
    from broker.commands.applying import apply_declaration
    from broker.commands.pruning import deletions_of, require_consent

    planned = await apply_declaration(
        broker, declaration, f"apply {chosen.file}", chosen.file.parent, must_prune=True, is_dry=True
    )
    deletions = deletions_of(planned.changes)
    require_consent(deletions, chosen.max_deletions, chosen.yes)
    return deletions


async def apply_and_write_keys(
    broker: "Broker",
    declaration: "Declaration",
    file: Path,
    credentials: Path | None = None,
    must_prune: bool = False,
    is_dry: bool = False,
    agreed: "Deletions | None" = None,
) -> "Attempt":
    """Apply, and write new keys to `credentials`; where that fails, the keys are deleted again.

    Raises DeclarationError, CommandRefused, OSError.
    """
    from broker.causes import cause_of, explained
    from broker.commands.applying import apply_declaration
    from broker.commands.credentials_file import CredentialsFile
    from broker.commands.progress import progress_of
    from broker.commands.refusing import WrongUse
    from broker.commands.showing import taken_back

    command = f"apply {file}"
    # Opened before anything is changed: the secret of a key is lost where it cannot be written.
    try:
        output = CredentialsFile(credentials) if credentials is not None and not is_dry else None
    except OSError as error:
        raise WrongUse(f"--credentials: {explained(error)}") from None
    with progress_of(declaration) as advance:
        attempt = await apply_declaration(
            broker,
            declaration,
            command,
            file.parent,
            must_prune=must_prune,
            is_dry=is_dry,
            agreed=agreed,
            advance=advance,
        )
    if output is not None:
        try:
            output.write(attempt.keys, declaration)
        except OSError as error:
            why = f"could not be written to {credentials} ({cause_of(error)})"
            await taken_back(
                _named(attempt.keys, attempt),
                why,
                lambda: _take_back(broker, command, attempt.keys, attempt),
            )
    return attempt


async def _take_back(broker: "Broker", command: str, keys: "Sequence[NewKey]", attempt: "Attempt") -> None:
    from broker.commands.bearer_tokens import take_back_bearer_tokens
    from broker.commands.passwords import take_back_passwords
    from broker.commands.records import take_back_keys

    await take_back_keys(broker, command, keys)
    await take_back_passwords(broker, command, attempt.passwords)
    await take_back_bearer_tokens(broker, command, attempt.bearer_tokens)


def _report(attempt: "Attempt", is_dry: bool) -> str:
    """The list of changes, coloured for a terminal."""
    from broker.commands.terminal import console

    text = io.StringIO()
    output = console(text)
    for account in dict.fromkeys(change.account for change in attempt.changes):
        output.print(f"account {account}" if account else "organization", style="bold")
        for change in attempt.changes:
            if change.account == account:
                output.print(f"  {change.sign} {change.text}", style=_STYLES[change.sign])
    count = len(attempt.changes)
    done = f"{count} change{'' if count == 1 else 's'}" if count else "no changes"
    output.print(f"{done}: a dry run, nothing was written" if is_dry and count else done)
    return text.getvalue()


_STYLES = {"+": "green", "~": "yellow", "-": "red"}


async def _show_with_secrets(
    broker: "Broker",
    attempt: "Attempt",
    keys: "Sequence[NewKey]",
    declaration: "Declaration",
    file: Path,
) -> None:
    """The report, then `keys`, passwords and bearer tokens, which are taken back where they cannot be shown."""
    from broker.commands.bearer_tokens import bearer_tokens_text
    from broker.commands.credentials_file import credentials_text, profile_names
    from broker.commands.passwords import passwords_text
    from broker.commands.showing import show_once

    text = ""
    if keys:
        text += "\n# New access keys, for ~/.aws/credentials. They are shown only once.\n"
        text += credentials_text(keys, profile_names(declaration))
    if attempt.passwords:
        text += "\n# One-time passwords, to be changed at sign-in. They are shown only once.\n"
        text += passwords_text(attempt.passwords)
    if attempt.bearer_tokens:
        text += "\n# Bearer tokens of identity stores, for SCIM at /scim/v2. They are shown only once.\n"
        text += bearer_tokens_text(attempt.bearer_tokens)
    await show_once(
        text,
        _named(keys, attempt),
        lambda: _take_back(broker, f"apply {file}", keys, attempt),
        before=_report(attempt, is_dry=False),
        note="; everything else was applied, and the next run creates others",
    )


def _named(keys: "Sequence[NewKey]", attempt: "Attempt") -> str:
    named = []
    if keys:
        named.append(f"the new access key {', '.join(key.access_key_id for key in keys)}")
    if attempt.passwords:
        named.append(f"the one-time password of {', '.join(one.user for one in attempt.passwords)}")
    if attempt.bearer_tokens:
        stores = ", ".join(one.store_id for one in attempt.bearer_tokens)
        named.append(f"the bearer token of {stores}")
    return " and ".join(named)
