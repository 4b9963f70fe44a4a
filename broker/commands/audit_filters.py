"""What `broker audit find` and `tail` choose records by: options of the command line, and the filter they mean."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.audit.facets import RecordFilter

FILTERS = """\
All filters have to hold, each by its whole text:

  --principal alice            who called: a user's name, a session's, a role's, an ARN, an id or an access key id
  --event sts:AssumeRole       what was asked for; --event AssumeRole, --source iam for all of a service
  --resource reader            what it was about: a name or an ARN in its parameters or its answer
  --outcome denied             denied by a policy; failed for any other reason; succeeded
  --error NoSuchEntity         the code of the error
  --id 5f1d…                   of the request, which clients print with an error, or of the record
  --account 111111111111       the account whose record it is
  --address 192.0.2.7          where it came from
  --read-only, --writing       what only reads or issues credentials, and what changes something
  --since 2h, --until 2026-01-31T12:00Z
                               a time, or how long ago: 30s, 15m, 2h, 7d
"""
# Options whose text is the term of the facet of the same name.
_TEXTS = ("principal", "resource", "error", "id", "account", "address", "source")


def add_filters(parser: argparse.ArgumentParser) -> None:
    metavars = {"account": "ACCOUNT", "address": "IP", "error": "CODE", "id": "ID", "source": "SERVICE"}
    group = parser.add_argument_group("filters")
    for name in _TEXTS:
        group.add_argument(f"--{name}", metavar=metavars.get(name, "NAME"), type=_text)
    group.add_argument("--event", metavar="[SERVICE:]NAME", type=_text)
    group.add_argument("--outcome", choices=("succeeded", "denied", "failed"))
    reading = group.add_mutually_exclusive_group()
    reading.add_argument("--read-only", action="store_const", const="true", dest="reading")
    reading.add_argument("--writing", action="store_const", const="false", dest="reading")
    group.add_argument("--since", metavar="WHEN", type=_moment)
    group.add_argument("--until", metavar="WHEN", type=_moment)


def filter_of(chosen: argparse.Namespace, now: float) -> "RecordFilter":
    from broker.audit.facets import RecordFilter
    from broker.audit.moments import parse_moment

    terms = [(name, getattr(chosen, name)) for name in _TEXTS]
    service, _, event = (chosen.event or "").rpartition(":")
    terms += [
        ("event", event),
        ("source", service),
        ("outcome", chosen.outcome),
        ("read-only", chosen.reading),
    ]
    return RecordFilter(
        tuple((name, text) for name, text in terms if text),
        parse_moment(chosen.since, now) if chosen.since else None,
        parse_moment(chosen.until, now) if chosen.until else None,
    )


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("an empty text finds nothing: leave the option out")
    return text


def _moment(text: str) -> str:
    from broker.audit.moments import parse_moment

    try:
        parse_moment(text, 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
