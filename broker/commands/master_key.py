"""The rotation of the master key: files are written in an order that never loses the keyrings' key in a crash."""

import argparse
import os
from pathlib import Path

from broker.app import Broker, entropy
from broker.app.master_key import find_master_key, no_master_key
from broker.causes import explained
from broker.commands.opening import with_broker
from broker.commands.owner import NotOwner, require_owner
from broker.commands.records import command_event, open_journal
from broker.commands.refusing import NO_ANSWER, WRONG_USE, CommandRefused, failed
from broker.commands.settings import settings_of
from broker.config import ConfigurationError, Keys
from broker.credentials.keyrings import PARTITION
from broker.sealing.master import MasterKey, is_sealed_by_current, new_master_key_text


def run_master(chosen: argparse.Namespace) -> int:
    """Show, stage, rotate or finish; 1 where the step is not possible now."""
    chosen.direct = True  # the files of the master key are here
    if chosen.step is None:
        return with_broker(chosen, _show)
    try:
        settings = settings_of(chosen)
        require_owner(settings, Path(settings.keys.master_key_file))
        file = _master_file(settings.keys)
        if chosen.step == "stage":
            _require_no_rotation(file)
            _beside(file, "staged").touch()
            _write_private(_previous(file), _new_key())
            print(
                f"a new master key is staged in {_previous(file)}; see `broker keys master --help` for what follows"
            )
            return 0
    except NotOwner as error:
        return failed("broker keys master", str(error), WRONG_USE)
    except CommandRefused as error:
        return failed("broker keys master", str(error), error.status)
    except (ConfigurationError, ValueError) as error:
        return failed("broker keys master", str(error), WRONG_USE)
    except OSError as error:
        return failed("broker keys master", explained(error), NO_ANSWER)
    return with_broker(chosen, _finish) if chosen.step == "finish" else _rotate(chosen, file)


async def _show(broker: Broker) -> int:
    master = _master_key(broker)
    print(f"master key    {master.id}")
    for key in master.ring.keys:
        if key.id.hex() != master.id:
            print(f"previous key  {key.id.hex()}")
    for name, sealed in await broker.engine.scan(PARTITION, ""):
        state = (
            "sealed by the master key"
            if is_sealed_by_current(master, sealed)
            else "still sealed by another key"
        )
        print(f"{name:<12}  {state}")
    return 0


def _rotate(chosen: argparse.Namespace, file: Path) -> int:
    async def prove(broker: Broker) -> int:
        """Before any file is written: the keyrings open, and are sealed by the current key, not by .previous."""
        unfinished = "the last rotation is not finished: --finish comes first"
        if _previous(file).exists() and not _beside(file, "staged").exists():
            raise CommandRefused(unfinished)
        await _require_sealed_by_current(broker, unfinished)
        return 0

    async def reseal(broker: Broker) -> int:
        await broker.keyrings.reseal()
        await _require_sealed_by_current(broker, "a keyring is still sealed by the previous key")
        master = _master_key(broker)
        with open_journal(broker.settings.audit) as journal:
            parameters = {"masterKeyId": master.id}
            journal.write(command_event("keys master --rotate", "", "broker:RotateMasterKey", parameters))
        print(
            f"the keyrings are sealed by the new master key {master.id}; the previous key is in {_previous(file)}"
        )
        print("restart every broker process, then run `broker keys master --finish`")
        return 0

    status = with_broker(chosen, prove)
    if status:
        return status
    try:
        _swap_keys(file)
    except OSError as error:
        return failed("broker keys master", explained(error), NO_ANSWER)
    return with_broker(chosen, reseal)


def _swap_keys(file: Path) -> None:
    """The staged key, or a new one, becomes current and the current one previous.

    # INVARIANT: at every moment one of FILE, FILE.previous and FILE.retiring has the whole current key.
    """
    previous, retiring = _previous(file), _beside(file, "retiring")
    following = previous.read_bytes() if previous.exists() else _new_key()
    _write_private(retiring, file.read_bytes())
    if not previous.exists():
        _write_private(previous, following)
    _write_private(file, following)
    _beside(file, "staged").unlink(missing_ok=True)
    retiring.replace(previous)


def _new_key() -> bytes:
    return new_master_key_text(entropy(32)).encode() + b"\n"


async def _finish(broker: Broker) -> int:
    file = _master_file(broker.settings.keys)
    await broker.keyrings.reseal()
    await _require_sealed_by_current(
        broker, "a keyring is still sealed by the previous key: run --rotate first"
    )
    if not _previous(file).exists():
        print("there is no previous master key: nothing to finish")
        return 0
    _previous(file).unlink()
    print(
        f"{_previous(file)} is deleted; keep no other copy of it longer than your oldest backup of the store"
    )
    return 0


async def _require_sealed_by_current(broker: Broker, otherwise: str) -> None:
    master = _master_key(broker)
    for _, sealed in await broker.engine.scan(PARTITION, ""):
        if not is_sealed_by_current(master, sealed):
            raise CommandRefused(otherwise)


def _require_no_rotation(file: Path) -> None:
    if _previous(file).exists():
        raise CommandRefused(
            f"{_previous(file)} exists: a rotation is under way; --rotate or --finish comes next"
        )


def _master_key(broker: Broker) -> MasterKey:
    master = find_master_key(broker.settings.keys, os.environ)
    if master is None:
        raise no_master_key(broker.settings, os.environ, "it was there a moment ago")
    return master


def _master_file(keys: Keys) -> Path:
    """The file that holds the master key; raises CommandRefused where the key does not come from a file."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if keys.master_key.reveal() or (directory and Path(directory, "broker-master-key").exists()):
        raise CommandRefused("the master key is not a file here; replace it where it comes from, see --help")
    file = Path(keys.master_key_file)
    if not file.exists():
        raise CommandRefused(f"{file} does not exist: there is no master key to replace yet")
    retiring = _beside(file, "retiring")
    if retiring.exists():  # a rotation was interrupted: do its last steps
        _beside(file, "staged").unlink(missing_ok=True)
        retiring.replace(_previous(file))
    return file


def _previous(file: Path) -> Path:
    return _beside(file, "previous")


def _beside(file: Path, what: str) -> Path:
    return file.with_name(f"{file.name}.{what}")


def _write_private(file: Path, content: bytes) -> None:
    """Replace the file atomically, readable by its owner only; it is on disk when this returns."""
    temporary = file.with_name(f".{file.name}.{entropy(6).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
