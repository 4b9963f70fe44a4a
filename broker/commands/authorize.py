"""`broker authorize explain`: how a request behind a proxy is mapped, and why it would be allowed or denied."""

import argparse
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.authorize.routes import ForwardRoute, Mapped

DESCRIPTION = """\
Show what the routes of [[authorize.routes]] make of a request, and decide it for a principal.

  broker authorize explain GET https://shop.example.com/orders/7
  broker authorize explain PUT https://shop.example.com/orders/7 \\
      --principal arn:aws:iam::111111111111:user/alice --context aws:SourceIp=192.0.2.7

Without --principal it needs no store: the route, the action, the resource and the condition keys are printed. With it,
the user, role or root is read from the store, and the outcome of each layer is printed. Of a request that was answered
already, `broker audit find --id ID` shows the record by the decision's id (X-Broker-Decision-Id).

Exit status: 0 where the request is mapped, and allowed where a principal is named; 1 where not; 2 for wrong use.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action_name", metavar="ACTION", required=True)
    explain = actions.add_parser("explain", help="what a request is, and why it is allowed or denied")
    explain.add_argument("method", metavar="METHOD", help="GET, PUT, …")
    explain.add_argument("url", metavar="URL", help="as the client sends it: scheme, host and path")
    explain.add_argument("--principal", metavar="ARN", help="who asks: a user, a role, or an account's root")
    explain.add_argument(
        "--context", metavar="KEY=VALUE", action="append", default=[], help="a condition key of the request"
    )
    add_settings_arguments(explain)


def run(chosen: argparse.Namespace) -> int:
    """0 where mapped and allowed, 1 where not, 2 for wrong use."""
    from broker.commands.refusing import CommandRefused, failed, refused_settings
    from broker.commands.settings import settings_of
    from broker.config import ConfigurationError

    command = "broker authorize explain"
    try:
        mapped = _mapped(chosen, settings_of(chosen).authorize.routes)
    except ConfigurationError as error:
        return refused_settings(command, error)
    except CommandRefused as error:
        return failed(command, str(error), error.status)
    if mapped is None:
        return 1
    return 0 if chosen.principal is None else _decided(chosen, mapped)


def _mapped(chosen: argparse.Namespace, routes: "tuple[ForwardRoute, ...]") -> "Mapped | None":
    """Prints what the request is. Raises WrongUse for what is no URL."""
    from broker.authorize.routes import find_route
    from broker.commands.refusing import WrongUse

    scheme, separator, rest = chosen.url.partition("://")
    host, slash, path = rest.partition("/")
    if not separator or scheme not in ("http", "https") or not host:
        raise WrongUse(f"{chosen.url!r} is no URL: write scheme, host and path")
    raw = f"/{path}".partition("?")[0] if slash else "/"
    try:
        mapped = find_route(routes, chosen.method, host, raw)
    except ValueError as error:
        print(f"denied: {error}")
        return None
    if mapped is None:
        print(f"denied: no route of {len(routes)} names {chosen.method} {host} {raw}")
        return None
    print(f"route {mapped.number}: {mapped.route.host} {mapped.route.path}")
    print(f"action    {mapped.action}\nresource  {mapped.resource}")
    for key, values in mapped.keys.items():
        print(f"key       {key} = {', '.join(values)}")
    return mapped


def _decided(chosen: argparse.Namespace, mapped: "Mapped") -> int:
    """The decision for a principal, by the store; what the request itself shows is said by --context."""
    from broker.access.facts import RequestFacts
    from broker.app import clock
    from broker.authorize.evaluation import judge
    from broker.authorize.questions import PRINCIPAL, AskedSubject
    from broker.authorize.subjects import NoSubject, named_caller
    from broker.commands.explaining import print_explanations
    from broker.commands.opening import with_broker
    from broker.commands.refusing import WrongUse
    from broker.errors import Refusal
    from broker.names.arn import parse_arn

    async def work(broker: "Broker") -> int:
        store, now = broker.store.transaction(), clock()
        try:
            subject = await named_caller(store, AskedSubject(PRINCIPAL, chosen.principal), now)
        except (NoSubject, Refusal, ValueError) as error:
            raise WrongUse(f"--principal: {error}") from None
        facts = RequestFacts(
            now,
            "",
            "",
            secure_transport=chosen.url.startswith("https:"),
            region=parse_arn(mapped.resource).region,
        )
        keys = {**mapped.keys, **_context(chosen.context)}
        decision, reason = await judge(
            broker.gate, store, subject, facts, mapped.action, mapped.resource, keys
        )
        if decision is None:
            print(f"denied: {reason}")
            return 1
        print_explanations([decision])
        return 0 if decision.allowed else 1

    return with_broker(chosen, work)


def _context(pairs: list[str]) -> dict[str, tuple[str, ...]]:
    from broker.commands.refusing import WrongUse

    keys: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise WrongUse(f"--context: {pair!r} is not KEY=VALUE")
        keys[key.lower()] = (*keys.get(key.lower(), ()), value)
    return keys
