"""What makes the portal's settings impossible: addresses that are none, passwords that cross a network."""

import re
from collections.abc import Iterator

from broker.config.exposure import is_loopback
from broker.config.settings import Settings
from broker.federation.federation import IssuerRules
from broker.federation.openid_connect import faults_of_openid_connect
from broker.federation.reach import Reach
from broker.federation.saml_sign_in import faults_of_saml
from broker.names.arn import is_account_id

_is_origin = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?", re.ASCII).fullmatch
_is_region = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}", re.ASCII).fullmatch
_USER_VERIFICATION = ("preferred", "required", "discouraged")
_is_url = re.compile(r"https?://[^\s'\"\\]+", re.ASCII).fullmatch


def faults_of_portal(settings: Settings) -> Iterator[str]:
    chosen, listen = settings.portal, settings.listen
    if chosen.url and not _is_origin(chosen.url):
        yield (
            f"portal.url: {chosen.url!r} is not the address of a portal: https://HOST or https://HOST:PORT, in small "
            "letters, with nothing behind it"
        )
    if not _is_region(chosen.sso_region):
        yield f"portal.sso_region: {chosen.sso_region!r} is no region, such as us-east-1"
    if chosen.api_url and not _is_url(chosen.api_url):
        yield f"portal.api_url: {chosen.api_url!r} is no URL"
    if chosen.passkey_user_verification not in _USER_VERIFICATION:
        yield (
            f"portal.passkey_user_verification: {chosen.passkey_user_verification!r} is none of "
            f"{', '.join(_USER_VERIFICATION)}"
        )
    if chosen.operator_account and not is_account_id(chosen.operator_account):
        yield f"portal.operator_account: {chosen.operator_account!r} is no id of an account, which has twelve digits"
    federation = settings.federation
    reach = Reach(federation.plain_http, federation.private_networks)
    yield from (f"portal.{fault}" for fault in faults_of_openid_connect(chosen.openid_connect, reach))
    yield from (f"portal.{fault}" for fault in faults_of_saml(chosen.saml))
    names = [one.name for one in chosen.openid_connect] + [one.name for one in chosen.saml]
    if len(set(names)) < len(names):
        yield "portal: two ways to sign in, entries of openid_connect or saml, have the same name"
    issuer = IssuerRules(federation.issuer_url)
    for sign_in in chosen.openid_connect:
        if issuer.is_own(sign_in.issuer):
            yield f"portal.openid_connect: the issuer of {sign_in.name} is this broker itself"
    if (
        listen.portal
        and not is_loopback(listen.portal)
        and not settings.tls.certificate_file
        and not chosen.url
    ):
        yield (
            f"listen.portal: {listen.portal} is not on this machine alone, and passwords would cross the "
            "network as they are: set [tls], or portal.url to the https address at which a reverse proxy serves it"
        )
