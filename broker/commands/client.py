"""A client of a running broker: profile, credentials and endpoint are found where every SDK finds them, by botocore.

Unlike other commands, these read no settings and no store: they work on any machine that reaches the broker's API.
"""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from broker.commands.refusing import NO_ANSWER, REFUSED, WRONG_USE, failed, printable

if TYPE_CHECKING:
    from botocore.session import Session

SHELLS = ("bash", "fish", "powershell")
CLIENT_HELP = """
Profile, credentials and endpoint are found as the AWS CLI finds them: options, then AWS_PROFILE, AWS_ENDPOINT_URL and
the other variables, then ~/.aws/config. `broker config print --write` writes a profile there.
"""


class NoEndpoint(Exception):
    """Nothing says where the broker is: botocore would ask AWS."""


def add_client_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", metavar="NAME", help="the profile of ~/.aws/config to use")
    parser.add_argument("--endpoint", metavar="URL", help="the URL of the broker's API")
    parser.add_argument(
        "--region", metavar="REGION", help="the region to sign for (the profile's, else us-east-1)"
    )


def add_shell_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shell", choices=SHELLS, help="for which shell (the one that SHELL names, else bash)"
    )


def session_of(chosen: argparse.Namespace) -> "Session":
    """Raises botocore's ProfileNotFound where the profile that is asked for is not there."""
    from botocore.session import Session

    session = Session(profile=chosen.profile)
    session.get_scoped_config()
    return session


def client_of(session: "Session", service: str, chosen: argparse.Namespace, **options: Any) -> Any:
    """A botocore client. Raises NoEndpoint rather than asking AWS, and BotoCoreError."""
    region = chosen.region or session.get_config_variable("region") or "us-east-1"
    client = session.create_client(service, region_name=region, endpoint_url=chosen.endpoint, **options)
    host = client.meta.endpoint_url.rstrip("/").partition("://")[2]
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".aws")):
        raise NoEndpoint
    return client


def with_client(chosen: argparse.Namespace, work: Callable[["Session"], int]) -> int:
    """Run `work`; its exit status, or that of the error: refused, used wrongly, no answer."""
    from botocore import exceptions

    command = f"broker {chosen.command}"
    try:
        return work(session_of(chosen))
    except NoEndpoint:
        return failed(command, _NO_ENDPOINT, WRONG_USE)
    except exceptions.NoCredentialsError:
        return failed(command, _NO_CREDENTIALS, WRONG_USE)
    except exceptions.ClientError as error:
        return failed(command, printable(_refusal_text(error.response)), REFUSED)
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        return failed(command, f"the broker does not answer: {printable(str(error))}", NO_ANSWER)
    except (exceptions.BotoCoreError, ValueError) as error:
        return failed(command, printable(str(error)), WRONG_USE)


_NO_ENDPOINT = (
    "where is the broker? Set --endpoint URL, or AWS_ENDPOINT_URL, or endpoint_url in the profile; "
    "`broker config print --write` does the last"
)
_NO_CREDENTIALS = (
    "there are no credentials: name a profile with --profile, set AWS_ACCESS_KEY_ID and its companions, "
    "or sign in with `broker login`"
)


def _refusal_text(response: Any) -> str:
    """Code and message; without the encoded message, which only `sts decode-authorization-message` reads."""
    error = response.get("Error", {})
    message = str(error.get("Message") or "").partition(". Encoded authorization failure message:")[0]
    return f"{error.get('Code', 'refused')}: {message}".rstrip(": ")


def shell_of(chosen: argparse.Namespace, environment: "dict[str, str]") -> str:
    """The shell that is asked for, else the one that SHELL names, else bash, whose lines sh and zsh read as well."""
    if chosen.shell:
        return str(chosen.shell)
    return "fish" if environment.get("SHELL", "").endswith("/fish") else "bash"


def note(text: str) -> None:
    """A line for the person: standard output is for what is evaluated."""
    print(text, file=sys.stderr)
