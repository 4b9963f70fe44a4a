"""`broker hygiene`: what of the accounts' credentials, policies and roles should be mended."""

import argparse
from typing import TYPE_CHECKING, Any

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.hygiene.rules import HygieneFinding, Limits

DESCRIPTION = """\
List what of the accounts' credentials, policies and roles should be mended, the most severe first: the same findings as
on the console's overview.

  broker hygiene                                      of all accounts
  broker hygiene --account 123456789012 --json
  broker hygiene --rule old_keys --key-age 30         one rule, with another limit; --rule may be repeated
  broker hygiene --skip unused_roles                  all rules but one; may be repeated
  broker hygiene --severity medium                    without the rules that matter less

Rules:
  root_keys                   the root user has access keys
  root_without_second_factor  the root user has a password and no second factor
  everyone_trusted            everyone may assume the role, without a condition
  everything_allowed          a policy allows `*` on `*`: conditions are not looked at. A policy of the account is
                              listed by itself, AWS's and inline ones with the user, group or role that has them
  public_resources            the policy of a foreign resource or bucket lets everyone in, without a condition; not
                              where the bucket restricts public access
  without_second_factor       the user has a password and no second factor
  account_trusted             another account is trusted as a whole, without a condition
  outside_trusted             a user, role or session outside the organization is trusted, or anybody there with a
                              condition; outside the account, where it belongs to no organization. Identity
                              providers are not looked at: the external access of Access Analyzer has them
  outside_shared              the policy of a foreign resource or bucket lets in somebody there
  old_keys                    the active access key of a user is older than --key-age days
  unused_keys                 the active access key of a user was not used for --unused days, or never since then
  no_password_policy          the account has no password policy of its own
  unused_passwords            the password of a user was not used for --unused days, or never since then
  unused_roles                nobody assumed the role for --unused days; roles of services are not looked at
  unused_permissions          a user or role that was used within --unused days was allowed by its policies, and did not
                              ask for, what DETAIL lists: a service alone where none of its actions was asked for.
                              It finds what Access Analyzer finds, of the services that the broker sees the use of

The exit status is for scripts: 0 without findings, 1 with some, 3 where the store could not be read.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--account", metavar="ID", action="append", default=[], help="only this account; may be repeated"
    )
    for option, meaning in (("rule", "only this rule"), ("skip", "without this rule")):
        parser.add_argument(
            f"--{option}", metavar="RULE", action="append", default=[], help=f"{meaning}; may be repeated"
        )
    parser.add_argument(
        "--severity",
        choices=("high", "medium", "low"),
        default="low",
        help="only rules that matter as much, or more (low)",
    )
    parser.add_argument("--key-age", metavar="DAYS", type=int, default=90, help="of old_keys (90)")
    parser.add_argument(
        "--unused", metavar="DAYS", type=int, default=90, help="of the rules about what is not used (90)"
    )
    parser.add_argument("--json", action="store_true", help="as a JSON list")
    add_settings_arguments(parser)


def run(chosen: argparse.Namespace) -> int:
    """0 without findings, 1 with some."""
    from broker.commands.opening import with_broker

    async def work(broker: "Broker") -> int:
        from broker.commands.terminal import print_json
        from broker.hygiene.rules import Severity

        limits, rules = _chosen_limits(chosen), _chosen_rules(chosen)
        found = [
            (account, one)
            for account in await _accounts(broker, chosen.account)
            for one in await _findings(broker, account, limits)
            if one.rule.name in rules
        ]
        found.sort(key=lambda pair: list(Severity).index(pair[1].rule.severity))
        if chosen.json:
            print_json([_shown(account, one) for account, one in found])
        else:
            _print(found)
        return 1 if found else 0

    return with_broker(chosen, work)


def _chosen_limits(chosen: argparse.Namespace) -> "Limits":
    """Raises WrongUse."""
    from broker.commands.refusing import WrongUse
    from broker.hygiene.rules import Limits

    if min(chosen.key_age, chosen.unused) < 0:
        raise WrongUse("a number of days is 0 or more")
    return Limits(chosen.key_age, chosen.unused)


def _chosen_rules(chosen: argparse.Namespace) -> set[str]:
    """Raises WrongUse."""
    from broker.commands.refusing import WrongUse
    from broker.hygiene.rules import RULES, Severity

    known = {rule.name for rule in RULES}
    unknown = sorted({*chosen.rule, *chosen.skip} - known)
    if unknown:
        raise WrongUse(f"there is no rule {unknown[0]}; `broker hygiene --help` lists them")
    order = list(Severity)
    severe = order[: order.index(Severity(chosen.severity)) + 1]
    return {
        rule.name
        for rule in RULES
        if rule.severity in severe and rule.name not in chosen.skip and rule.name in (chosen.rule or known)
    }


async def _accounts(broker: "Broker", wanted: list[str]) -> list[str]:
    """Raises CommandRefused."""
    from broker.commands.unexpired_sessions import require_account
    from broker.storage.store import ACCOUNTS

    store = broker.store.transaction()
    for account in wanted:
        await require_account(store, account)
    return wanted or [one.account_id for one in await store.scan(ACCOUNTS, "")]


async def _findings(broker: "Broker", account: str, limits: "Limits") -> "list[HygieneFinding]":
    from broker.app import clock
    from broker.hygiene import states as of
    from broker.hygiene.rules import find_hygiene, unused_since
    from broker.permission_use.account_use import gather_use

    store, now = broker.store.transaction(), clock()
    gathering = (
        of.gather_root,
        of.gather_password_rules,
        of.gather_credentials,
        of.gather_entities,
        of.gather_resources,
    )
    states = [await gather(store, account) for gather in gathering]
    use = await gather_use(store, account, unused_since(limits, now))
    return find_hygiene([*states, use], now, limits)


def _print(found: "list[tuple[str, HygieneFinding]]") -> None:
    from broker.commands.terminal import print_table

    rows = [
        [
            one.rule.severity.value,
            account,
            " ".join(filter(None, (one.place.kind, one.place.name))),
            one.place.detail or "-",
            "-" if one.place.days is None else str(one.place.days),
            one.rule.name,
            one.rule.sentence,
        ]
        for account, one in found
    ]
    if rows:
        headings = ["SEVERITY", "ACCOUNT", "OF", "DETAIL", "DAYS", "RULE", "WHY"]
        print_table(headings, rows, {"high": "red", "medium": "yellow"})
    else:
        print("nothing found")


def _shown(account: str, one: "HygieneFinding") -> dict[str, Any]:
    """For JSON: names in CloudTrail's style, without what a finding does not have."""
    place = one.place
    parts = {"kind": place.kind, "name": place.name, "detail": place.detail, "days": place.days}
    return {
        "rule": one.rule.name,
        "severity": one.rule.severity.value,
        "account": account,
        **{name: value for name, value in parts.items() if value not in ("", None)},
        "why": one.rule.sentence,
    }
