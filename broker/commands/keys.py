"""`broker keys`: the keyrings and the master key that seals them."""

import argparse
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.sealing.keyring import Keyring

DESCRIPTION = """\
Two keyrings live in the store, sealed by the master key:

  sessions   seals session tokens and authorization messages. It rotates automatically on the schedule of [keys];
             a retired key is dropped when the last token that it sealed has expired.
  storage    seals the records. It rotates by command only, and its keys are never dropped.

A rotation has two steps, so that every node can open with the new key before any node seals with it:

  staged     every node knows the next key; it seals nothing yet            (`broker keys rotate`)
  primary    it seals; the previous key is retired and only opens           (`broker keys rotate` again, a minute later)

  broker keys list
  broker keys rotate                    the next step of the sessions keyring, now
  broker keys rotate --ring storage     the next step of the storage keyring
  broker keys drop KEY                  delete a retired key of the sessions keyring: within fifteen seconds, every
                                        session whose token it sealed is refused
  broker keys master                    which master key seals the keyrings; see its own --help
"""

MASTER_DESCRIPTION = """\
Without an option: which master key seals the keyrings. The key's own value is never shown.

One machine:   broker keys master --rotate      writes a new key to keys.master_key_file and the old one beside it as
                                                 .previous, and seals the keyrings with the new key
               restart the broker                running processes use the old master key
               broker keys master --finish      checks that nothing needs .previous any more, and deletes it

A fleet:       broker keys master --stage       writes a new key as .previous: known, not used
               copy .previous to every node and restart them, one after another
               broker keys master --rotate      on one node: swaps the staged key and the current one
               copy both files to every node and restart them
               broker keys master --finish      on one node; then delete .previous on the others

A master key from the environment or from systemd is replaced there, in the same order: the broker reads
FILE.previous only beside a key that is a file.
"""

_PROMOTABLE_AFTER = 60.0  # seconds: every node reads a changed keyring within fifteen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the keys of both rings")
    rotate = actions.add_parser("rotate", help="take the next step of a rotation now")
    rotate.add_argument("--ring", choices=("sessions", "storage"), default="sessions")
    rotate.add_argument(
        "--at-once", action="store_true", help="promote a key even where it was staged less than a minute ago"
    )
    dropping = actions.add_parser("drop", help="delete a retired session key, and end the sessions it sealed")
    dropping.add_argument("key", metavar="KEY", help="as `broker keys list` shows it")
    master = actions.add_parser(
        "master",
        help="the master key: which it is, and its rotation",
        description=MASTER_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    step = master.add_mutually_exclusive_group()
    step.add_argument("--stage", action="store_const", const="stage", dest="step", help="create the next key")
    step.add_argument("--rotate", action="store_const", const="rotate", dest="step", help="use it")
    step.add_argument(
        "--finish", action="store_const", const="finish", dest="step", help="delete the old one"
    )
    for one in (listing, rotate, dropping, master):
        add_settings_arguments(one)


def run(chosen: argparse.Namespace) -> int:
    """0 where it is done, 1 where it is too early or impossible."""
    from broker.commands.opening import with_broker

    if chosen.action == "master":
        from broker.commands.master_key import run_master

        return run_master(chosen)

    async def work(broker: "Broker") -> int:
        if chosen.action == "rotate":
            print(await rotate_ring(broker, chosen.ring, chosen.at_once))
        elif chosen.action == "drop":
            print(await drop_key(broker, chosen.key))
        else:
            show_rings(broker)
        return 0

    return with_broker(chosen, work)


async def rotate_ring(broker: "Broker", name: str, at_once: bool) -> str:
    """Stage the next key, or promote the staged one; returns what was done. Raises CommandRefused."""
    from broker.commands.records import command_event, open_journal

    with open_journal(broker.settings.audit) as journal:
        if _ring(broker, name).staged is None:
            await broker.keyrings.stage(name)
            step, key = "staged", _ring(broker, name).staged
            follows = "; run this again in a minute, when every node knows it, to seal with it"
        else:
            _require_promotable(_ring(broker, name), at_once, await broker.engine.now())
            await broker.keyrings.promote(name)
            step, key, follows = "primary", _ring(broker, name).primary, ""
        assert key is not None
        parameters = {"ring": name, step: key.id.hex()}
        journal.write(command_event("keys rotate", "", "broker:RotateKeyring", parameters))
    return f"{name}: key {key.id.hex()} is {step}{follows}"


def _require_promotable(ring: "Keyring", at_once: bool, now: float) -> None:
    """Raises CommandRefused where a node may not have read the staged key yet; `now` is the store's."""
    from broker.commands.refusing import CommandRefused

    assert ring.staged is not None
    age = now - ring.staged.created_at
    if age < _PROMOTABLE_AFTER and not at_once:
        raise CommandRefused(
            f"the staged key is {age:.0f} seconds old and not every node may know it: try again in "
            f"{_PROMOTABLE_AFTER - age:.0f} seconds, or add --at-once"
        )


async def drop_key(broker: "Broker", shown_id: str) -> str:
    """Delete a key of the sessions keyring; returns what was done. Raises CommandRefused."""
    from broker.commands.records import command_event, open_journal
    from broker.commands.refusing import CommandRefused

    ring = broker.keyrings.sessions()
    key = next((key for key in ring.keys if key.id.hex() == shown_id), None)
    if key is None:
        raise CommandRefused(
            f"the sessions keyring has no key {shown_id}; `broker keys list` shows those it has"
        )
    if key is ring.primary:
        raise CommandRefused(f"{shown_id} is the key that seals: rotate first, twice")
    with open_journal(broker.settings.audit) as journal:
        await broker.keyrings.drop(key.id)
        journal.write(command_event("keys drop", "", "broker:DropKey", {"ring": "sessions", "key": shown_id}))
    return f"sessions: key {shown_id} is dropped; what it sealed is refused"


def show_rings(broker: "Broker") -> None:
    from broker.commands.terminal import print_table

    rows = [
        [
            name,
            key.id.hex(),
            key.state.value,
            _time(key.created_at),
            _time(key.promoted_at),
            _time(key.retired_at),
            _time(key.opens_until),
        ]
        for name in ("sessions", "storage")
        for key in _ring(broker, name).keys
    ]
    print_table(["RING", "KEY", "STATE", "CREATED", "PROMOTED", "RETIRED", "OPENS UNTIL"], rows)


def _ring(broker: "Broker", name: str) -> "Keyring":
    return broker.keyrings.sessions() if name == "sessions" else broker.keyrings.storage()


def _time(seconds: float | None) -> str:
    from broker.audit.event import iso_time

    if seconds is None:
        return "-"
    return "for ever" if seconds == float("inf") else iso_time(seconds)
