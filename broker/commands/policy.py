"""`broker policy`: check policy documents, simulate and explain decisions."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.policy import Decision

KINDS = ("identity", "managed", "resource", "trust", "boundary", "session", "scp", "rcp", "endpoint")

DESCRIPTION = """\
Check and evaluate policies with the engine that decides requests.

  broker policy check trust.json --kind trust          AWS's error for the document, if it is malformed
  broker policy check new.json --no-new-access old.json
  broker policy simulate --policy reader.json --action s3:GetObject --resource arn:aws:s3:::reports/2026.csv
  broker policy explain --principal arn:aws:iam::111111111111:user/alice --action sts:AssumeRole \\
      --resource arn:aws:iam::222222222222:role/data-reader --context sts:ExternalId=demo-external-id

`check` prints AWS's refusal of a document that cannot be stored, and findings under the codes of IAM Access Analyzer,
each with its line and column: unknown actions, condition keys and services, malformed ARNs, roles passed to everybody.
It exits with 1 for errors, with --strict for warnings, too; suggestions change nothing.

With --no-new-access, --not-granted and --no-public-access it also asks a solver, as IAM Access Analyzer's custom policy
checks do, and exits with 1 where one fails, or cannot be decided. That needs pip install 'broker[solver]'.

`simulate` prints a line for each decision, `explain` the outcome of each layer of policies. These two exit with 0 where
all is allowed, 1 where something is denied, 2 where the question itself cannot be used.
"""

ASKING = """
With --principal, the user, role, role session or root is read from the store, with its groups, boundary and
organization. Files are added: --policy as one more identity policy, --boundary instead of its own boundary, --session
as a session policy, --scp and --rcp as one more level each. For actions of sts, a role's trust policy is its resource
policy. Without --principal, only the files are evaluated, for a user of account 123456789012.

Condition keys of the principal and of the time are set as in a request over TLS; set keys of the request
(aws:SourceIp, sts:ExternalId, ...) with --context.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action_name", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="check a document: AWS's refusal, and findings")
    check.add_argument("file", metavar="FILE", type=Path, help="the document, JSON; - for standard input")
    check.add_argument(
        "--kind",
        choices=KINDS,
        default="identity",
        help="the kind of policy (identity); managed: an identity policy that is not inline",
    )
    check.add_argument(
        "--service-principal",
        metavar="NAME",
        action="append",
        default=[],
        help="a service of your own that a trust policy may name, as in [policies] service_principals; may be repeated",
    )
    check.add_argument(
        "--strict", action="store_true", help="exit with 1 for warnings, too, not for errors only"
    )
    _add_custom_checks(check)
    for name, help_text, sentence in (
        ("simulate", "allowed or not, in a line", "Decide requests, and print a line for each."),
        (
            "explain",
            "the outcome of each layer",
            "Decide a request, and print the outcome of each layer of policies.",
        ),
    ):
        asking = actions.add_parser(
            name,
            help=help_text,
            description=f"{sentence}\n{ASKING}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_question(asking)
        add_settings_arguments(asking)


def _add_custom_checks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-new-access",
        metavar="FILE",
        type=Path,
        help="fail where the document allows what the policy in this file, of the same kind, does not",
    )
    parser.add_argument(
        "--not-granted",
        metavar="ACTION",
        action="append",
        default=[],
        help="fail where the document allows one of these actions; may be repeated",
    )
    parser.add_argument(
        "--not-granted-on",
        metavar="ARN",
        action="append",
        default=[],
        help="fail where it allows them, or anything, on one of these resources; may be repeated",
    )
    parser.add_argument(
        "--no-public-access",
        action="store_true",
        help="fail where the document, a policy with principals, allows something to anybody",
    )


def _add_question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--principal", metavar="ARN", help="the caller, read from the store")
    parser.add_argument(
        "--action", metavar="ACTION", action="append", required=True, help="may be repeated: iam:GetUser"
    )
    parser.add_argument("--resource", metavar="ARN", action="append", help="may be repeated (*)")
    parser.add_argument("--resource-account", metavar="ID", help="its owner, where the ARN has no account")
    parser.add_argument(
        "--context",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a condition key; repeat it for a key of several values",
    )
    for option, meaning in (
        ("policy", "an identity policy"),
        ("scp", "a service control policy: one level"),
        ("rcp", "a resource control policy: one level"),
    ):
        parser.add_argument(
            f"--{option}",
            metavar="FILE",
            type=Path,
            action="append",
            default=[],
            help=f"{meaning}; may be repeated",
        )
    for option, meaning in (
        ("boundary", "a permissions boundary"),
        ("session", "a session policy"),
        ("resource-policy", "the policy of the resource; for a role, its trust policy"),
    ):
        parser.add_argument(f"--{option}", metavar="FILE", type=Path, help=meaning)


def run(chosen: argparse.Namespace) -> int:
    """0 where the document is valid or all is allowed, 1 where not, 2 for invalid options."""
    from broker.commands.refusing import CommandRefused, failed, read_text

    try:
        if chosen.action_name == "check":
            text = read_text(chosen.file)
            status = _check(text, chosen.file, chosen.kind, chosen.service_principal, chosen.strict)
            return status or _check_access(chosen, text)
        return _ask_files(chosen) if chosen.principal is None else _ask_store(chosen)
    except CommandRefused as error:
        return failed(f"broker policy {chosen.action_name}", str(error), error.status)


def _ask_files(chosen: argparse.Namespace) -> int:
    import asyncio

    from broker.commands.simulation import decide_all

    return _show(chosen, asyncio.run(decide_all(chosen, None)))


def _ask_store(chosen: argparse.Namespace) -> int:
    from broker.commands.opening import with_broker
    from broker.commands.simulation import decide_all

    async def work(broker: "Broker") -> int:
        return _show(chosen, await decide_all(chosen, broker))

    from broker.commands.refusing import read_text

    options = [chosen.boundary, chosen.session, chosen.resource_policy]
    named = [*chosen.policy, *chosen.scp, *chosen.rcp, *(file for file in options if file is not None)]
    return with_broker(chosen, work, files={str(file): read_text(file) for file in named})


def _check(text: str, file: Path, kind: str, own_services: list[str], is_strict: bool) -> int:
    from broker.commands.findings import print_findings, worst_status
    from broker.commands.refusing import failed, malformed
    from broker.policy import MalformedPolicy, PolicyKind, parse_policy, policy_size
    from broker.policy.validation import VALIDATED_AS, validate_policy

    policy_kind = PolicyKind("identity" if kind == "managed" else kind)
    findings = validate_policy(text, VALIDATED_AS[policy_kind], own_services)
    try:
        policy = parse_policy(
            text, policy_kind, is_managed=kind == "managed", is_new=True, own_services=own_services
        )
    except MalformedPolicy as error:
        print_findings(str(file), findings)
        return failed(str(file), malformed(error))
    print_findings(str(file), findings)
    status = worst_status(findings, is_strict)
    if status == 0:
        count = len(policy.statements)
        print(f"{file}: good, {count} statement{'' if count == 1 else 's'}, {policy_size(text)} characters")
    return status


def _check_access(chosen: argparse.Namespace, text: str) -> int:
    from broker.commands.custom_checks import check_access
    from broker.policy import PolicyKind

    kind = PolicyKind("identity" if chosen.kind == "managed" else chosen.kind)
    return check_access(chosen, kind, text)


def _show(chosen: argparse.Namespace, decisions: "list[Decision]") -> int:
    from broker.commands.explaining import print_decisions, print_explanations

    show = print_explanations if chosen.action_name == "explain" else print_decisions
    show(decisions)
    return 0 if all(decision.allowed for decision in decisions) else 1
