"""New access keys in the form of ~/.aws/credentials, in a file that only its owner can read."""

import configparser
import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.app import entropy
from broker.commands.config_file import require_regular
from broker.credentials.access_keys import NewKey
from broker.declaration.declared import Declaration

Profiles = Mapping[tuple[str, str], str]


def profile_names(declaration: Declaration) -> Profiles:
    """The profile of each declared user: its name, with the account before it where two users have the same name."""
    users = [(account, name) for account, members in declaration.accounts.items() for name in members.users]
    count = Counter(name for _, name in users)
    return {(account, name): name if count[name] == 1 else f"{account}-{name}" for account, name in users}


def credentials_text(keys: Sequence[NewKey], profiles: Profiles, existing: str = "") -> str:
    """`existing` with a section for each key, replacing sections of the same name; a second key is `alice-2`."""
    parser = configparser.RawConfigParser(default_section="\0")
    parser.read_string(existing)
    written: Counter[str] = Counter()
    for key in keys:
        profile = profiles[key.account, key.user]
        written[profile] += 1
        section = profile if written[profile] == 1 else f"{profile}-{written[profile]}"
        parser.remove_section(section)
        parser.add_section(section)
        parser.set(section, "aws_access_key_id", key.access_key_id)
        parser.set(section, "aws_secret_access_key", key.secret.reveal())
    text = io.StringIO()
    parser.write(text)
    return text.getvalue().strip() + "\n"


def key_ids_in(file: Path) -> dict[str, str]:
    """The access key id of each profile in a credentials file; empty where there is no file."""
    parser = configparser.RawConfigParser(default_section="\0")
    parser.read(file, encoding="utf-8")
    return {section: parser.get(section, "aws_access_key_id", fallback="") for section in parser.sections()}


class CredentialsFile:
    """A credentials file. The constructor raises OSError unless it can be written later."""

    def __init__(self, file: Path) -> None:
        require_regular(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._existing = file.read_text("utf-8")
            configparser.RawConfigParser(default_section="\0").read_string(self._existing)
        except FileNotFoundError:
            self._existing = ""
        except (configparser.Error, UnicodeDecodeError) as error:
            raise OSError(f"{file} is no credentials file: {error}") from None
        probe = _open_beside(file)
        probe.unlink()
        self._file = file

    def write(self, keys: Sequence[NewKey], declaration: Declaration) -> None:
        """Add the keys; the file is replaced whole, readable and writable by its owner only."""
        if not keys:
            return
        text = credentials_text(keys, profile_names(declaration), self._existing)
        temporary = _open_beside(self._file)
        try:
            with temporary.open("w", encoding="utf-8") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            temporary.replace(self._file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _open_beside(file: Path) -> Path:
    """A new, empty, private file in the same directory."""
    temporary = file.with_name(f".{file.name}.{entropy(6).hex()}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return temporary
