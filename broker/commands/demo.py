"""`broker serve --demo`: two accounts, users, a role, an instance; and shell commands to try them.

The users' keys are created at the first start, in a file that only its owner can read. Later starts use the same keys.
Where the file is lost, the keys are deleted and new ones created.
"""

import asyncio
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from broker.app import Broker, clock, open_broker
from broker.commands.apply import apply_and_write_keys
from broker.commands.applying import means_of
from broker.commands.credentials_file import key_ids_in
from broker.commands.demo_sign_in import CLIENT, LABEL, PEOPLE, USUAL_AUTHORITY, with_provider
from broker.commands.passwords import passwords_text
from broker.commands.profiles import (
    Profile,
    ca_bundle_of,
    config_text,
    endpoint_of,
    metadata_endpoint_of,
)
from broker.commands.records import transact_recorded
from broker.commands.refusing import CommandRefused
from broker.config import ConfigurationError, Settings
from broker.config.addresses import portal_url_of
from broker.credentials.password_changes import NewPassword
from broker.declaration.attempt import Attempt
from broker.declaration.declared import Declaration
from broker.declaration.reading import read_declaration
from broker.declaration.source import DeclarationError
from broker.storage.engine import Conflict, EngineUnavailable
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, USERS, Transaction

INSTANCE = "i-0a1b2c3d4e5f60001"
_FILE = Path("config/demo.yaml")
_ROLE = "arn:aws:iam::222222222222:role/data-reader"
_REGION = "us-east-1"
_EXTERNAL_ID = "demo-external-id"
_FAILURES = (ConfigurationError, CommandRefused, DeclarationError, EngineUnavailable, Conflict, OSError)
_READERS = ("alice", "bob", "carol")
_PEOPLE = (*_READERS, "admin")


_SECOND_BUTTON = f"""\
The portal has a second button: "Continue with {LABEL}" leads to a real OpenID Connect provider
that runs beside the broker, for this demo alone. It asks for no password: choose {" or ".join(PEOPLE)} there.
They have no users in the accounts; the roles that trust the provider are theirs, by the groups that it says."""
_NO_SECOND_BUTTON = (
    "The demo's identity provider is not installed: scripts/serve installs it, or pip install broker[demo]."
)


class DemoFailed(Exception):
    """The demo cannot be prepared; the message tells the operator why."""


def prepare(settings: Settings, authority: str = "") -> Settings:
    """Apply the demo and print what to paste; returns the settings to serve with. Raises DemoFailed.

    `authority` is host and port of the demo's identity provider, "" where there is none.
    """
    settings = with_provider(demo_settings(settings), authority)
    try:
        print(asyncio.run(prepare_demo(settings, authority)), flush=True)
    except _FAILURES as error:
        raise DemoFailed(str(error)) from None
    return settings


def demo_settings(settings: Settings) -> Settings:
    """`settings` in which this machine counts as the demo's instance, unless it counts as another already, and in which
    the portal knows where the API is.
    """
    if not settings.portal.api_url:
        portal = msgspec.structs.replace(settings.portal, api_url=endpoint_of(settings))
        settings = msgspec.structs.replace(settings, portal=portal)
    if settings.metadata.loopback_instance:
        return settings
    metadata = msgspec.structs.replace(settings.metadata, loopback_instance=INSTANCE)
    return msgspec.structs.replace(settings, metadata=metadata)


async def prepare_demo(settings: Settings, authority: str = "") -> str:
    """Apply the demo and write its files; returns what to paste.

    Raises as `open_broker` and `apply_and_write_keys` do.
    """
    file = _demo_file()
    declaration = _read(file, authority)
    credentials, config = demo_files(settings)
    async with open_broker(settings) as broker:
        await _delete_lost_keys(broker, declaration, credentials, file)
        await _know_provider(broker, declaration, authority, file)
        attempt = await apply_and_write_keys(broker, declaration, file, credentials)
    endpoint = endpoint_of(settings)
    config.write_text(
        config_text(_profiles(key_ids_in(credentials)), endpoint, _REGION, ca_bundle_of(settings)),
        "utf-8",
    )
    page = what_to_paste(settings, config, credentials, has_provider=bool(authority))
    return page + _who_signs_in(attempt.passwords)


def _read(file: Path, authority: str) -> Declaration:
    """The demo's declaration, in which trust policies name the provider as it is called this time."""
    if authority in ("", USUAL_AUTHORITY):
        return read_declaration(file)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / file.name
        copy.write_text(file.read_text("utf-8").replace(USUAL_AUTHORITY, authority), "utf-8")
        return read_declaration(copy)


async def _know_provider(broker: Broker, declaration: Declaration, authority: str, file: Path) -> None:
    """Register the provider in the demo's accounts, where it is not."""
    means = means_of(broker, f"serve --demo ({file})", file.parent)

    async def work(store: Transaction) -> Attempt:
        attempt = Attempt(means, store, int(clock()))
        for account in declaration.accounts if authority else ():
            if await store.find(OPEN_ID_CONNECT_PROVIDERS, account, authority) is None:
                parameters = {"Url": f"http://{authority}", "ClientIDList": [CLIENT]}
                text = f"OpenID Connect provider {authority}"
                await attempt.perform(
                    account, "CreateOpenIDConnectProvider", parameters, "+", text, str(file)
                )
        return attempt

    await transact_recorded(broker, work, lambda attempt: attempt.events)


def _who_signs_in(passwords: Sequence[NewPassword]) -> str:
    """People with a one-time password, at the start that made it; empty at every later one."""
    if not passwords:
        return ""
    text = passwords_text(passwords)
    return (
        f"\nOne-time passwords for the portal, shown this once, to be changed at the first sign-in:\n\n{text}"
    )


def _demo_file() -> Path:
    beside_the_code = Path(__file__).parents[2] / _FILE
    installed = Path(sysconfig.get_path("data"), "share", "broker", _FILE)
    for file in (_FILE, beside_the_code, installed):
        if file.exists():
            return file
    raise ConfigurationError(f"{_FILE} is not here, and not {installed}: install the broker again")


def demo_files(settings: Settings) -> tuple[Path, Path]:
    """The files for credentials and profiles: beside the store where it is a file, else beside the master key."""
    scheme, _, path = settings.store.url.reveal().partition(":")
    beside = path.removeprefix("//") if scheme == "sqlite" else settings.keys.master_key_file
    folder = Path(beside).absolute().parent
    return folder / "demo-credentials", folder / "demo-config"


async def _delete_lost_keys(broker: Broker, declaration: Declaration, credentials: Path, file: Path) -> None:
    """Delete the users' keys that are not in the credentials file: their secrets are lost."""
    known = set(key_ids_in(credentials).values())
    means = means_of(broker, f"serve --demo ({file})", file.parent)

    async def work(store: Transaction) -> Attempt:
        attempt = Attempt(means, store, int(clock()))
        for account, members in declaration.accounts.items():
            for name in members.users:
                user = await store.find(USERS, account, name)
                for key_id in user.access_key_ids if user is not None else ():
                    if key_id not in known:
                        parameters = {"UserName": name, "AccessKeyId": key_id}
                        text = f"user {name}: lost access key {key_id}"
                        await attempt.perform(account, "DeleteAccessKey", parameters, "-", text, str(file))
        return attempt

    await transact_recorded(broker, work, lambda attempt: attempt.events)


def _profiles(key_ids: Mapping[str, str]) -> list[Profile]:
    """Each demo has its own session names: the CLI caches a role's credentials by the content of the profile."""
    people = [Profile(name=name) for name in _PEOPLE]
    readers = [
        Profile(
            name="data-reader" if name == "alice" else f"{name}-as-data-reader",
            role_arn=_ROLE,
            source_profile=name,
            external_id=_EXTERNAL_ID,
            role_session_name=f"{name}-{key_ids.get(name, 'demo')[-6:]}",
        )
        for name in _READERS
    ]
    analyst = Profile(name="analyst", sso_account_id="222222222222", sso_role_name="analyst")
    return [Profile(name="default"), *people, *readers, analyst]


def what_to_paste(settings: Settings, config: Path, credentials: Path, *, has_provider: bool = False) -> str:
    """The page that the demo prints."""
    second = _SECOND_BUTTON if has_provider else _NO_SECOND_BUTTON
    endpoint, metadata_endpoint = endpoint_of(settings), metadata_endpoint_of(settings)
    return f"""\
The broker's demo: IAM and STS on {endpoint}, instance metadata on {metadata_endpoint},
the sign-in portal on {portal_url_of(settings)}: dana of account workloads signs in there with a browser.
Paste into another terminal, with an AWS CLI of 2.13, or 1.29, or later: older ones do not read the profiles'
endpoint, and ask AWS.

  export AWS_CONFIG_FILE={config}
  export AWS_SHARED_CREDENTIALS_FILE={credentials}

  aws sts get-caller-identity --profile alice              # a user of account 111111111111
  aws sts get-caller-identity --profile data-reader        # alice in account 222222222222, with the external id
  aws iam list-roles --profile data-reader                 # what the role may do there
  aws sts get-caller-identity --profile bob-as-data-reader      # refused: the role does not trust bob
  aws sts get-caller-identity --profile carol-as-data-reader    # refused: carol's own policies do not allow it
  aws iam list-users --profile admin                       # admin may do everything in account 111111111111

Where there is a portal, dana signs in with a browser and has credentials in the terminal (AWS CLI 2):

  aws sso login --profile analyst
  aws sts get-caller-identity --profile analyst

{second}

A refusal ends with an encoded message, which callers with the permission can decode:

  aws sts decode-authorization-message --profile admin --encoded-message MESSAGE

A program on an instance has no keys, only the address of the metadata service; this one sees none of your settings:

{metadata_command(settings)}

  TOKEN=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {metadata_endpoint}/latest/api/token)
  curl -s -H "X-aws-ec2-metadata-token: $TOKEN" {metadata_endpoint}/latest/meta-data/

The profile as you would write it in ~/.aws/config:

  [profile data-reader]
  source_profile = alice
  role_arn = {_ROLE}
  external_id = {_EXTERNAL_ID}
"""


def metadata_command(settings: Settings) -> str:
    """A shell command: a client without the user's files, keys and variables; README.md shows the same lines."""
    ca_bundle = ca_bundle_of(settings)
    trust = f"AWS_CA_BUNDLE={ca_bundle} " if ca_bundle else ""
    return f"""\
  env -i HOME="$HOME" PATH="$PATH" AWS_PAGER= AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null \\
    AWS_EC2_METADATA_SERVICE_ENDPOINT={metadata_endpoint_of(settings)} AWS_ENDPOINT_URL={endpoint_of(settings)} \\
    {trust}AWS_DEFAULT_REGION={_REGION} aws sts get-caller-identity"""
