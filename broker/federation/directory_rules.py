"""The settings of an LDAP directory: how people are found, and which roles its groups give."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

import msgspec

from broker.names.distinguished_name import escape_value, normalised_name
from broker.names.secret import SecretKey

EVERYONE = "*"

# Token issuers that every account has under these names; a directory must not have one of them.
_TAKEN = frozenset(
    {"accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com"}
)
_is_server = re.compile(
    r"ldaps?://(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::[0-9]{1,5})?", re.ASCII
).fullmatch
_is_name = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?\.[a-z]+", re.ASCII).fullmatch
_ROLE = re.compile(r"(.+?)\s*=\s*(arn:aws:iam::[0-9]{12}:role/[\x21-\x7e]+)", re.DOTALL)


class MappedRole(msgspec.Struct, frozen=True):
    """A role, and the normalised distinguished name of the group or person that may assume it, or EVERYONE."""

    name: str
    role_arn: str


class DirectoryRules(msgspec.Struct, frozen=True, dict=True):
    """The settings `[ldap]`, which `config/broker.toml` explains; without a server there is no directory.

    People are found by a search (`search_base`) or named by a pattern (`user_dn`); one of the two is set.
    In patterns `%s` is the user name, `%d` a distinguished name.
    """

    servers: tuple[str, ...] = ()
    plain_text: bool = False
    certificate_authorities: str = ""
    provider: str = ""
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


def is_provider_name(text: str) -> bool:
    """Whether `text` can name the directory as a Federated principal in trust policies."""
    return _is_name(text) is not None and text not in _TAKEN


def parse_mapped_role(text: str) -> MappedRole:
    """From `NAME = ROLE-ARN`; raises ValueError, with a text for the operator."""
    found = _ROLE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not GROUP = ROLE, a distinguished name or * and the ARN of a role")
    name, role_arn = found[1], found[2]
    return MappedRole(name if name == EVERYONE else normalised_name(name), role_arn)


def roles_of(rules: DirectoryRules, names: Sequence[str]) -> tuple[str, ...]:
    """The roles of a person by the mapping, in its order; `names` are those of the person and of the groups."""
    known = {EVERYONE, *map(_comparable, names)}
    return tuple(dict.fromkeys(one.role_arn for one in rules.mapped_roles if one.name in known))


def chosen_role(rules: DirectoryRules, names: Sequence[str], wanted: str | None) -> str | None:
    """The wanted role, if the mapping has it; else the first of the mapping; None where there is none.

    Without a mapping the request has to name the role, and only its trust policy decides.
    """
    if not rules.roles:
        return wanted
    offered = roles_of(rules, names)
    if wanted is None:
        return offered[0] if offered else None
    return wanted if wanted in offered else None


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
