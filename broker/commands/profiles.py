"""Profiles for ~/.aws/config with which an unmodified SDK or CLI uses this broker."""

from pathlib import Path

import msgspec

from broker.config import Settings
from broker.config.addresses import reachable

SERVICES = (
    "iam",
    "sts",
    "sso",
    "sso_oidc",
    "signin",
    "organizations",
    "cloudtrail",
    "accessanalyzer",
    "rolesanywhere",
    "eks",
    "eks_auth",
    "cognito_identity",
    "identitystore",
)
# A start URL to which nothing is sent: the CLI takes a host of this form for AWS's, and asks the endpoint.
START_URL = "https://broker.awsapps.com/start"
SSO_SESSION = "broker"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One profile; `role_arn` makes it one that assumes a role with the credentials of `source_profile`.

    `sso_role_name` makes it a profile for people who signed in with `aws sso login`.
    """

    name: str
    role_arn: str = ""
    source_profile: str = ""
    external_id: str = ""
    role_session_name: str = ""
    sso_account_id: str = ""
    sso_role_name: str = ""


def config_text(profiles: list[Profile], endpoint: str, region: str, ca_bundle: str = "") -> str:
    """The block for ~/.aws/config: the profiles, and one services section that they share.

    The section is named after the first profile, so that the same file can have blocks of other profiles: a repeated
    section would make the whole file invalid.
    """
    section = f"broker-{profiles[0].name}"
    sections = [_profile_text(profile, section, region, ca_bundle) for profile in profiles]
    services = "".join(f"{service} =\n  endpoint_url = {endpoint}\n" for service in SERVICES)
    if any(profile.sso_role_name for profile in profiles):
        sections.append(_sso_session_text(region))
    return "\n".join([*sections, f"[services {section}]\n{services}"])


def _sso_session_text(region: str) -> str:
    return (
        f"[sso-session {SSO_SESSION}]\nsso_start_url = {START_URL}\nsso_region = {region}\n"
        "sso_registration_scopes = sso:account:access\n"
    )


def _profile_text(profile: Profile, services: str, region: str, ca_bundle: str) -> str:
    lines = [
        "[default]" if profile.name == "default" else f"[profile {profile.name}]",
        f"region = {region}",
        f"services = {services}",
    ]
    if ca_bundle:
        lines.append(f"ca_bundle = {ca_bundle}")
    if profile.sso_role_name:
        lines.append(f"sso_session = {SSO_SESSION}")
    for key in (
        "role_arn",
        "source_profile",
        "external_id",
        "role_session_name",
        "sso_account_id",
        "sso_role_name",
    ):
        value = getattr(profile, key)
        if value:
            lines.append(f"{key} = {value}")
    return "\n".join(lines) + "\n"


def endpoint_of(settings: Settings) -> str:
    """The URL at which a client on this machine reaches the API."""
    scheme = "https" if settings.tls.certificate_file else "http"
    return f"{scheme}://{reachable(settings.listen.api)}"


def ca_bundle_of(settings: Settings) -> str:
    """The file of the listener's certificate, if it has one, which clients must trust."""
    return str(Path(settings.tls.certificate_file).absolute()) if settings.tls.certificate_file else ""


def metadata_endpoint_of(settings: Settings) -> str:
    """Where a program on this machine reaches the metadata service, at the first of its addresses."""
    return f"http://{reachable(settings.listen.metadata[0])}"


def container_endpoint_of(settings: Settings) -> str:
    """Where a container's SDK asks for credentials.

    SDKs take plain HTTP from three addresses of containers and the loopback address alone, and https from anywhere.
    """
    for address in settings.listen.metadata:
        if reachable(address).rpartition(":")[0] in _OF_CONTAINERS:
            return f"http://{reachable(address)}"
    if settings.listen.metadata_https:
        return f"https://{reachable(settings.listen.metadata_https)}"
    return metadata_endpoint_of(settings)


_OF_CONTAINERS = ("169.254.170.2", "169.254.170.23", "[fd00:ec2::23]")
