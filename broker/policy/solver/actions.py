"""The choice of an action, and of a resource."""

from collections.abc import Iterator, Sequence

from broker.policy.patterns import STAR, Glob, Matcher, compile_glob, compile_resource_glob, parse_glob
from broker.policy.services import facts_of
from broker.policy.solver.automata import Language, texts_of
from broker.policy.solver.budget import Budget
from broker.policy.solver.languages import ACTION, WHOLE_ARN, glob_language, is_literal, resource_language
from broker.policy.solver.satisfying import any_of, not_
from broker.policy.solver.writing import FormulaText, any_with, chosen_of
from broker.policy.statement import CompiledStatement, action_matcher
from broker.policy.variables import Template, Variable, is_static, parse_template, static_glob

ANY_RESOURCE = "*"
# The names of what a resource is: an ARN, or every resource.
WHOLE, EVERYTHING = "whole", "everything"
_is_arn = compile_glob(parse_glob("arn:?*:?*:*:*:?*"))

ResourceText = tuple[str, bool]  # a text of a policy, and whether the policy knows variables


class ActionChoice:
    """One action of each class that the statements, and those that are asked about, tell apart."""

    def __init__(
        self,
        text: FormulaText,
        statements: Sequence[CompiledStatement],
        asked: Sequence[str],
        budget: Budget,
    ) -> None:
        patterns = sorted({pattern for one in statements for pattern in one.actions} | set(asked))
        matchers = [action_matcher(one) for one in asked]
        found: dict[tuple[bool, ...], str] = {}
        wild = [one for one in patterns if not is_literal(parse_glob(one))]
        languages = [ACTION, *(glob_language(parse_glob(one)) for one in wild)]
        literals = dict.fromkeys(one for one in patterns if is_literal(parse_glob(one)))
        for action in texts_of(languages, literals, budget, required=1):
            budget.spend(len(statements) + len(patterns) // 4)
            if not asked or any(matches(action) for matches in matchers):
                named = (one.names_action(action) for one in statements)
                # A class of several actions has one that nobody knows, which supports resources.
                is_bound = action not in patterns or facts_of(action).supports_resources
                found.setdefault((is_bound, *named), action)
        self._actions = list(found.values())
        self._names = text.choice("a", len(found))
        self._rows = list(found)

    def names(self, statement: int) -> str:
        """The statement with this number names the action."""
        return any_with(self._names, [row[1 + statement] for row in self._rows])

    def without_resource(self) -> str:
        """The action supports no resources: requests of it are about every resource."""
        return any_of([name for name, row in zip(self._names, self._rows, strict=True) if not row[0]])

    def chosen(self, model: frozenset[str]) -> str:
        return chosen_of(self._names, self._actions, model)[0]


class ResourceChoice:
    """One resource of each class that the statements, and those that are asked about, tell apart."""

    def __init__(
        self,
        text: FormulaText,
        statements: Sequence[CompiledStatement],
        asked: Sequence[str],
        budget: Budget,
    ) -> None:
        # A text with variables is a free choice, but matches only what it matches with any values of them.
        self.templates: dict[str, str] = {}
        self._languages: dict[Language, None] = {WHOLE_ARN: None}
        self._literals: dict[str, None] = {ANY_RESOURCE: None}
        self._matchers = {one: self._matcher(text, one) for one in _resource_texts(statements)}
        asked_globs = [parse_glob(one) for one in asked]
        for glob in asked_globs:
            self._add(glob)
        self._rows = self._classes([compile_resource_glob(one) for one in asked_globs], budget)
        self._names = text.choice("r", len(self._rows))
        text.define(EVERYTHING, any_with(self._names, [row[0] for row in self._rows]))
        text.define(WHOLE, any_with(self._names, [row[1] for row in self._rows]))
        for template, name in self.templates.items():
            text.require(any_of([not_(name), self._any_matching((template, True))]))

    def _matcher(self, text: FormulaText, one: ResourceText) -> Matcher:
        template = parse_template(one[0], wildcards=True, variables=one[1])
        if is_static(template):
            glob = static_glob(template)
            self._add(glob)
            return compile_resource_glob(glob)
        glob = widest(template)
        self._languages[glob_language(glob)] = None
        self.templates[one[0]] = text.declare(f"t{len(self.templates)}")
        return compile_glob(glob)

    def _add(self, glob: Glob) -> None:
        if is_literal(glob):
            self._literals["".join(map(str, glob))] = None
        else:
            self._languages[resource_language(glob)] = None

    def _classes(self, asked: Sequence[Matcher], budget: Budget) -> dict[tuple[bool, ...], str]:
        """By: is it `*`, is it an ARN, is it asked about, does each text match it."""
        found: dict[tuple[bool, ...], str] = {}
        for resource in texts_of(list(self._languages), self._literals, budget):
            budget.spend(len(self._matchers))
            row = (
                resource == ANY_RESOURCE,
                _is_arn(resource),
                any(matches(resource) for matches in asked),
                *(matches(resource) for matches in self._matchers.values()),
            )
            found.setdefault(row, resource)
        return found

    def is_asked(self) -> str:
        return any_with(self._names, [row[2] for row in self._rows])

    def _any_matching(self, text: ResourceText) -> str:
        at = 3 + list(self._matchers).index(text)
        return any_with(self._names, [row[at] for row in self._rows])

    def names(self, one: CompiledStatement) -> str:
        """The statement names the resource."""
        statement = one.statement
        texts = statement.not_resources if statement.resources is None else statement.resources
        if texts is None:
            return "true"
        named = any_of([self._is_matched((text, one.knows_variables)) for text in texts])
        return not_(named) if statement.resources is None else named

    def _is_matched(self, text: ResourceText) -> str:
        if text[1] and text[0] in self.templates:
            return self.templates[text[0]]
        return self._any_matching(text)

    def chosen(self, model: frozenset[str]) -> str:
        return chosen_of(self._names, list(self._rows.values()), model)[0]


def _resource_texts(statements: Sequence[CompiledStatement]) -> Iterator[ResourceText]:
    found: dict[ResourceText, None] = {}
    for one in statements:
        texts = one.statement.resources or one.statement.not_resources or ()
        found |= dict.fromkeys((text, one.knows_variables) for text in texts)
    yield from found


def widest(template: Template) -> Glob:
    """What the template matches with any values of its variables, and more."""
    return tuple(STAR if isinstance(piece, Variable) else piece for piece in template)
