"""Credentials in the forms that people paste: three shells, the shared credentials file, JSON for programs."""

import json

import msgspec

from broker.audit.event import iso_time
from broker.protocol.shapes.sts import Credentials

_ASSIGNMENTS = {"bash": "export {}='{}'", "fish": "set -gx {} '{}'", "powershell": "$Env:{}='{}'"}


class Form(msgspec.Struct, frozen=True):
    """`name` is its id on the page, `label` what the tab says."""

    name: str
    label: str
    text: str

    def __repr__(self) -> str:
        return f"Form({self.name}, ***)"


def forms_of(credentials: Credentials, profile: str, api_url: str, region: str) -> tuple[Form, ...]:
    """`profile` is what the file's section is called; where `api_url` is "", neither it nor the region is shown."""
    variables = {
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token,
    }
    settings = {name.lower(): value for name, value in variables.items()}
    if api_url:
        variables |= broker_variables(api_url, region)
        settings |= {"endpoint_url": api_url, "region": region}
    return (
        Form("bash", "bash, zsh", shell_lines("bash", variables)),
        Form("fish", "fish", shell_lines("fish", variables)),
        Form("powershell", "PowerShell", shell_lines("powershell", variables)),
        Form("file", "~/.aws/credentials", _file_text(settings, profile)),
        Form("json", "JSON", _json_text(credentials)),
    )


def broker_variables(api_url: str, region: str) -> dict[str, str]:
    """Where a broker is. The AWS CLI 1 and boto3 read only the third name, other SDKs only the second."""
    return {"AWS_ENDPOINT_URL": api_url, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}


def shell_lines(shell: str, variables: dict[str, str]) -> str:
    """Assignments for `bash`, `fish` or `powershell`; raises ValueError for a value that would need quoting.

    INVARIANT: no value holds a quote, a backslash or a line break: what could end a quoted word is no
    credential.
    """
    for value in variables.values():
        if not value.isascii() or not value.isprintable() or set("'\"\\ ") & set(value):
            raise ValueError("a value that cannot stand between single quotes")
    return "".join(f"{_ASSIGNMENTS[shell].format(name, value)}\n" for name, value in variables.items())


def _file_text(settings: dict[str, str], profile: str) -> str:
    lines = [f"{name} = {value}" for name, value in settings.items()]
    return "\n".join([f"[{profile}]", *lines, ""])


def _json_text(credentials: Credentials) -> str:
    """What a `credential_process` prints (SDKs and Tools Reference Guide, "Process credential provider")."""
    shown = {
        "Version": 1,
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "SessionToken": credentials.session_token,
        "Expiration": iso_time(credentials.expiration),
    }
    return f"{json.dumps(shown, indent=2)}\n"
