"""A real directory: a person binds, and the groups are found, over StartTLS and ldaps."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ldap3
import pytest
from ldap3.core.exceptions import (
    LDAPInvalidCredentialsResult,
    LDAPSocketOpenError,
    LDAPSocketSendError,
    LDAPStartTLSError,
)

from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.slapd import BASE, GROUPS, Slapd, group, person


@contextmanager
def bound(
    directory: Slapd, way: str, name: str, password: str, authority: Path
) -> Iterator[ldap3.Connection]:
    """A connection over TLS, bound as `name`."""
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(authority))
    url = directory.tls_url if way == "ldaps" else directory.url
    server = ldap3.Server(url, tls=tls, connect_timeout=10, get_info=ldap3.NONE)
    connection = ldap3.Connection(server, name, password, raise_exceptions=True, receive_timeout=10)
    try:
        connection.open()
        if way == "StartTLS":
            connection.start_tls()
        connection.bind()
        yield connection
    finally:
        # Its socket stays open otherwise, also after a bind that failed; where TLS failed nothing can be sent.
        with suppress(LDAPSocketSendError):
            connection.unbind()


def found(connection: ldap3.Connection, base: str, query: str, attribute: str) -> dict[str, list[str]]:
    """Distinguished names, and the values that the entry has."""
    connection.search(base, query, attributes=[attribute])
    entries: list[Any] = connection.entries
    return {entry.entry_dn: list(entry[attribute].values) for entry in entries}


@pytest.mark.parametrize("way", ["StartTLS", "ldaps"])
def test_a_person_binds_and_her_groups_are_found(slapd: Slapd, way: str) -> None:
    with bound(slapd, way, person("alice"), "her password", slapd.authority_file) as connection:
        assert connection.extend.standard.who_am_i() == f"dn:{person('alice')}"
        assert found(connection, BASE, "(uid=alice)", "memberOf") == {person("alice"): [group("readers")]}
        assert found(connection, GROUPS, "(cn=readers)", "memberOf") == {group("readers"): [group("staff")]}
        assert found(connection, BASE, "(uid=bob)", "memberOf") == {person("bob"): []}
        query = f"(&(objectClass=groupOfNames)(member={person('alice')}))"
        assert found(connection, GROUPS, query, "cn") == {group("readers"): ["readers"]}


@pytest.mark.parametrize("way", ["StartTLS", "ldaps"])
def test_a_wrong_password_does_not_bind(slapd: Slapd, way: str) -> None:
    question = (slapd, way, person("alice"), "not hers", slapd.authority_file)
    with pytest.raises(LDAPInvalidCredentialsResult), bound(*question):
        pass


@pytest.mark.parametrize(("way", "error"), [("StartTLS", LDAPStartTLSError), ("ldaps", LDAPSocketOpenError)])
def test_a_directory_with_a_certificate_of_another_authority_gets_no_password(
    slapd: Slapd, way: str, error: type[Exception], tmp_path: Path
) -> None:
    _, stranger = KeyPair("a stranger").write(tmp_path, "stranger")
    question = (slapd, way, person("alice"), "her password", stranger)
    with pytest.raises(error, match=r"(?i)certificate.verify.failed"), bound(*question):
        pass


def test_a_person_cannot_read_passwords(slapd: Slapd) -> None:
    with bound(slapd, "ldaps", person("bob"), "his password", slapd.authority_file) as connection:
        assert found(connection, BASE, "(uid=alice)", "userPassword") == {person("alice"): []}
