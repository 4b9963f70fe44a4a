"""One statement, compiled: its actions, resources, principals and conditions."""

import enum
from collections.abc import Callable
from functools import lru_cache, partial
from sys import intern

import msgspec

from broker.policy.conditions import Test, compile_condition
from broker.policy.context import Keyed
from broker.policy.elements import OLD_VERSION, Condition, Effect, Policy, Statement
from broker.policy.patterns import (
    STAR,
    Matcher,
    Wild,
    compile_glob,
    compile_resource_glob,
    parse_glob,
)
from broker.policy.principals import (
    GrantTo,
    compile_not_principals,
    compile_principals,
    grant_everyone,
    grant_nobody,
)
from broker.policy.templates import Fill, compile_resource_template
from broker.policy.variables import (
    Template,
    Variable,
    is_static,
    parse_template,
    resolve_text,
    static_glob,
    variables_in,
)


class SourceKind(enum.StrEnum):
    """Where a policy comes from: the simulator's PolicySourceType values, then ours."""

    USER = "user"
    GROUP = "group"
    ROLE = "role"
    AWS_MANAGED = "aws-managed"
    USER_MANAGED = "user-managed"
    RESOURCE = "resource"
    NONE = "none"
    INLINE = "inline"
    BOUNDARY = "boundary"
    SESSION = "session"
    SCP = "scp"
    RCP = "rcp"
    ENDPOINT = "endpoint"


class Source(msgspec.Struct, frozen=True, gc=False):
    """The policy that holds a statement."""

    kind: SourceKind
    name: str
    arn: str = ""


ResourceMatcher = Callable[[str, Keyed], bool]


class ResourceEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry of a statement in the index: an exact resource, or a literal prefix.

    A resource that equals `text` (`is_exact`), or begins with it, matches if `matcher` is None or accepts it.
    """

    text: str
    is_exact: bool = False
    matcher: ResourceMatcher | None = None


class CompiledStatement(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A compiled statement. `actions` are lower-case patterns; `tests` are its conditions, in their order.

    `knows_variables`: its policy has the current version.
    """

    source: Source
    statement: Statement
    denies: bool
    actions: tuple[str, ...]
    is_not_action: bool
    resources: tuple[ResourceEntry, ...]
    grant_to: GrantTo
    tests: tuple[Test, ...]
    knows_variables: bool

    @property
    def has_variables(self) -> bool:
        return self.knows_variables and _has_variables(self.statement)

    def names_action(self, action: str) -> bool:
        """Whether the statement applies to `action`, which is lower-case."""
        named = action in self.actions
        if not named:
            for pattern in self.actions:
                if ("*" in pattern or "?" in pattern) and action_matcher(pattern)(action):
                    named = True
                    break
        return named is not self.is_not_action

    def holds(self, context: Keyed) -> bool:
        if not self.tests:
            return True  # without reading the context, which may be made lazily
        by_key = context.by_key
        for test in self.tests:  # noqa: SIM110  (a generator would double the time of the hot path)
            if not test(by_key):
                return False
        return True


_EVERYTHING = (ResourceEntry(""),)
SharedTests = dict[tuple[Condition, bool, bool], Test]


def compile_statement(
    source: Source, policy: Policy, statement: Statement, shared: SharedTests
) -> CompiledStatement:
    """`shared` holds the tests of conditions compiled before, because policies repeat theirs."""
    denies = statement.effect is Effect.DENY
    variables = policy.version != OLD_VERSION
    actions = statement.not_actions if statement.actions is None else statement.actions
    return CompiledStatement(
        source,
        statement,
        denies,
        tuple([intern(action.lower()) for action in actions or ()]),
        statement.actions is None,
        _resource_entries(statement, variables),
        _grant_to(statement, denies),
        tuple([_shared_test(condition, variables, denies, shared) for condition in statement.conditions]),
        variables,
    )


def _shared_test(condition: Condition, variables: bool, denies: bool, shared: SharedTests) -> Test:
    key = (condition, variables, denies)
    test = shared.get(key)
    if test is None:
        test = shared[key] = compile_condition(condition, variables=variables, unknown=denies)
    return test


def _has_variables(statement: Statement) -> bool:
    resources = (statement.resources or ()) + (statement.not_resources or ())
    operands = (value for condition in statement.conditions for value in condition.values)
    return any("${" in text for text in (*resources, *operands))


@lru_cache(maxsize=4096)
def action_matcher(pattern: str) -> Matcher:
    """`pattern` and the text must be lower-case, because actions compare without case."""
    return compile_glob(parse_glob(pattern))


def _grant_to(statement: Statement, denies: bool) -> GrantTo:
    """Without a Principal element an Allow grants to no one, and a Deny denies everyone."""
    if statement.principals is not None:
        return compile_principals(statement.principals, denies=denies)
    if statement.not_principals is not None:
        return compile_not_principals(statement.not_principals, denies=denies)
    return grant_everyone if denies else grant_nobody


def _resource_entries(statement: Statement, variables: bool) -> tuple[ResourceEntry, ...]:
    if statement.resources is not None:
        return tuple(_entry(resource, variables) for resource in statement.resources)
    if statement.not_resources is None:
        return _EVERYTHING  # a policy of the resource itself, such as a trust policy
    others = tuple(_entry(resource, variables) for resource in statement.not_resources)
    return (ResourceEntry("", matcher=partial(_none_matches, others)),)


def _entry(resource: str, variables: bool) -> ResourceEntry:
    template = parse_template(resource, wildcards=True, variables=variables)
    prefix = template[0] if template and isinstance(template[0], str) else ""
    if not is_static(template):
        return ResourceEntry(prefix, matcher=_resolving(template))
    glob = static_glob(template)
    if all(isinstance(part, str) for part in glob):
        return ResourceEntry(prefix, is_exact=True)
    matcher = compile_resource_glob(glob)
    is_prefix = len(glob) == 1 + bool(prefix) and glob[-1] is STAR
    return ResourceEntry(prefix, matcher=None if is_prefix else partial(_ignoring_context, matcher))


def _ignoring_context(matcher: Matcher, resource: str, context: Keyed) -> bool:
    return matcher(resource)


def _resolving(template: Template) -> ResourceMatcher:
    """A matcher with variables; the usual forms, no wildcard or one `*` at the end, are one comparison of texts."""
    body = template[:-1] if template[-1] is STAR else template
    if any(isinstance(piece, Wild) for piece in body):
        return partial(_filled_matches, compile_resource_template(template))
    return partial(_resolved_begins if body != template else _resolved_equals, body)


def _resolved_equals(body: Template, resource: str, context: Keyed) -> bool:
    return resolve_text(body, context.by_key, len(resource)) == resource


def _resolved_begins(body: Template, resource: str, context: Keyed) -> bool:
    beginning = resolve_text(body, context.by_key, len(resource))
    return beginning is not None and resource.startswith(beginning)


def _filled_matches(fill: Fill, resource: str, context: Keyed) -> bool:
    matches = fill(context.by_key)
    return matches is not None and matches(resource)


def _none_matches(entries: tuple[ResourceEntry, ...], resource: str, context: Keyed) -> bool:
    return not any(entry_matches(entry, resource, context) for entry in entries)


def entry_matches(entry: ResourceEntry, resource: str, context: Keyed) -> bool:
    if entry.is_exact:
        return resource == entry.text
    return resource.startswith(entry.text) and (entry.matcher is None or entry.matcher(resource, context))


def resource_variables(statement: Statement) -> list[Variable]:
    """The variables in the resources of a statement of the current version."""
    resources = statement.resources or statement.not_resources or ()
    return [variable for text in resources for variable in variables_in(text)]
