"""Finds all faults that would prevent a broker from serving with these settings, without creating anything.

`broker config check` prints them; `broker serve` reserves its addresses by it before it creates anything.
"""

import os
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

import msgspec

from broker.app import Broker, open_broker, open_engine, sqlite_path
from broker.app.compose import open_federation_of
from broker.app.master_key import find_master_key, no_master_key, sealed_by_another
from broker.app.serving import LISTENERS, read_certificate
from broker.audit.journal import UNAUTHENTICATED
from broker.causes import explained
from broker.commands.owner import NotOwner, require_owner
from broker.commands.refusing import DONE, NO_ANSWER, WRONG_USE
from broker.commands.root_user import ensure_configured_root_key
from broker.config import ConfigurationError, Settings, StoreSettings, parse_address
from broker.config.settings import listener_addresses
from broker.credentials.keyrings import WrongMasterKey
from broker.names.secret import SecretKey
from broker.storage.engine import EngineUnavailable
from broker.web.listeners import AddressUnavailable, overlap, reserve

# The sections that must be valid before federation is opened, and before the store, its keys and root user are.
_OF_FEDERATION = frozenset(("federation", "ldap", "client_certificates", "identity_plugin"))
_OF_STORE = _OF_FEDERATION | {"store", "keys", "root"}


class Fault(msgspec.Struct, frozen=True):
    """Why a broker could not serve, as a message for the operator."""

    message: str
    may_pass: bool = (
        False  # it may end without a change of settings or files: a Redis that is away, an address in use
    )


def status_of(faults: Sequence[Fault]) -> int:
    """A command's exit status: 2 where a restart cannot help (systemd does not restart then), 3 where it may."""
    if not faults:
        return DONE
    return NO_ANSWER if all(fault.may_pass for fault in faults) else WRONG_USE


def reserve_addresses(settings: Settings) -> tuple[dict[str, list[socket]], list[Fault]]:
    """The sockets of LISTENERS, bound and not listening, and what is wrong with their addresses."""
    reserved: dict[str, list[socket]] = {}
    faults = []
    for name in LISTENERS:
        own: list[socket] = []
        try:
            for address in listener_addresses(settings.listen, name):
                own += reserve(*parse_address(address, f"listen.{name}"))
        except AddressUnavailable as error:
            faults.append(Fault(str(error), may_pass=error.may_pass))
            continue
        except ConfigurationError:
            continue  # not an address: `load_settings` reports it
        if not own:
            continue  # the portal, where there is none
        for other, sockets in reserved.items():
            if overlap(own, sockets):
                faults.append(Fault(f"listen.{name} and listen.{other} are the same address"))
        reserved[name] = own
    return reserved, faults


async def find_faults(
    settings: Settings, environment: Mapping[str, str], faulty_sections: frozenset[str] = frozenset()
) -> list[Fault]:
    """All faults except those of addresses; what needs one of `faulty_sections` is not opened."""
    faults = []
    if "store" not in faulty_sections:
        try:
            require_owner(settings, environment=environment)
        except NotOwner as error:
            faults.append(Fault(str(error)))
    if not faulty_sections & {"tls", "client_certificates"}:
        try:
            read_certificate(settings)
        except ConfigurationError as error:
            faults.append(Fault(str(error)))
    if not faulty_sections & _OF_FEDERATION:
        try:
            async with open_federation_of(settings):
                pass
        except ConfigurationError as error:
            faults.append(Fault(str(error)))
    why_not = _why_no_journal(Path(settings.audit.path))
    if why_not:
        faults.append(Fault(f"audit.path: the journal cannot be written: {why_not}"))
    if faulty_sections & _OF_STORE:
        return faults
    path = sqlite_path(settings.store.url.reveal())
    with _store_to_look_at(path) as copy:
        seen = settings
        if copy is not None:
            seen = msgspec.structs.replace(settings, store=StoreSettings(SecretKey(f"sqlite:{copy}")))
        async for fault in _faults_of_store(settings, seen, environment):
            message = fault.message.replace(str(copy), str(path)) if copy is not None else fault.message
            faults.append(Fault(message, fault.may_pass))
    return list(dict.fromkeys(faults))  # without duplicates: opening a store opens federation again


async def _faults_of_store(
    settings: Settings, seen: Settings, environment: Mapping[str, str]
) -> AsyncIterator[Fault]:
    """Faults of the store, the master key, and the root user of the settings; the store is opened with `seen`."""
    is_redis = sqlite_path(settings.store.url.reveal()) is None
    is_new: bool | None = None
    try:
        is_new = await is_new_store(seen)
    except (ConfigurationError, EngineUnavailable, OSError) as error:
        yield Fault(str(error), may_pass=is_redis and isinstance(error, EngineUnavailable))
    try:
        master = find_master_key(settings.keys, environment)
    except ConfigurationError as error:
        yield Fault(str(error))
        return
    if master is None:
        for fault in _faults_of_missing_key(settings, environment, is_new):
            yield fault
    elif is_new is False:
        async for fault in _faults_in_store(seen, environment, is_redis):
            yield fault


def _faults_of_missing_key(
    settings: Settings, environment: Mapping[str, str], is_new: bool | None
) -> Iterator[Fault]:
    if not settings.keys.create_master_key:
        yield Fault(
            str(no_master_key(settings, environment, "none may be created: keys.create_master_key is off"))
        )
    elif is_new is False:
        yield Fault(str(no_master_key(settings, environment, sealed_by_another(settings))))
    else:
        why_not = why_not_writable(Path(settings.keys.master_key_file))
        if why_not:
            yield Fault(f"keys.master_key_file: no master key can be made: {why_not}")


async def _faults_in_store(
    settings: Settings, environment: Mapping[str, str], is_redis: bool
) -> AsyncIterator[Fault]:
    """Faults of a store that is not empty, opened as a server opens it."""
    try:
        async with open_broker(settings, environment, may_create=False) as broker:
            await _check_root_user(broker)
    except (ConfigurationError, EngineUnavailable, OSError) as error:
        is_away = isinstance(error, EngineUnavailable) and not isinstance(error, WrongMasterKey)
        yield Fault(str(error), may_pass=is_redis and is_away)


async def _check_root_user(broker: Broker) -> None:
    if broker.settings.root.account_id:
        await ensure_configured_root_key(broker.store.transaction(), broker.settings.root)  # never committed


async def is_new_store(settings: Settings) -> bool:
    """Whether the store is missing or empty; raises EngineUnavailable where it could not be created."""
    path = sqlite_path(settings.store.url.reveal())
    if path is not None and (path.is_dir() or not path.exists() or not path.stat().st_size):
        why_not = why_not_writable(path)
        if why_not:
            raise EngineUnavailable(why_not)
        return True
    engine = open_engine(settings.store, may_create=False)
    try:
        return not await engine.partitions("")
    finally:
        await engine.close()


def _why_no_journal(path: Path) -> str:
    """Checks both files of a journal that is a regular file."""
    return why_not_writable(path) or (
        why_not_writable(path.with_name(f"{path.name}{UNAUTHENTICATED}")) if path.is_file() else ""
    )


@contextmanager
def _store_to_look_at(path: Path | None) -> Iterator[Path | None]:
    """A copy of an SQLite store without a lock file: opening the store itself would create one beside it."""
    if path is None or not path.is_file() or path.with_name(f"{path.name}-lock").exists():
        yield None
        return
    with TemporaryDirectory(prefix="broker-check-") as folder:
        copy = Path(folder, path.name)
        copy.with_name(f"{path.name}-lock").touch()
        for suffix in ("", "-wal"):
            if path.with_name(f"{path.name}{suffix}").exists():
                shutil.copyfile(path.with_name(f"{path.name}{suffix}"), f"{copy}{suffix}")
        yield copy


def why_not_writable(path: Path) -> str:
    """Why a file could not be created or appended to at `path`, or "". Missing folders would be created."""
    try:
        if path.exists():
            if path.is_dir():
                return f"{path} is a folder"
            return "" if os.access(path, os.W_OK) else f"{path} may not be written"
        parent = next(folder for folder in path.absolute().parents if folder.exists())
    except OSError as error:
        return explained(error, path)
    if not parent.is_dir():
        return f"{path}: {parent} is not a folder"
    return "" if os.access(parent, os.W_OK | os.X_OK) else f"{path}: no file may be created in {parent}"
