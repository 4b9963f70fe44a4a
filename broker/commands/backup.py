"""`broker backup`: a copy of the store, while it is in use."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker

DESCRIPTION = """\
Copy the store to FILE, as it is at one moment, while the broker serves.

  broker backup /srv/backup/broker-2026-11-30.db

FILE is new, one file, readable by its owner only. Its records are sealed as in the store, so it is of no use without
the master key, which is not in it: keep a copy of that elsewhere. The backup is opened and its records are counted
before it appears. One of a Redis may be restored to SQLite, and the reverse (`broker restore`). The journal is not in
it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", type=Path, help="the backup, which does not exist yet")
    add_settings_arguments(parser)


def run(chosen: argparse.Namespace) -> int:
    """0 with the backup in place, 2 where FILE cannot be one."""
    from broker.commands.opening import with_broker

    async def work(broker: "Broker") -> int:
        from broker.app.backup import back_up
        from broker.commands.records import command_event, open_journal

        require_new(chosen.file)
        with open_journal(broker.settings.audit) as journal:
            counted = await back_up(broker, chosen.file)
            parameters = {"file": str(chosen.file.absolute()), "records": counted.records}
            journal.write(command_event("backup", "", "broker:BackUpStore", parameters))
        print(
            f"{chosen.file}: {counted.accounts} accounts, {counted.records} records, each opened with the master key"
        )
        return 0

    # The running broker writes the file, as its own user, and has another current folder.
    absolute = str(chosen.file.absolute())
    chosen.arguments = [absolute if one == str(chosen.file) else one for one in chosen.arguments]
    return with_broker(chosen, work)


def require_new(file: Path) -> None:
    """Raises WrongUse."""
    from broker.commands.refusing import WrongUse

    if file.exists():
        raise WrongUse(f"{file} exists, and a backup replaces nothing: name another file")
    if not file.absolute().parent.is_dir():
        raise WrongUse(f"{file.absolute().parent} is no folder")
