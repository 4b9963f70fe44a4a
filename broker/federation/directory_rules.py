"""The settings of an LDAP directory: how people are found, and which roles its groups give."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

import msgspec

from broker.federation.mapped_roles import (
    EVERYONE,
    MappedRole,
    chosen_among,
    is_provider_name,
    offered_among,
    split_mapped_role,
)
from broker.names.distinguished_name import escape_value, normalised_name
from broker.names.identity_store import is_identity_store_arn, no_identity_store
from broker.names.secret import SecretKey

_is_server = re.compile(
    r"ldaps?://(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::[0-9]{1,5})?", re.ASCII
).fullmatch


class DirectoryRules(msgspec.Struct, frozen=True, dict=True):
    """The settings `[ldap]`, which `config/broker.toml` explains; without a server there is no directory.

    People are found by a search (`search_base`) or named by a pattern (`user_dn`); one of the two is set.
    In patterns `%s` is the user name, `%d` a distinguished name.
    """

    servers: tuple[str, ...] = ()
    plain_text: bool = False
    certificate_authorities: str = ""
    provider: str = ""
    identity_store: str = ""
    user_dn: str = ""
    search_base: str = ""
    search_filter: str = "(uid=%s)"
    bind_dn: str = ""
    bind_password: SecretKey = SecretKey("")
    name_attribute: str = "uid"
    group_attribute: str = "memberOf"
    group_search_base: str = ""
    group_search_filter: str = "(&(objectClass=groupOfNames)(member=%d))"
    nested_groups: bool = False
    roles: tuple[str, ...] = ()
    timeout_seconds: int = 10
    logins_at_a_time: int = 8

    @cached_property
    def mapped_roles(self) -> tuple[MappedRole, ...]:
        """`roles`, parsed once."""
        return tuple(map(parse_mapped_role, self.roles))


def faults_of_directory(rules: DirectoryRules) -> Iterator[str]:
    """Errors in the settings, each beginning with the setting's name; nothing is read or connected to."""
    if not rules.servers:
        if rules != DirectoryRules():
            yield "servers is empty: without a server nothing else of [ldap] is used"
        return
    for url in rules.servers:
        if not _is_server(url):
            yield f"servers: {url!r} is not ldaps://HOST or ldap://HOST, with or without :PORT"
    if not is_provider_name(rules.provider):
        yield (
            f"provider: {rules.provider!r} is no name for the directory; trust policies call it by one like that of a "
            "host, such as ldap.example.com"
        )
    if rules.identity_store and not is_identity_store_arn(rules.identity_store):
        yield no_identity_store(rules.identity_store)
    if not rules.name_attribute:
        yield "name_attribute cannot be empty"
    yield from _faults_of_patterns(rules)
    for role in rules.roles:
        try:
            parse_mapped_role(role)
        except ValueError as error:
            yield f"roles: {error}"


def _faults_of_patterns(rules: DirectoryRules) -> Iterator[str]:
    if bool(rules.user_dn) == bool(rules.search_base):
        yield "user_dn or search_base says how people are found: set one of them"
    if bool(rules.bind_dn) != bool(rules.bind_password.reveal()):
        yield "bind_dn and bind_password belong together: set both or neither"
    if rules.user_dn and rules.bind_dn:
        yield "bind_dn is for the search for people, and with user_dn nothing is searched: set one of them"
    for name, text in (("user_dn", rules.user_dn), ("search_filter", rules.search_filter)):
        if text and "%s" not in text:
            yield f"{name}: {text!r} has no %s, which the user name replaces"
    groups = rules.group_search_filter
    if rules.group_search_base and "%s" not in groups and "%d" not in groups:
        yield f"group_search_filter: {groups!r} has neither %d nor %s: everyone would be in the same groups"


def parse_mapped_role(text: str) -> MappedRole:
    """From `NAME = ROLE-ARN`, the name normalised; raises ValueError, in words for the operator."""
    name, role_arn = split_mapped_role(text, "GROUP = ROLE, a distinguished name or * and the ARN of a role")
    return MappedRole(name if name == EVERYONE else normalised_name(name), role_arn)


def chosen_role(rules: DirectoryRules, names: Sequence[str], wanted: str | None) -> str | None:
    """The role that a person gets, None where there is none; `names` are the person's and its groups'."""
    return chosen_among(rules.mapped_roles, list(map(_comparable, names)), wanted)


def given_roles(rules: DirectoryRules, names: Sequence[str]) -> tuple[str, ...] | None:
    """All roles that a person may have, by names of the person and its groups; None: trust policies alone say it."""
    if not rules.mapped_roles:
        return None
    return offered_among(rules.mapped_roles, list(map(_comparable, names)))


def user_name_in(pattern: str, user_name: str) -> str:
    """The distinguished name of the user, by the pattern."""
    return pattern.replace("%s", escape_value(user_name))


def filter_for(pattern: str, *, user_name: str, name: str = "") -> str:
    """The filter with `%s` and `%d` filled in; every octet of them but letters and digits is escaped."""
    values = {"%s": _escape_filter_value(user_name), "%d": _escape_filter_value(name)}
    return re.sub("%[sd]", lambda found: values[found[0]], pattern)


def _escape_filter_value(text: str) -> str:
    """RFC 4515, 3: any octet may be written as a backslash and two hexadecimal digits."""
    return "".join(
        one if one.isascii() and one.isalnum() else "".join(f"\\{octet:02x}" for octet in one.encode())
        for one in text
    )


def _comparable(name: str) -> str:
    """The normalised name; "" for a malformed one, which matches no name of the mapping."""
    try:
        return normalised_name(name)
    except ValueError:
        return ""
