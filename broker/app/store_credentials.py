"""Credentials and certificate authorities for an S3 store, of [gateway] and of [trails]."""

import ssl
from configparser import ConfigParser
from configparser import Error as ConfigurationFileError
from pathlib import Path

from broker.causes import explained
from broker.config import ConfigurationError
from broker.config.settings import GatewaySettings, TrailSettings
from broker.names.secret import SecretKey
from broker.sigv4.signing import SigningCredentials


class StoreCredentials:
    """The operator's credentials for a store: of the settings, or of a file that is read again when it changes.

    The file is one of the AWS SDKs (`[default]`, aws_access_key_id, aws_secret_access_key, aws_session_token).
    """

    def __init__(self, section: str, chosen: GatewaySettings | TrailSettings) -> None:
        """Raises ConfigurationError."""
        self._section = section
        self._file = Path(chosen.credentials_file) if chosen.credentials_file else None
        self._seen: tuple[int, int] | None = None
        self.current = SigningCredentials(chosen.access_key_id, chosen.secret_access_key)
        if self._file is not None:
            self._read(self._file)

    async def reload_if_changed(self) -> None:
        """A file that cannot be used leaves the credentials before in force; the caller logs it."""
        if self._file is not None and self._seen != _version(self._file):
            self._read(self._file)

    def _read(self, file: Path) -> None:
        parser = ConfigParser(interpolation=None)
        try:
            seen = _version(file)
            parser.read_string(file.read_text())
            found = parser["default"]
            self.current = SigningCredentials(
                found["aws_access_key_id"],
                SecretKey(found["aws_secret_access_key"]),
                found.get("aws_session_token", ""),
            )
        except (OSError, ValueError, KeyError, ConfigurationFileError) as error:
            why = explained(error) if isinstance(error, OSError) else type(error).__name__
            raise ConfigurationError(
                f"{self._section}.credentials_file: {file} cannot be used: {why}"
            ) from None
        self._seen = seen


def _version(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_ino


def authorities_of(section: str, chosen: GatewaySettings | TrailSettings) -> ssl.SSLContext | None:
    """The context that trusts the operator's own authorities; None for those of the system."""
    if not chosen.certificate_authorities:
        return None
    try:
        return ssl.create_default_context(cafile=chosen.certificate_authorities)
    except OSError as error:
        raise ConfigurationError(
            f"{section}.certificate_authorities: {chosen.certificate_authorities} cannot be used: {explained(error)}"
        ) from None
