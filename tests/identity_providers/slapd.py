"""slapd of Debian: an LDAP directory with people and groups, over plain TCP, StartTLS and ldaps."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ldap3

from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.processes import Process, require_installed, require_program
from tests.ports import free_port

BASE = "dc=example,dc=com"
PEOPLE, GROUPS = f"ou=people,{BASE}", f"ou=groups,{BASE}"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "the directory's administrator"
SCHEMAS = Path("/etc/ldap/schema")
LONGEST_WAIT = 20  # seconds for one answer

CONFIGURATION = """\
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/inetorgperson.schema
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
moduleload back_mdb
moduleload memberof
{tls}
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw "{password}"
directory {folder}/entries
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
overlay memberof
memberof-refint TRUE
"""

TLS = """\
TLSCACertificateFile {folder}/authority.crt
TLSCertificateFile {folder}/slapd.crt
TLSCertificateKeyFile {folder}/slapd.key
"""


def person(name: str) -> str:
    """The distinguished name of a person."""
    return f"uid={name},{PEOPLE}"


def group(name: str) -> str:
    return f"cn={name},{GROUPS}"


class Slapd:
    """The directory. Nothing can be read without a bind; a person's own bind reads everything but passwords.

    Without `has_tls` it knows no StartTLS.
    """

    def __init__(self, folder: Path, *, has_tls: bool = True) -> None:
        require_installed(SCHEMAS / "inetorgperson.schema", "slapd")
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        self.url, self.tls_url = f"ldap://127.0.0.1:{self.port}", f"ldaps://127.0.0.1:{self.tls_port}"
        self.authority_file = self._write_certificates()
        configuration = folder / "slapd.conf"
        configuration.write_text(
            CONFIGURATION.format(
                schemas=SCHEMAS,
                folder=folder,
                base=BASE,
                admin=ADMIN,
                password=ADMIN_PASSWORD,
                tls=TLS.format(folder=folder) if has_tls else "",
            )
        )
        (folder / "entries").mkdir()
        # -d keeps it in the foreground, and says which connections and operations there were.
        addresses = f"{self.url}/ {self.tls_url}/"
        command = [require_program("slapd"), "-d", "stats", "-h", addresses, "-f", configuration]
        self._process = Process(command, folder / "log")

    def _write_certificates(self) -> Path:
        authority = KeyPair("authority of the tests")
        KeyPair("slapd", authority).write(self.folder, "slapd")
        return authority.write(self.folder, "authority")[1]

    @contextmanager
    def running(self) -> Iterator["Slapd"]:
        self._process.start(self._is_ready)
        try:
            self._add(BASE, ["dcObject", "organization"], {"o": "example"})
            self._add(PEOPLE, ["organizationalUnit"], {})
            self._add(GROUPS, ["organizationalUnit"], {})
            yield self
        finally:
            self._process.stop()

    def add_person(self, name: str, password: str, **attributes: Any) -> str:
        """Answers the distinguished name."""
        said = {"cn": name, "sn": name, "userPassword": password, **attributes}
        return self._add(person(name), ["inetOrgPerson"], said)

    def add_group(self, name: str, members: Sequence[str]) -> str:
        """`members` are distinguished names, of people or of groups. Answers that of the group."""
        return self._add(group(name), ["groupOfNames"], {"member": list(members)})

    @contextmanager
    def connected(self) -> Iterator[ldap3.Connection]:
        """A connection of the administrator, without TLS."""
        server = ldap3.Server(self.url, connect_timeout=LONGEST_WAIT, get_info=ldap3.NONE)
        connection = ldap3.Connection(
            server, ADMIN, ADMIN_PASSWORD, raise_exceptions=True, receive_timeout=LONGEST_WAIT
        )
        try:
            connection.bind()
            yield connection
        finally:
            connection.unbind()  # its socket stays open otherwise, also after a bind that failed

    def _add(self, name: str, classes: list[str], attributes: Mapping[str, Any]) -> str:
        with self.connected() as connection:
            connection.add(name, classes, dict(attributes))
        return name

    def _is_ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.tls_port), timeout=5):
            return True
