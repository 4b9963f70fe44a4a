"""`broker sessions`: the sessions that have not expired."""

import argparse
import sys
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.sts.unexpired_sessions import UnexpiredSession, UnexpiredSessions

DESCRIPTION = """\
List the sessions that have not expired, the newest first: of roles, of users (GetSessionToken), of federated users and
of root, also those whose credentials the metadata service delivers.

  broker sessions                                                        of all accounts
  broker sessions --account 123456789012
  broker sessions --principal arn:aws:iam::123456789012:role/app         of a role, or a user and its federated users
  broker sessions --principal arn:aws:sts::123456789012:assumed-role/app/night
  broker sessions --issued-by AKIA…                                      requested with that access key
  broker sessions --json | jq '.[] | select(.state == "live")'

  broker sessions --people                                               of people of identity providers, in browsers
                                                                         and of clients that they allowed
  broker sessions --people --provider corporate

STATE is `live`, or why the session is refused already: `revoked`, `principal gone` (its role or user was deleted) or
`key dropped`. ISSUED BY is the access key that requested it, or the provider, instance or principal where no access key
was used. The source address is in the journal: search it for the session's access key id.

A new session appears in the list within five seconds. The list holds the newest 1,000 sessions of each account; a
warning says where an account has more. A session that is not listed is accepted all the same, and `broker revoke` ends
it as well.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--account", metavar="ACCOUNT", help="only those of this account")
    parser.add_argument(
        "--principal", metavar="ARN", help="only those of this role, user, root user or session"
    )
    parser.add_argument(
        "--issued-by", metavar="KEY", help="only those that were requested with this access key"
    )
    parser.add_argument(
        "--people", action="store_true", help="sessions of people of identity providers, instead of accounts'"
    )
    parser.add_argument("--provider", metavar="NAME", help="with --people: only those of this provider")
    parser.add_argument("--json", action="store_true", help="as a JSON list")
    add_settings_arguments(parser)


def run(chosen: argparse.Namespace) -> int:
    """0 with the sessions, none included; 1 where there is no such account or principal."""
    from broker.commands.opening import with_broker

    async def work(broker: "Broker") -> int:
        from broker.commands.terminal import print_json
        from broker.commands.unexpired_sessions import shown_session

        _require_fitting(chosen)
        if chosen.people:
            from broker.commands.people import list_person_sessions, print_people, shown_person

            people = await list_person_sessions(broker, chosen.provider)
            if chosen.json:
                print_json([shown_person(one) for one in people])
            else:
                print_people(people)
            return 0
        unexpired = await _chosen_sessions(broker, chosen)
        if chosen.json:
            print_json([shown_session(one) for one in unexpired.sessions])
        else:
            print_sessions(unexpired.sessions)
        for line in _warnings(unexpired):
            print(line, file=sys.stderr)
        return 0

    return with_broker(chosen, work)


def _require_fitting(chosen: argparse.Namespace) -> None:
    """Raises WrongUse."""
    from broker.commands.refusing import WrongUse

    if chosen.provider is not None and not chosen.people:
        raise WrongUse("--provider is for --people")
    if chosen.people and (chosen.account, chosen.principal, chosen.issued_by) != (None, None, None):
        raise WrongUse("people of identity providers belong to no account: use --provider alone")


async def _chosen_sessions(broker: "Broker", chosen: argparse.Namespace) -> "UnexpiredSessions":
    """Raises CommandRefused."""
    import msgspec

    from broker.commands.unexpired_sessions import find_identity, list_unexpired_sessions, require_account

    store, account, identity = broker.store.transaction(), chosen.account, None
    if account is not None:
        await require_account(store, account)
    if chosen.principal is not None and not chosen.principal.startswith("arn:aws:sts:"):
        identity = await find_identity(store, chosen.principal)
        account = account or identity.account
    unexpired = await list_unexpired_sessions(broker, account)

    def is_chosen(one: "UnexpiredSession") -> bool:
        session = one.session
        if chosen.issued_by is not None and session.issued_by != chosen.issued_by:
            return False
        if identity is not None:
            return session.identity_id == identity.identity_id
        return chosen.principal is None or session.arn == chosen.principal

    return msgspec.structs.replace(unexpired, sessions=tuple(filter(is_chosen, unexpired.sessions)))


def print_sessions(sessions: "tuple[UnexpiredSession, ...]") -> None:
    from broker.audit.event import iso_time
    from broker.commands.terminal import print_table

    rows = [
        [
            one.session.access_key_id,
            one.session.arn,
            iso_time(one.session.issued_at),
            iso_time(one.session.expires_at),
            one.session.issued_by or "-",
            one.state,
        ]
        for one in sessions
    ]
    headings = ["ACCESS KEY", "SESSION OF", "ISSUED", "EXPIRES", "ISSUED BY", "STATE"]
    print_table(headings, rows, {"live": "green", "revoked": "red"})


def _warnings(unexpired: "UnexpiredSessions") -> list[str]:
    from broker.audit.event import iso_time

    return [
        f"# account {account} has more sessions than are listed: of those issued until "
        f"{iso_time(unlisted.issued_until)} some are missing"
        for account, unlisted in sorted(unexpired.unlisted.items())
    ]
