"""The master key: where it is looked for, and when one is created.

It is created only for an empty store: a store with records needs the master key that sealed its keyrings.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from broker.causes import explained
from broker.config import ConfigurationError, Keys, Settings
from broker.names.secret import shown_url
from broker.sealing.master import MasterKey, new_master_key_text, parse_master_key


def find_master_key(keys: Keys, environment: Mapping[str, str]) -> MasterKey | None:
    """From the environment, else from systemd's credentials, else from the file; None where there is no such file.

    Raises ConfigurationError for an invalid key.
    """
    try:
        if keys.master_key.reveal():
            return parse_master_key(keys.master_key.reveal())
        path = _master_key_path(keys, environment)
        if not keys.allow_readable_master_key and path == Path(keys.master_key_file):
            _require_private(path)  # of a credential, systemd sees to that
        return parse_master_key(path.read_bytes(), _previous_masters(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"the master key cannot be used: {explained(error)}") from None
    except ValueError as error:
        where = "keys.master_key" if keys.master_key.reveal() else _master_key_path(keys, environment)
        raise ConfigurationError(f"the master key cannot be used: {where}: {error}") from None


def _require_private(path: Path) -> None:
    """Raises ConfigurationError where everyone can read the key, or others than its owner can write it."""
    for file in (path, _previous(path)):
        if file.exists() and (mode := file.stat().st_mode & 0o027):
            what = "everyone on this machine can read it" if mode & 0o004 else "others can replace it"
            raise ConfigurationError(
                f"the master key {file} is refused, for {what}: chmod 600 {file}, and make another key if others had "
                "this one; keys.allow_readable_master_key = true uses it as it is"
            )


def no_master_key(
    settings: Settings, environment: Mapping[str, str], why_not_created: str
) -> ConfigurationError:
    """The error for a missing master key: which file was looked for, and why it is not created."""
    path = _master_key_path(settings.keys, environment).absolute()
    return ConfigurationError(f"there is no master key: {path} does not exist, and {why_not_created}")


def sealed_by_another(settings: Settings) -> str:
    """Why no master key is created for a store that has records."""
    return (
        f"the store {shown_url(settings.store.url)} was sealed by another one: "
        "set keys.master_key_file to its file"
    )


def first_master_key(
    settings: Settings,
    environment: Mapping[str, str],
    entropy: Callable[[int], bytes],
    *,
    may_create: bool,
    is_new: bool,
) -> MasterKey:
    """Create the master key of a store that `is_new`, which is empty; raises ConfigurationError for any other store."""
    if is_new and may_create:
        create_master_key(_master_key_path(settings.keys, environment), entropy)
    # Read again: another process may have created it, and the keyrings, meanwhile.
    master = find_master_key(settings.keys, environment)
    if master is None:
        why = "this command does not create it" if is_new else sealed_by_another(settings)
        raise no_master_key(settings, environment, why)
    return master


def _master_key_path(keys: Keys, environment: Mapping[str, str]) -> Path:
    directory = environment.get("CREDENTIALS_DIRECTORY")
    credential = Path(directory, "broker-master-key") if directory else None
    return credential if credential and credential.exists() else Path(keys.master_key_file)


def _previous_masters(path: Path) -> list[bytes]:
    """The previous master key, which is beside the current one during a rotation."""
    previous = _previous(path)
    return [previous.read_bytes()] if previous.exists() else []


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def create_master_key(path: Path, entropy: Callable[[int], bytes]) -> None:
    """Create the file atomically, readable by its owner only; leaves it alone where another process was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{entropy(8).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(new_master_key_text(entropy(32)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
