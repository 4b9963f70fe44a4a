"""The index of compiled statements, which finds those that match a request in microseconds, whatever their number.

Two steps: by action, to the few statements that name it (cached per action, bounded); then by resource: those for an
exact resource in one look-up, those with a literal prefix in one look-up per distinct prefix length. Only the rest runs
a matcher. The index does not decide; it only finds statements.

Caches hold a hundred thousand of these objects, which form no cycles: so garbage collection does not look at them
(`gc=False`). It was up to a sixth of the loop's time while the caches were being filled.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from broker.policy.context import Keyed
from broker.policy.elements import Policy, Statement
from broker.policy.patterns import Matcher
from broker.policy.principals import DIRECT, NONE, Grant, Names, grant_everyone
from broker.policy.statement import (
    CompiledStatement,
    ResourceMatcher,
    SharedTests,
    Source,
    action_matcher,
    compile_statement,
)

# Action names come from callers, so the cache per action is bounded; when it is full it is cleared.
MOST_ACTIONS_CACHED: Final = 512

# Up to so many statements that were compiled together are searched linearly.
FEW_STATEMENTS: Final = 4

Prefixed = tuple[CompiledStatement, ResourceMatcher | None]
_NO_EXACT: Final[dict[str, tuple[CompiledStatement, ...]]] = {}
_NO_PREFIXED: Final[dict[str, tuple[Prefixed, ...]]] = {}
_NO_LENGTHS: Final[tuple[int, ...]] = ()


class ResourceIndex(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The statements of one effect for one action, by resource. Most are small, so empty tables are shared."""

    any_resource: tuple[CompiledStatement, ...]
    _exact: dict[str, tuple[CompiledStatement, ...]]
    _prefixed: dict[str, tuple[Prefixed, ...]]
    _by_length: tuple[int, ...]

    @classmethod
    def of(cls, statements: Iterable[CompiledStatement]) -> "ResourceIndex":
        any_resource: list[CompiledStatement] = []
        exact: dict[str, list[CompiledStatement]] = {}
        prefixed: dict[str, list[Prefixed]] = {}
        for statement in statements:
            for entry in statement.resources:
                if entry.is_exact:
                    exact.setdefault(entry.text, []).append(statement)
                elif entry.text or entry.matcher:
                    prefixed.setdefault(entry.text, []).append((statement, entry.matcher))
                else:
                    any_resource.append(statement)
        return cls(
            tuple(any_resource),
            {resource: tuple(found) for resource, found in exact.items()} if exact else _NO_EXACT,
            {prefix: tuple(found) for prefix, found in prefixed.items()} if prefixed else _NO_PREFIXED,
            tuple(sorted({len(prefix) for prefix in prefixed})) if prefixed else _NO_LENGTHS,
        )

    @property
    def is_plain(self) -> bool:
        """Whether every statement applies to any resource."""
        return not self._exact and not self._prefixed

    @property
    def unconditional(self) -> list[CompiledStatement]:
        """The statements that match every resource and have no conditions."""
        return [statement for statement in self.any_resource if not statement.tests]

    def any_holds(self, resource: str, context: Keyed) -> bool:
        """Whether some statement matches. The hot path: it builds no list and stops at the first match."""
        for statement in self.any_resource:
            if not statement.tests or statement.holds(context):
                return True
        if resource in self._exact:
            for statement in self._exact[resource]:
                if not statement.tests or statement.holds(context):
                    return True
        for length in self._by_length:
            for statement, matcher in self._prefixed.get(resource[:length], ()):
                if (matcher is None or matcher(resource, context)) and statement.holds(context):
                    return True
        return False

    def candidates(self, resource: str, context: Keyed) -> tuple[CompiledStatement, ...]:
        """The statements whose resource matches; one with several matching resources may be there twice."""
        found = self.any_resource
        if resource in self._exact:
            found += self._exact[resource]
        for length in self._by_length:
            prefixed = self._prefixed.get(resource[:length], ())
            found += tuple(
                statement for statement, matcher in prefixed if matcher is None or matcher(resource, context)
            )
        return found


class ActionIndex(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The statements of a policy set that name one action.

    `plain_allows` is not None as in a role's trust policy: only Allow statements for any resource. `allows_everything`,
    as the usual boundary, SCP or administrator's policy does: without looking at the request.
    """

    is_empty: bool
    denies: ResourceIndex | None
    allows: ResourceIndex
    plain_allows: tuple[CompiledStatement, ...] | None
    allows_everything: bool
    grants_everyone: bool

    @classmethod
    def of(cls, statements: list[CompiledStatement]) -> "ActionIndex":
        denies = [statement for statement in statements if statement.denies]
        allows = ResourceIndex.of(
            [statement for statement in statements if not statement.denies] if denies else statements
        )
        free = [] if denies else allows.unconditional
        return cls(
            not statements,
            ResourceIndex.of(denies) if denies else None,
            allows,
            allows.any_resource if not denies and allows.is_plain else None,
            bool(free),
            any(statement.grant_to is grant_everyone for statement in free),
        )

    def verdict(self, resource: str, context: Keyed) -> bool | None:
        """False for an explicit deny, True for an allow, None where nothing matches; ignores principals."""
        if self.allows_everything:
            return True
        if self.denies is not None and self.denies.any_holds(resource, context):
            return False
        return True if self.allows.any_holds(resource, context) else None

    def grant(self, resource: str, context: Keyed, names: Names) -> Grant | None:
        """What a resource policy grants to `names`; None for an explicit deny."""
        if self.grants_everyone:
            return DIRECT
        if self.denies is not None:
            for statement in self.denies.candidates(resource, context):
                if statement.grant_to(names) and statement.holds(context):
                    return None
        best = NONE
        plain_allows = self.plain_allows
        for statement in self.allows.candidates(resource, context) if plain_allows is None else plain_allows:
            grant = statement.grant_to(names)
            if grant > best and (not statement.tests or statement.holds(context)):
                best = grant
        return best

    def candidates(self, resource: str, context: Keyed) -> list[CompiledStatement]:
        """Every statement, of either effect, that names the action and the resource; each once."""
        denies = self.denies.candidates(resource, context) if self.denies is not None else ()
        return list(dict.fromkeys(denies + self.allows.candidates(resource, context)))


_EMPTY: Final = ActionIndex.of([])


class ActionUnion(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The statements of several policy sets that name one action, each in its own index."""

    _indexes: tuple[ActionIndex, ...]

    def verdict(self, resource: str, context: Keyed) -> bool | None:
        """As ActionIndex.verdict: a deny in any part, else an allow in any part."""
        found: bool | None = None
        for index in self._indexes:
            verdict = index.verdict(resource, context)
            if verdict is False:
                return False
            found = found or verdict
        return found

    def grant(self, resource: str, context: Keyed, names: Names) -> Grant | None:
        """As ActionIndex.grant: a deny in any part, else the best grant of any part."""
        best = NONE
        for index in self._indexes:
            grant = index.grant(resource, context, names)
            if grant is None:
                return None
            best = max(best, grant)
        return best

    def candidates(self, resource: str, context: Keyed) -> list[CompiledStatement]:
        """Those of every part, in order."""
        return [found for index in self._indexes for found in index.candidates(resource, context)]


def _union(indexes: "list[ActionIndex | ActionUnion]") -> "ActionIndex | ActionUnion":
    """The union of the parts that name the action; where only one does, that part itself."""
    non_empty = tuple(index for index in indexes if isinstance(index, ActionIndex) and not index.is_empty)
    return non_empty[0] if len(non_empty) == 1 else ActionUnion(non_empty)


class _Few(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A few statements, searched linearly for those that name an action."""

    _statements: tuple[CompiledStatement, ...]

    def matching(self, action: str) -> list[CompiledStatement]:
        return [statement for statement in self._statements if statement.names_action(action)]


class _ActionsOfService:
    """Statements by lower-case action: exact, by service (`s3:*`, `s3:get*`), and the rest."""

    __slots__ = ("_by_action", "_by_service", "_patterns")

    def __init__(self, statements: Sequence[CompiledStatement]) -> None:
        self._by_action: dict[str, list[CompiledStatement]] = {}
        self._by_service: dict[str, list[tuple[Matcher, CompiledStatement]]] = {}
        self._patterns: list[tuple[Matcher, CompiledStatement]] = []
        for statement in statements:
            self._file(statement)

    def _file(self, statement: CompiledStatement) -> None:
        if statement.is_not_action:
            matchers = tuple(action_matcher(action) for action in statement.actions)
            self._patterns.append((lambda name: not any(match(name) for match in matchers), statement))
            return
        for action in statement.actions:
            service = action.partition(":")[0]
            if "*" not in action and "?" not in action:
                self._by_action.setdefault(action, []).append(statement)
            elif "*" in service or "?" in service:
                self._patterns.append((action_matcher(action), statement))
            else:
                self._by_service.setdefault(service, []).append((action_matcher(action), statement))

    def matching(self, action: str) -> list[CompiledStatement]:
        """Each statement once."""
        return list(dict.fromkeys(self._matching(action)))

    def _matching(self, action: str) -> Iterator[CompiledStatement]:
        yield from self._by_action.get(action, ())
        for matches, statement in self._by_service.get(action.partition(":")[0], ()):
            if matches(action):
                yield statement
        for matches, statement in self._patterns:
            if matches(action):
                yield statement


class _ByAction(dict[str, ActionIndex | ActionUnion]):
    """Index by action, made on first use; a dict with `__missing__`, because its hit costs one interpreter step."""

    __slots__ = ("_compiled", "_parts")

    def __init__(self, compiled: "Compiled | None", parts: "tuple[PolicySet, ...]") -> None:
        self._compiled = compiled
        self._parts = parts

    def __missing__(self, action: str) -> ActionIndex | ActionUnion:
        index: ActionIndex | ActionUnion
        if self._compiled is not None:
            statements = self._compiled.actions.matching(action)
            index = ActionIndex.of(statements) if statements else _EMPTY
        else:
            index = _union([part.by_action[action] for part in self._parts])
        if len(self) >= MOST_ACTIONS_CACHED:
            self.clear()
        self[action] = index
        return index


class PolicySet(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Compiled policies, immutable and shared between all principals that have the same ones.

    A union only refers to its parts, so making one for each request is cheap: every part has its own cache per
    action. A set of the same text under another name (`attributed_to`) shares that cache, too.

    `by_action` has the statements that name an action, by its lower-case name: `policies.by_action["s3:getobject"]`.
    """

    _compiled: "Compiled | None"
    _parts: "tuple[PolicySet, ...]"
    _source: Source | None
    by_action: _ByAction

    @classmethod
    def union(cls, *sets: "PolicySet") -> "PolicySet":
        """All statements of `sets`, without compiling any of them again."""
        if len(sets) == 1:
            return sets[0]
        parts = tuple(leaf for one in sets for leaf in one.leaves)
        return cls(None, parts, None, _ByAction(None, parts))

    def attributed_to(self, source: Source) -> "PolicySet":
        """These policies, named `source` in reasons; the compiled statements and the cache per action are shared."""
        return PolicySet(self._compiled, self._parts, source, self.by_action)

    @property
    def leaves(self) -> "tuple[PolicySet, ...]":
        """The parts of a union; of any other set, the set itself."""
        return self._parts or (self,)

    @property
    def shared_parts(self) -> "tuple[Compiled, ...]":
        """What is compiled, the same objects for all sets that share them."""
        if self._compiled is not None:
            return (self._compiled,)
        return tuple(part._compiled for part in self._parts if part._compiled is not None)

    @property
    def policies(self) -> tuple[tuple[Source, Policy], ...]:
        """The documents, each with its source."""
        if self._compiled is None:
            found = tuple(policy for part in self._parts for policy in part.policies)
        else:
            found = self._compiled.policies
        return found if self._source is None else tuple((self._source, policy) for _, policy in found)

    def candidates(
        self, action: str, resource: str, context: Keyed
    ) -> "list[tuple[Source, CompiledStatement]]":
        """Every statement that names the action (lower-case) and the resource, with the source of its policy."""
        return [
            (self._source or leaf._source or statement.source, statement)
            for leaf in self.leaves
            for statement in leaf.by_action[action].candidates(resource, context)
        ]

    def __repr__(self) -> str:
        return f"PolicySet({[source.name for source, _ in self.policies]})"


class Compiled(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Policies that were compiled together; `weight` is the memory they take, in bytes, by estimate."""

    policies: tuple[tuple[Source, Policy], ...]
    actions: _Few | _ActionsOfService
    weight: int


def compile_policies(policies: Iterable[tuple[Source, Policy]]) -> PolicySet:
    """Index `policies`; a Deny that cannot be evaluated denies, and such an Allow never allows."""
    together = tuple(policies)
    shared: SharedTests = {}
    compiled = [
        compile_statement(source, policy, statement, shared)
        for source, policy in together
        for statement in policy.statements
    ]
    weight = _SET_WEIGHT
    for one in compiled:
        weight += _weight(one.statement)
    actions = _Few(tuple(compiled)) if len(compiled) <= FEW_STATEMENTS else _ActionsOfService(compiled)
    made = Compiled(together, actions, weight)
    return PolicySet(made, (), None, _ByAction(made, ()))


# Bytes, measured with documents of 1 to 40 statements: of a set, a statement, a condition, an action, any other
# text, and of several principals. A single principal is usually shared with other documents.
_SET_WEIGHT, _STATEMENT_WEIGHT, _CONDITION_WEIGHT = 1000, 520, 230
_ACTION_WEIGHT, _TEXT_WEIGHT, _PRINCIPALS_WEIGHT = 60, 205, 750


def _weight(statement: Statement) -> int:
    weight = _STATEMENT_WEIGHT
    weight += _ACTION_WEIGHT * len(statement.actions or statement.not_actions or ())
    texts = len(statement.resources or statement.not_resources or ())
    principals = statement.principals or statement.not_principals
    if principals is not None:
        named = len(principals.aws) + len(principals.service) + len(principals.federated)
        if named > 1:
            texts += named
            weight += _PRINCIPALS_WEIGHT
    for condition in statement.conditions:
        texts += len(condition.values)
        weight += _CONDITION_WEIGHT
    return weight + _TEXT_WEIGHT * texts


NO_POLICIES: Final = compile_policies(())
