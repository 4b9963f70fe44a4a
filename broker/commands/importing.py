"""`broker import`: identities of another system as a declaration, to be read, and then applied."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from broker.commands.refusing import WRONG_USE, failed, read_text

if TYPE_CHECKING:
    from broker.declaration.imported import Imported

DESCRIPTION = """\
Print what another system exported of its identities as a declaration, and on standard error what has no counterpart.
Nothing is changed: read it, then `broker apply` it.

  aws iam get-account-authorization-details > details.json
  broker import aws details.json > account.yaml

  mc admin cluster iam export myminio
  broker import minio myminio-iam-info.zip --account 123456789012 --secrets secrets > account.yaml

  broker import seaweedfs iam.json --account 123456789012 --secrets secrets > account.yaml

With --secrets, access keys keep their secrets: each is written into a file of that folder, for its owner alone, and the
declaration, which has to be beside the folder, names the files. Without it no keys are declared.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    systems = parser.add_subparsers(dest="system", metavar="SYSTEM", required=True)
    for name, summary in (
        ("aws", "the output of get-account-authorization-details"),
        ("minio", "the archive of `mc admin cluster iam export`"),
        ("seaweedfs", "iam.json"),
    ):
        text = f"Turn {summary} into a declaration."
        system = systems.add_parser(name, help=summary, description=text)
        system.add_argument("file", metavar="FILE", type=Path, help=summary)
        system.add_argument(
            "--account",
            metavar="ID",
            required=name != "aws",
            default="",
            help="the account that it becomes" + (" (the one that it is in AWS)" if name == "aws" else ""),
        )
        if name != "aws":
            system.add_argument(
                "--secrets", metavar="FOLDER", type=Path, help="write the keys' secrets there"
            )


def run(chosen: argparse.Namespace) -> int:
    """0 with the declaration, 2 where the file is no such export."""
    from broker.commands.refusing import CommandRefused
    from broker.commands.showing import show
    from broker.declaration.imported import NoExport
    from broker.names.arn import is_account_id
    from broker.yaml_text import as_yaml

    command = f"broker import {chosen.system}"
    if chosen.account and not is_account_id(chosen.account):
        return failed(
            command, f"--account: {chosen.account} is no account id, which has twelve digits", WRONG_USE
        )
    try:
        imported = _READERS[chosen.system](chosen)
        secrets = getattr(chosen, "secrets", None)
        if secrets is not None:
            _write_secrets(imported, secrets)
        show(as_yaml(_with_keys(imported, secrets)))
    except NoExport as error:
        return failed(command, f"{chosen.file}: {error}", WRONG_USE)
    except CommandRefused as error:
        return failed(command, str(error), error.status)
    except (KeyError, TypeError, AttributeError) as error:
        return failed(command, f"{chosen.file}: it has not the form of such an export: {error}", WRONG_USE)
    for line in imported.no_counterpart:
        print(f"# {line}", file=sys.stderr)
    if imported.secrets and secrets is None:
        print(f"# {len(imported.secrets)} access keys: left out without --secrets", file=sys.stderr)
    return 0


def _aws(chosen: argparse.Namespace) -> "Imported":
    from broker.declaration.import_aws import import_aws

    return import_aws(read_text(chosen.file), chosen.account)


def _minio(chosen: argparse.Namespace) -> "Imported":
    from broker.declaration.import_minio import import_minio, texts_of

    return import_minio(texts_of(_archive(chosen.file)), chosen.account)


def _seaweedfs(chosen: argparse.Namespace) -> "Imported":
    from broker.declaration.import_seaweedfs import import_seaweedfs

    return import_seaweedfs(read_text(chosen.file), chosen.account)


_READERS = {"aws": _aws, "minio": _minio, "seaweedfs": _seaweedfs}
_LARGEST = 64 * 1024 * 1024  # bytes of one file in an archive, unpacked


def _archive(file: Path) -> dict[str, bytes]:
    """The files of a zip archive. Raises NoExport and WrongUse."""
    from zipfile import BadZipFile, ZipFile

    from broker.causes import cause_of
    from broker.commands.refusing import WrongUse
    from broker.declaration.imported import NoExport

    try:
        with ZipFile(file) as archive:
            if any(one.file_size > _LARGEST for one in archive.infolist()):
                raise NoExport("a file in the archive is larger than 64 MB")
            return {one.filename: archive.read(one) for one in archive.infolist() if not one.is_dir()}
    except BadZipFile as error:
        raise NoExport(f"it is no zip archive: {error}") from None
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {cause_of(error)}") from None


def _write_secrets(imported: "Imported", folder: Path) -> None:
    """Raises WrongUse; a file that is there already is not replaced."""
    import os

    from broker.causes import cause_of
    from broker.commands.refusing import WrongUse

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for key_id, secret in imported.secrets.items():
            opened = os.open(folder / key_id, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "w") as file:
                file.write(secret.reveal())
    except OSError as error:
        raise WrongUse(f"--secrets: {error.filename} cannot be written: {cause_of(error)}") from None


def _with_keys(imported: "Imported", folder: Path | None) -> dict[str, object]:
    """The declaration, whose keys name files in `folder`, or without keys."""
    for account in imported.values["accounts"].values():
        for user in account.get("users", {}).values():
            keys = user.pop("access_keys", [])
            if keys and folder is not None:
                user["access_keys"] = [
                    {**key, "secret_file": f"{folder}/{key['secret_file']}"} for key in keys
                ]
    return imported.values
