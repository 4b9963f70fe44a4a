"""`broker login`: sign in with a browser, for every SDK that reads the cache of the AWS CLI."""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from broker.commands.client import CLIENT_HELP, add_client_arguments, client_of, note, with_client
from broker.commands.profiles import SSO_SESSION, START_URL
from broker.commands.refusing import REFUSED, failed, printable

if TYPE_CHECKING:
    from botocore.session import Session

DESCRIPTION = f"""\
Sign in at the portal with a browser, and show the accounts and roles that are yours. It needs no AWS CLI: profiles with
`sso_session = broker` use and renew this sign-in in every SDK, and in the CLI, as after `aws sso login`.

  broker login --endpoint https://sts.example.com
  broker login --no-browser                            prints an address and a code, for a browser on any machine
  broker config print --write --profile analyst --sso-account 222222222222 --sso-role analyst
{CLIENT_HELP}"""

GRANT = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628, section 3.4
SCOPES = ["sso:account:access"]
_SLOWER = 5  # seconds more between two questions after `slow_down` (RFC 8628, section 3.5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_client_arguments(parser)
    parser.add_argument("--sso-session", metavar="NAME", help=f"the profile's session name ({SSO_SESSION})")
    parser.add_argument("--no-browser", action="store_true", help="open no browser")


def run(chosen: argparse.Namespace) -> int:
    """0 when signed in, 1 where person or broker refuses, 2 for wrong use, 3 where the broker does not answer."""

    def work(session: "Session") -> int:
        from botocore import UNSIGNED
        from botocore.config import Config

        client = client_of(session, "sso-oidc", chosen, config=Config(signature_version=UNSIGNED))
        name, start_url = _sso_session_of(session, chosen)
        token = sign_in(client, start_url, _opener(chosen.no_browser), time.sleep)
        if token is None:
            return failed("broker login", "the code has ended before it was used: run it again", REFUSED)
        _save(token, name, start_url)
        note("signed in; what is yours:")
        _print_roles(client_of(session, "sso", chosen), token["accessToken"])
        return 0

    return with_client(chosen, work)


def _sso_session_of(session: "Session", chosen: argparse.Namespace) -> tuple[str, str]:
    """Name and start URL: of the profile's session, where it has one."""
    name = chosen.sso_session or session.get_scoped_config().get("sso_session", SSO_SESSION)
    config = session.full_config.get("sso_sessions", {}).get(name, {})
    return name, config.get("sso_start_url", START_URL)


def _opener(is_silent: bool) -> Callable[[str], object]:
    if is_silent:
        return lambda _: None
    import webbrowser

    return webbrowser.open


def sign_in(
    client: Any, start_url: str, open_browser: Callable[[str], object], wait: Callable[[float], None]
) -> dict[str, str] | None:
    """The device flow (RFC 8628): the token in the form of the CLI's cache, or None where the code expired.

    Raises ClientError.
    """
    registered = client.register_client(clientName="broker-login", clientType="public", scopes=SCOPES)
    of_client = {"clientId": registered["clientId"], "clientSecret": registered["clientSecret"]}
    device = client.start_device_authorization(**of_client, startUrl=start_url)
    note(
        f"open {printable(device['verificationUriComplete'])}\nand compare the code: {printable(device['userCode'])}"
    )
    open_browser(device["verificationUriComplete"])
    made = _wait_for_token(client, {**of_client, "deviceCode": device["deviceCode"]}, device, wait)
    return made and {
        "startUrl": start_url,
        "region": client.meta.region_name,
        **of_client,
        "registrationExpiresAt": _time(registered["clientSecretExpiresAt"]),
        "accessToken": made["accessToken"],
        "expiresAt": _time(_now() + made["expiresIn"]),
        "refreshToken": made["refreshToken"],
    }


def _wait_for_token(
    client: Any, asked: dict[str, str], device: dict[str, Any], wait: Callable[[float], None]
) -> dict[str, Any] | None:
    """The answer of CreateToken once the person has allowed it; None where the code expired."""
    interval, left = device["interval"] or _SLOWER, device["expiresIn"]
    while left > 0:
        wait(interval)
        left -= interval
        try:
            return dict(client.create_token(**asked, grantType=GRANT))
        except client.exceptions.AuthorizationPendingException:
            pass
        except client.exceptions.SlowDownException:
            interval += _SLOWER
        except client.exceptions.ExpiredTokenException:
            return None
    return None


def _now() -> float:
    from broker.system import clock

    return clock()


def _time(seconds: float) -> str:
    from broker.audit.event import iso_time

    return iso_time(int(seconds))


def _save(token: dict[str, str], name: str, start_url: str) -> None:
    from botocore.tokens import SSOTokenProvider
    from botocore.utils import JSONFileCache, SSOTokenLoader

    cache = JSONFileCache(SSOTokenProvider._SSO_TOKEN_CACHE_DIR)
    SSOTokenLoader(cache).save_token(start_url, token, session_name=name)


def _print_roles(client: Any, access_token: str) -> None:
    from broker.commands.terminal import print_table

    rows = [
        [account["accountId"], account.get("accountName", ""), role["roleName"]]
        for account in _pages(client, "list_accounts", "accountList", accessToken=access_token)
        for role in _pages(
            client, "list_account_roles", "roleList", accessToken=access_token, accountId=account["accountId"]
        )
    ]
    print_table(["ACCOUNT", "NAME", "ROLE"], [[printable(cell) for cell in row] for row in rows])


def _pages(client: Any, operation: str, member: str, **asked: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(**asked):
        yield from page[member]
