"""Logs a person in to an LDAP directory: finds the entry, binds with the password, reads the groups. All of it blocks.

The law:

1. An empty password is refused: a directory accepts a bind without one as an unauthenticated bind (RFC 4513, 5.1.2).
2. A name is bound only if it is the only entry for the user name. User names are escaped in filters and names.
3. Only the result `success` is a success. Referrals are not followed: no other server is trusted.
4. The person's name is read from the entry, not from what was typed.
"""

import ssl
import time
from collections.abc import Sequence
from typing import Any, Literal

import ldap3
import msgspec
from ldap3.core.exceptions import LDAPException
from ldap3.operation.search import parse_filter

from broker.assertions.checks import Checks
from broker.federation.directory import Admit, DirectoryUnavailable, Person
from broker.federation.directory_connection import connected
from broker.federation.directory_rules import DirectoryRules, filter_for, user_name_in
from broker.names.distinguished_name import normalised_name

MOST_GROUPS = 1000  # of a person; Active Directory's own bound is 1,015
MOST_LEVELS = 10  # of groups in groups

Scope = Literal["BASE", "SUBTREE"]

_SUCCESS, _BUSY, _UNAVAILABLE = 0, 51, 52
_NO_SUCH_OBJECT = 32


def log_in(
    rules: DirectoryRules,
    context: ssl.SSLContext,
    user_name: str,
    password: str,
    seconds: float,
    admit: Admit,
    checks: Checks,
) -> Person:
    """The person; raises CheckFailed, what `admit` raises, and DirectoryUnavailable where no server answers.

    `context` verifies servers; `seconds` is the timeout of the whole login.
    """
    checks.require("password given", bool(password), found="a password" if password else "an empty password")
    deadline, failures = time.monotonic() + seconds, []
    for url in rules.servers:
        try:
            with connected(url, context, deadline, plain_text=rules.plain_text) as connection:
                return _Login(rules, connection, checks).prove(user_name, password, admit)
        except DirectoryUnavailable as error:
            failures.append(str(error))
    raise DirectoryUnavailable("; ".join(failures))


def require_usable(rules: DirectoryRules) -> None:
    """Raises ValueError, with a text for the operator, for malformed names and filters."""
    for setting in ("user_dn", "bind_dn", "search_base", "group_search_base"):
        text = getattr(rules, setting)
        try:
            if text:
                normalised_name(user_name_in(text, "x"))
        except ValueError as error:
            raise ValueError(f"{setting}: {error}") from None
    for setting in ("search_filter", "group_search_filter"):
        query = filter_for(getattr(rules, setting), user_name="x", name="x")
        try:
            parse_filter(query, None, True, True, None, False)  # type: ignore[no-untyped-call]
        except LDAPException as error:
            raise ValueError(f"{setting}: {getattr(rules, setting)!r} is not a filter: {error}") from None


class DirectoryEntry(msgspec.Struct, frozen=True):
    name: str
    attributes: dict[str, tuple[str, ...]]  # by name in lower case


class _Login:
    """One person's login, over one connection."""

    def __init__(self, rules: DirectoryRules, connection: ldap3.Connection, checks: Checks) -> None:
        self._rules = rules
        self._connection = connection
        self._checks = checks
        self._attributes = [one for one in (rules.name_attribute, rules.group_attribute) if one]

    def prove(self, user_name: str, password: str, admit: Admit) -> Person:
        if self._rules.user_dn:
            name = user_name_in(self._rules.user_dn, user_name)
            self._bind_person(name, password, admit)
            entry = self._read_own(name)
        else:
            self._bind_service()
            entry = self._find(user_name)
            self._bind_person(entry.name, password, admit)
        person_name = self._name_of(entry)
        return Person(person_name, entry.name, self._groups_of(entry, person_name))

    def _bind_person(self, name: str, password: str, admit: Admit) -> None:
        self._checks.require("entry name", bool(name), found="an entry without a name")
        admit(_normalised(name))
        result = self._bind(name, password)
        self._checks.require(
            "password", result["result"] == _SUCCESS, found=f"{_shown(result)} for {name}", wanted="success"
        )

    def _bind_service(self) -> None:
        """Bind as the service account, or anonymously where none is configured."""
        name = self._rules.bind_dn
        result = self._bind(name, self._rules.bind_password.reveal())
        if result["result"] != _SUCCESS:
            raise DirectoryUnavailable(f"bind_dn {name or '(none)'} is refused: {_shown(result)}")

    def _bind(self, name: str, password: str) -> dict[str, Any]:
        """The result. The password is sent as octets: SASLprep could change it, or make it empty."""
        connection = self._connection
        connection.user, connection.password = name or None, password.encode() if name else None
        connection.authentication = ldap3.SIMPLE if name else ldap3.ANONYMOUS
        connection.bind(read_server_info=False)
        connection.password = None
        return _answered(connection)

    def _find(self, user_name: str) -> DirectoryEntry:
        rules = self._rules
        found = self._search(rules.search_base, filter_for(rules.search_filter, user_name=user_name), most=2)
        self._checks.require(
            "user name", len(found) == 1, found=f"{len(found) or 'no'} entries", wanted="exactly one"
        )
        return found[0]

    def _read_own(self, name: str) -> DirectoryEntry:
        found = self._read(name)
        self._checks.require("own entry", len(found) == 1, found=f"{name} cannot be read", wanted="one entry")
        return found[0]

    def _name_of(self, entry: DirectoryEntry) -> str:
        """The first of several in alphabetical order, because a directory returns them in any order."""
        values = entry.attributes.get(self._rules.name_attribute.lower(), ())
        self._checks.require(
            "name attribute", bool(values), found=f"{entry.name} has no {self._rules.name_attribute}"
        )
        return min(values)

    def _groups_of(self, entry: DirectoryEntry, person_name: str) -> tuple[str, ...]:
        """The groups of the person, each once; with `nested_groups` also the groups of groups, level by level."""
        rules = self._rules
        if (rules.group_search_base or rules.nested_groups) and not rules.user_dn:
            self._bind_service()  # a person often has no permission to read groups
        known: dict[str, str] = {}
        level = [entry]
        for _ in range(MOST_LEVELS if rules.nested_groups else 1):
            names = [name for one in level for name in self._groups_naming(one, person_name)]
            new = {_normalised(name): name for name in names if _normalised(name) not in known}
            known |= new
            self._require_few(len(known))
            if not new:
                break
            level = self._read_level(list(new.values())) if rules.nested_groups else []
        return tuple(known.values())

    def _groups_naming(self, entry: DirectoryEntry, person_name: str) -> list[str]:
        rules = self._rules
        named = list(entry.attributes.get(rules.group_attribute.lower(), ()))
        if rules.group_search_base:
            query = filter_for(rules.group_search_filter, user_name=person_name, name=entry.name)
            found = self._search(rules.group_search_base, query, most=MOST_GROUPS)
            named += [one.name for one in found]
        return named

    def _read_level(self, names: Sequence[str]) -> list[DirectoryEntry]:
        """The groups' own entries; without a group attribute only their names are needed, for the group search."""
        if not self._rules.group_attribute:
            return [DirectoryEntry(name, {}) for name in names]
        return [entry for name in names for entry in (self._read(name) or [DirectoryEntry(name, {})])]

    def _require_few(self, count: int) -> None:
        self._checks.require(
            "groups", count <= MOST_GROUPS, found=f"{count} groups", wanted=f"at most {MOST_GROUPS}"
        )

    def _read(self, name: str) -> list[DirectoryEntry]:
        return self._search(name, "(objectClass=*)", most=1, scope="BASE")

    def _search(self, base: str, query: str, *, most: int, scope: Scope = "SUBTREE") -> list[DirectoryEntry]:
        connection = self._connection
        connection.search(
            base,
            query,
            search_scope=scope,
            dereference_aliases=ldap3.DEREF_NEVER,
            attributes=self._attributes,
            size_limit=most,
        )
        result = _answered(connection)
        if result["result"] == _NO_SUCH_OBJECT and scope == "BASE":
            return []
        self._checks.require(
            "search", result["result"] == _SUCCESS, found=f"{_shown(result)} below {base}", wanted="success"
        )
        found = [one for one in connection.response or () if one["type"] == "searchResEntry"]
        return [_directory_entry(one) for one in found]


def _directory_entry(found: dict[str, Any]) -> DirectoryEntry:
    attributes = {
        name.lower(): tuple(value.decode("utf-8", "replace") for value in values)
        for name, values in found["raw_attributes"].items()
    }
    return DirectoryEntry(found["dn"], attributes)


def _answered(connection: ldap3.Connection) -> dict[str, Any]:
    result: dict[str, Any] = connection.result or {}
    if result.get("result") in (None, _BUSY, _UNAVAILABLE):
        raise DirectoryUnavailable(_shown(result))
    return result


def _shown(result: dict[str, Any]) -> str:
    """The result and the server's message, for the operator."""
    message = str(result.get("message") or "")[:200]
    return f"{result.get('description', 'no result')}{f' ({message})' if message else ''}"


def _normalised(name: str) -> str:
    try:
        return normalised_name(name)
    except ValueError:
        return name.casefold()
