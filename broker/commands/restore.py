"""`broker restore`: put a backup in the place of the store."""

import argparse
from pathlib import Path

from broker.commands.settings import add_settings_arguments, settings_of

DESCRIPTION = """\
Replace the store with a backup of `broker backup`: on a machine of its own, or after a loss. Stop every broker
first; a store that a process has open is not touched.

  broker restore /srv/backup/broker-2026-11-30.db               to a store that is not there, or empty
  broker restore /srv/backup/broker-2026-11-30.db --replace     the records that are there are lost

The master key has to be the one that the store had: the backup is opened with it, and its records are counted, before
anything is changed. What was changed after the backup is forgotten, revocations of sessions too: deploy/README.md says
what to do then.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", type=Path, help="a backup")
    parser.add_argument("--replace", action="store_true", help="even where the store holds records")
    add_settings_arguments(parser, is_asked_of_broker=False)


def run(chosen: argparse.Namespace) -> int:
    """0 where the store is that of the backup; 1 where it is in use, or holds records."""
    import asyncio

    from broker.app.backup import restore
    from broker.causes import cause_of, explained
    from broker.commands.owner import NotOwner, require_owner
    from broker.commands.records import command_event, open_journal
    from broker.commands.refusing import NO_ANSWER, REFUSED, WRONG_USE, failed, refused_settings
    from broker.config import ConfigurationError
    from broker.credentials.keyrings import WrongMasterKey
    from broker.names.secret import shown_url
    from broker.storage.engine import EngineUnavailable
    from broker.storage.sqlite_backup import StoreInUse

    try:
        settings = settings_of(chosen)
        require_owner(settings)
        with chosen.file.open("rb"):
            pass
        with open_journal(settings.audit) as journal:
            counted = asyncio.run(restore(settings, chosen.file, must_replace=chosen.replace))
            parameters = {"file": str(chosen.file.absolute()), "records": counted.records}
            journal.write(command_event("restore", "", "broker:RestoreStore", parameters))
    except StoreInUse as error:
        return failed("broker restore", f"{error}; nothing was changed", REFUSED)
    except ConfigurationError as error:
        return refused_settings("broker restore", error)
    except (NotOwner, WrongMasterKey) as error:
        return failed("broker restore", str(error), WRONG_USE)
    except EngineUnavailable as error:
        return failed("broker restore", str(error), NO_ANSWER)
    except OSError as error:
        if error.filename == str(chosen.file):
            return failed("broker restore", f"{chosen.file} cannot be read: {cause_of(error)}", WRONG_USE)
        return failed("broker restore", explained(error), NO_ANSWER)
    where = shown_url(settings.store.url)
    print(f"{where} is the store of {chosen.file}: {counted.accounts} accounts, {counted.records} records")
    return 0
