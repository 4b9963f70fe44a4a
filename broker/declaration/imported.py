"""What other systems export of their identities, as a declaration to be looked at and applied.

Each importer is a plain function of the export's content. What has no counterpart is named, never guessed at. Secrets
are not in the declaration, which only says in which file each will be.
"""

import json
from typing import Any

import msgspec

from broker.names.ids import is_key_id
from broker.names.secret import SecretKey

Values = dict[str, Any]


class NoExport(Exception):
    """The content is not what the other system exports; the message says what is missing or wrong."""


class Imported(msgspec.Struct, frozen=True):
    """`values` of the file, `secrets` by access key id, and a line for each thing that has `no_counterpart`."""

    values: Values
    secrets: dict[str, SecretKey]
    no_counterpart: tuple[str, ...]


class FoundKeys:
    """Access keys of an export: their secrets, and why some of them are not imported."""

    def __init__(self) -> None:
        self.secrets: dict[str, SecretKey] = {}
        self.left_out: list[str] = []

    def declared(self, user: str, key_id: str, secret: str) -> list[Values]:
        """The key in a user's `access_keys`: one, or none where it cannot be a key here."""
        if not secret:
            self.left_out.append(f"access key {key_id} of {user}: its secret is not in the export")
            return []
        if not is_key_id(key_id):
            self.left_out.append(
                f"access key {key_id} of {user}: an id has 16 to 128 letters and digits; create another"
            )
            return []
        self.secrets[key_id] = SecretKey(secret)
        return [{"access_key_id": key_id, "secret_file": key_id}]


def json_object(text: str, what: str) -> dict[str, Any]:
    """Raises NoExport."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise NoExport(f"{what} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise NoExport(f"{what} is no JSON object")
    return value


def document_text(document: Any) -> str:
    """A policy as an export has it, an object or a text, with a member on each line."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            return str(document)
    return json.dumps(document, indent=2, ensure_ascii=False)


def present(**values: Any) -> Values:
    """Without what is empty."""
    return {name: value for name, value in values.items() if value}
