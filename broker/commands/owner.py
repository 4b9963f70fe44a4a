"""Root does not run commands on another user's store or journal: the service could not open files that root creates.

The command is refused, and the message has the command line that runs it as that user. Creating the files and changing
their owner would be dangerous: the folder's owner can put symbolic links there, which root would follow.
"""

import os
import pwd
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from broker.config import Keys, Settings


class Owner(msgspec.Struct, frozen=True):
    """The user who owns the folder of `path`; `name` is empty where the system has none for the uid."""

    uid: int
    gid: int
    name: str
    path: Path

    def __str__(self) -> str:
        return self.name or f"user {self.uid}"


class NotOwner(Exception):
    """Root would create files that another user's service could not open; the message has the command line to use."""


def require_owner(settings: Settings, *more: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Raises NotOwner for root where the store, the journal or `more` files belong to another user."""
    if os.geteuid() != 0:
        return
    paths = [*_written(settings), *more]
    owners: dict[int, Owner] = {}
    for path in paths:
        found = _owner_of(path)
        if found is not None:
            owners.setdefault(found.uid, found)
    if len(owners) > 1:
        listed = ", ".join(f"{owner.path} to {owner}" for owner in owners.values())
        raise NotOwner(
            f"the files belong to different users, and root would create files that they cannot open: {listed}"
        )
    for owner in owners.values():
        line = _line(owner, settings.keys, environment)
        raise NotOwner(
            f"{owner.path} belongs to {owner}, not to root, who runs this. Run it as {owner}:\n  {line}"
        )


def _written(settings: Settings) -> list[Path]:
    """Files of the service that every command may create."""
    scheme, _, path = settings.store.url.reveal().partition(":")
    written = [Path(path.removeprefix("//"))] if scheme == "sqlite" else []
    key = Path(settings.keys.master_key_file)
    if settings.keys.create_master_key and not settings.keys.master_key.reveal() and not key.exists():
        written.append(key)
    return [*written, Path(settings.audit.path)]


def _owner_of(path: Path) -> Owner | None:
    """The owner of the nearest existing folder above `path`, else of the file itself; None where root owns both."""
    absolute = path.absolute()
    folder = next(one for one in absolute.parents if one.exists())
    # A device or pipe does not count: /dev/stdout may belong to the user of the terminal.
    for one in (folder, absolute) if absolute.is_file() else (folder,):
        status = one.stat()
        if status.st_uid != 0:
            return _owner(status.st_uid, status.st_gid, path)
    return None


def _owner(uid: int, gid: int, path: Path) -> Owner:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Owner(uid, gid, "", path)
    return Owner(uid, entry.pw_gid, entry.pw_name, path)


def _line(owner: Owner, keys: Keys, environment: Mapping[str, str]) -> str:
    """A shell's command line that runs this command as `owner`."""
    groups = "--init-groups" if owner.name else "--clear-groups"
    user = ["setpriv", f"--reuid={owner.name or owner.uid}", f"--regid={owner.gid}", groups]
    variables = [f"PYTHONPATH={environment['PYTHONPATH']}"] if environment.get("PYTHONPATH") else []
    command = [sys.executable, *sys.orig_argv[1:]]
    line = shlex.join([*(["env", *variables] if variables else []), *user, *command])
    if _is_roots_secret(Path(keys.master_key_file)) and not keys.master_key.reveal():
        # As a variable: every user of the machine can see arguments.
        line = f'BROKER_KEYS_MASTER_KEY="$(cat {shlex.quote(keys.master_key_file)})" {line}'
        return f"sudo sh -c {shlex.quote(line)}" if "SUDO_USER" in environment else line
    return f"sudo {line}" if "SUDO_USER" in environment else line


def _is_roots_secret(file: Path) -> bool:
    """Whether only root can read it, as with a credential that systemd passes to the service."""
    if not file.exists():
        return False
    found = file.stat()
    return found.st_uid == 0 and not found.st_mode & 0o077
