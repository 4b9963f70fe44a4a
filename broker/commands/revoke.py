"""`broker revoke`: end sessions before they expire."""

import argparse
import math
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.commands.revoking import RevocationTarget
    from broker.sts.unexpired_sessions import UnexpiredSession

DESCRIPTION = """\
End sessions before they expire. When the command returns, every worker on every node refuses them, from the next
request on. (Only `revoke key` takes up to fifteen seconds: that is how often nodes read their keyrings.)

  broker revoke session ASIA…                                       one session, by its access key id, and those that
                                                                    were scoped down from it
  broker revoke role arn:aws:iam::123456789012:role/app             all sessions of the role, until now
  broker revoke role arn:aws:iam::123456789012:role/app --before 2026-11-30T09:00:00Z
                                                                    those that were issued before that moment
  broker revoke user arn:aws:iam::123456789012:user/alice           the user's sessions of GetSessionToken, and those
                                                                    of GetFederationToken that it requested
  broker revoke root 123456789012                                   sessions of the account's root user
  broker revoke person dana@example.com                             sessions in browsers, and of clients, of somebody
                                                                    whom an identity provider vouches for; --provider
                                                                    where several are called so, or a session's id
  broker revoke account 123456789012                                every session of every role and user in the account
  broker revoke key KEY                                             sessions that one key of the keyring sealed, in all
                                                                    accounts; the same as `broker keys drop KEY`
  broker revoke list                                                revocations that are still in force

What it does not end:
  - long-term access keys: `aws iam update-access-key --status Inactive`
  - sessions of other roles that were assumed with a revoked session. The command says how many there are;
    `broker sessions --issued-by ASIA…` lists them.
  - roles that a person of an identity provider has taken from the portal: revoke those roles. And the person signs in
    again, unless the provider refuses them: lock them out there first.
  - the permission to assume the role: principals that it trusts get new sessions. Change the trust policy first.

The client gets InvalidClientTokenId, and the journal's record says `revoked`. The metadata service delivers new
credentials of a revoked role with the next request for them. A revocation is deleted when the last session that it
could concern has expired. Times are compared with the clocks of the nodes: synchronize them.

AWS's own method works, too: an inline policy of the role that denies everything where aws:TokenIssueTime is before a
time (DateLessThan), as the console's "Revoke active sessions" writes it. It needs only iam:PutRolePolicy, not access to
this machine.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="WHAT", required=True)
    session = actions.add_parser("session", help="end one session")
    session.add_argument("subject", metavar="ACCESS_KEY_ID", help="the session's access key id, ASIA…")
    role = actions.add_parser("role", help="end the sessions of a role")
    role.add_argument("subject", metavar="ARN", help="the role's ARN")
    user = actions.add_parser("user", help="end the sessions of a user, and of its federated users")
    user.add_argument("subject", metavar="ARN", help="the user's ARN")
    root = actions.add_parser("root", help="end the sessions of an account's root user")
    root.add_argument("subject", metavar="ACCOUNT", help="the account's id")
    person = actions.add_parser("person", help="end the sessions of a person of an identity provider")
    person.add_argument(
        "subject", metavar="PERSON", help="as `broker sessions --people` shows them, or a session's id"
    )
    person.add_argument("--provider", metavar="NAME", help="only where this provider vouches for them")
    account = actions.add_parser("account", help="end every session in an account")
    account.add_argument("subject", metavar="ACCOUNT", help="the account's id")
    for one in (role, user, root, account):
        one.add_argument(
            "--before",
            metavar="TIME",
            type=parse_moment,
            help="those issued before it: 2026-11-30T09:00:00Z (now)",
        )
    key = actions.add_parser("key", help="end every session whose token one key sealed")
    key.add_argument("subject", metavar="KEY", help="a retired key, as `broker keys list` shows it")
    listing = actions.add_parser("list", help="list what has been revoked")
    listing.add_argument("--account", metavar="ACCOUNT", help="only those of this account")
    for one in (session, role, user, root, person, account, key, listing):
        add_settings_arguments(one)


def parse_moment(text: str) -> int:
    """Whole epoch seconds, rounded up: what was issued in the second of the moment was issued before it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time, such as 2026-11-30T09:00:00Z") from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone: add Z for UTC, or an offset")
    return math.ceil(moment.timestamp())


def run(chosen: argparse.Namespace) -> int:
    """0 where it is done, or there was nothing to do; 1 where there is no such session, role, user, account or key."""
    from broker.commands.opening import with_broker

    async def work(broker: "Broker") -> int:
        from broker.commands.revoking import find_target, revocation_rows, revoke_target
        from broker.commands.terminal import print_table
        from broker.commands.unexpired_sessions import list_unexpired_sessions
        from broker.sts.unexpired_sessions import KEY_DROPPED

        if chosen.action == "list":
            headings = ["ACCOUNT", "SESSIONS OF", "ISSUED BEFORE", "REVOKED", "DELETED AFTER"]
            print_table(headings, await revocation_rows(broker, chosen.account))
            return 0
        if chosen.action == "person":
            from broker.commands.people import end_person_sessions
            from broker.commands.refusing import printable

            people = await end_person_sessions(broker, chosen.subject, chosen.provider)
            number = "1 session ends" if len(people) == 1 else f"{len(people)} sessions end"
            print(f"{number}: of {printable(people[0].name)}, vouched for by {people[0].vouched_by}")
            print("# still accepted: roles that the person has taken; broker revoke role", file=sys.stderr)
            return 0
        if chosen.action == "key":
            from broker.commands.keys import drop_key

            print(await drop_key(broker, chosen.subject))
            sealed = [
                one
                for one in (await list_unexpired_sessions(broker)).sessions
                if one.session.sealed_by == chosen.subject and one.state == KEY_DROPPED
            ]
            print(_ended(sealed))
            return 0
        target = await find_target(broker, chosen.action, chosen.subject)
        result = await revoke_target(broker, chosen.action, target, getattr(chosen, "before", None))
        print(result.message)
        print(_ended(result.ended))
        for line in _hints(target, result.ended, (await list_unexpired_sessions(broker)).sessions):
            print(line, file=sys.stderr)
        return 0

    return with_broker(chosen, work)


def _ended(ended: "Sequence[UnexpiredSession]") -> str:
    """How many of the listed sessions have ended."""
    from broker.audit.event import iso_time

    if not ended:
        return "no session that is listed was live"
    last = max(one.session.expires_at for one in ended)
    number = "1 live session ends" if len(ended) == 1 else f"{len(ended)} live sessions end"
    return f"{number} that would have expired at {iso_time(last)}"


def _hints(
    target: "RevocationTarget", ended: "Sequence[UnexpiredSession]", unexpired: "Sequence[UnexpiredSession]"
) -> list[str]:
    """Keys and sessions that are still accepted, and that an operator may expect to have ended."""
    lines = []
    ended_keys = {one.session.access_key_id for one in ended}
    issuers = ended_keys | set(target.access_key_ids) | ({target.subject} if target.is_session else set())
    others = [one for one in unexpired if one.is_live and one.session.issued_by in issuers]
    if target.access_key_ids:
        lines.append(f"# still accepted: access key {', '.join(target.access_key_ids)}")
    if others:
        keys = sorted({one.session.issued_by for one in others})
        lines.append(
            f"# still accepted: {len(others)} live session(s) that were requested with these; "
            f"broker sessions --issued-by {keys[0]}" + (f" (and {len(keys) - 1} more)" if keys[1:] else "")
        )
    return lines
