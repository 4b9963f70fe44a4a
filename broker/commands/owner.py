"""Root leaves the files of another user's service alone: what root makes there, the service could not open.

A command that root runs on a store or journal in another user's folder is refused, with the line that runs it as that
user. Making the files and giving them away would be worse: whoever owns the folder can put links there, which root
would follow.
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
    """The user to be, because `path` is in their folder; `name` is empty where the system knows none."""

    uid: int
    gid: int
    name: str
    path: Path

    def __str__(self) -> str:
        return self.name or f"user {self.uid}"


class NotOwner(Exception):
    """Root would make files that a service of another user could not open; the message has the line to use."""


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
        said = ", ".join(f"{owner.path} to {owner}" for owner in owners.values())
        raise NotOwner(f"root would make files that others could not open, and they differ: {said}")
    for owner in owners.values():
        line = _line(owner, settings.keys, environment)
        raise NotOwner(
            f"{owner.path} belongs to {owner}, not to root, who runs this. Run it as {owner}:\n  {line}"
        )


def _written(settings: Settings) -> list[Path]:
    """Files of the service that every command may make."""
    scheme, _, path = settings.store.url.reveal().partition(":")
    written = [Path(path.removeprefix("//"))] if scheme == "sqlite" else []
    key = Path(settings.keys.master_key_file)
    if settings.keys.create_master_key and not settings.keys.master_key.reveal() and not key.exists():
        written.append(key)
    return [*written, Path(settings.audit.path)]


def _owner_of(path: Path) -> Owner | None:
    """Whose the folder is that `path` is in or will be in, else whose the file is; None for root's."""
    absolute = path.absolute()
    folder = next(one for one in absolute.parents if one.exists())
    # No device or pipe: /dev/stdout is that of whose terminal it is.
    for place in (folder, absolute) if absolute.is_file() else (folder,):
        found = place.stat()
        if found.st_uid != 0:
            return _owner(found.st_uid, found.st_gid, path)
    return None


def _owner(uid: int, gid: int, path: Path) -> Owner:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Owner(uid, gid, "", path)
    return Owner(uid, entry.pw_gid, entry.pw_name, path)


def _line(owner: Owner, keys: Keys, environment: Mapping[str, str]) -> str:
    """This very command, run as `owner`, for the shell that it was called from."""
    groups = "--init-groups" if owner.name else "--clear-groups"
    user = ["setpriv", f"--reuid={owner.name or owner.uid}", f"--regid={owner.gid}", groups]
    variables = [f"PYTHONPATH={environment['PYTHONPATH']}"] if environment.get("PYTHONPATH") else []
    command = [sys.executable, *sys.orig_argv[1:]]
    line = shlex.join([*(["env", *variables] if variables else []), *user, *command])
    if _is_roots_secret(Path(keys.master_key_file)) and not keys.master_key.reveal():
        # As a variable: an argument would be seen by every user of the machine.
        line = f'BROKER_KEYS_MASTER_KEY="$(cat {shlex.quote(keys.master_key_file)})" {line}'
        return f"sudo sh -c {shlex.quote(line)}" if "SUDO_USER" in environment else line
    return f"sudo {line}" if "SUDO_USER" in environment else line


def _is_roots_secret(file: Path) -> bool:
    """Whether root alone can read it, as where systemd hands it to the service as a credential."""
    if not file.exists():
        return False
    found = file.stat()
    return found.st_uid == 0 and not found.st_mode & 0o077
