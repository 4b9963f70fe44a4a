"""`broker federation check`: why an assertion is refused. Prints each check, what was found and what was expected."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.assertions.checks import Check
    from broker.sts.examination import ExaminedRequest

DESCRIPTION = """\
Run the checks that AssumeRoleWithWebIdentity, AssumeRoleWithSAML or AssumeRoleWithLDAPIdentity would make now, with
this broker's providers and settings: of an assertion its form, the provider, its keys, signature, times, audience; of a
person the entry in the directory, the password and the groups; then each condition of the role's trust policy with the
value that it is compared with, and the permissions for tags and a source identity.

  broker federation check --role arn:aws:iam::111111111111:role/deployer token.jwt
  pbpaste | broker federation check --role ROLE_ARN -                       a token, from standard input
  broker federation check --role ROLE_ARN --provider SAML_PROVIDER_ARN response.b64
  broker federation check --role ROLE_ARN --ldap-user alice password.txt

The operation sts:CheckFederation shows the same to those who may ask (config/README.md, "Operations of our own").

No credentials are made, and an assertion for single use is not used up. The exit status is 0 where the role would be
assumed, 1 where that would be refused. Assertions are secrets until they expire, and passwords are: they are read from
a file or from standard input, and never printed. A wrong password is a failed login at the directory.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="show each check of an assertion",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument(
        "file",
        metavar="FILE",
        help="the token, the SAML response (base64) or the password; - for standard input",
    )
    check.add_argument("--role", metavar="ROLE_ARN", required=True, help="the role that is to be assumed")
    kinds = check.add_mutually_exclusive_group()
    kinds.add_argument(
        "--provider",
        metavar="SAML_PROVIDER_ARN",
        help="the SAML provider; without it, FILE holds an OpenID token",
    )
    kinds.add_argument(
        "--ldap-user",
        metavar="NAME",
        help="the user name of a person of the LDAP directory; FILE holds the password",
    )
    check.add_argument(
        "--session-name", default="check", help="the role session name of a web identity (check)"
    )
    add_settings_arguments(check)


def run(chosen: argparse.Namespace) -> int:
    """0 where every check passes, 1 where one fails."""
    from broker.commands.opening import with_broker
    from broker.commands.refusing import WrongUse, failed, read_text

    try:
        text = read_text(Path(chosen.file))
    except WrongUse as error:
        return failed("broker federation", str(error), error.status)
    # Around a token or a response white space means nothing; in a password it does.
    proof = text.strip() if chosen.ldap_user is None else text.removesuffix("\n").removesuffix("\r")
    files = {chosen.file: text}
    return with_broker(chosen, lambda broker: _check(broker, chosen, proof), standard_input=text, files=files)


async def _check(broker: "Broker", chosen: argparse.Namespace, unverified_proof: str) -> int:
    from broker.access.caller import Caller
    from broker.access.facts import RequestFacts
    from broker.app import clock, entropy
    from broker.names.principal import Anonymous
    from broker.operation import Call
    from broker.sts.examination import examine

    call = Call(
        Caller(principal=Anonymous(), account=""),
        RequestFacts(now=clock(), request_id="", source_ip="", service="sts"),
        broker.store.transaction(),  # never committed
        broker.gate,
        broker.mint,
        entropy,
        broker.settings.quotas,
        broker.federation,
        broker.passwords,
    )
    examined = await examine(call, _request(chosen, unverified_proof))
    _print_checks(examined.checks)
    if examined.refusal:
        print(f"\nThe client would get: {examined.refusal}")
        return 1
    print(f"\nThe role would be assumed: {examined.session_arn}")
    return 0


def _request(chosen: argparse.Namespace, unverified_proof: str) -> "ExaminedRequest":
    from broker.protocol.shapes import sts as shapes

    if chosen.ldap_user is not None:
        return shapes.AssumeRoleWithLDAPIdentityRequest(
            role_arn=chosen.role, ldap_username=chosen.ldap_user, ldap_password=unverified_proof
        )
    if chosen.provider is not None:
        return shapes.AssumeRoleWithSAMLRequest(
            role_arn=chosen.role, principal_arn=chosen.provider, saml_assertion=unverified_proof
        )
    return shapes.AssumeRoleWithWebIdentityRequest(
        role_arn=chosen.role, role_session_name=chosen.session_name, web_identity_token=unverified_proof
    )


def _print_checks(checks: "tuple[Check, ...]") -> None:
    from broker.commands.terminal import print_table

    rows = [
        [check.name, "passed" if check.passed else "FAILED", check.found, check.wanted] for check in checks
    ]
    print_table(["CHECK", "RESULT", "FOUND", "WANTED"], rows, {"passed": "green", "FAILED": "bold red"})
