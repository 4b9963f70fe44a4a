"""Exact automata for the patterns of policies: which combinations of patterns a text can match, with a text for each.

All languages of one variable run side by side in one nondeterministic automaton. A bit of a Python integer is a
position in a language; a character moves all of them at once. So the reachable sets of positions are found breadth
first, and the text that led to each first is a shortest one. Characters that no language names are all alike: one of
them stands for the rest.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

import msgspec

from broker.policy.solver.budget import MOST_CLASSES, Budget, Undecided

_NO_CHARACTERS: frozenset[str] = frozenset()
# Stand for every character that no language names; those that can be read come first.
_OTHERS = "xyzwvuXYZWVU0123456789qjkQJK-_~"
_PRIVATE = range(0xE000, 0xF8FF)


class Step(msgspec.Struct, frozen=True):
    """One character out of `characters`, or, where `is_other`, any that is not among them."""

    characters: frozenset[str] = _NO_CHARACTERS
    is_other: bool = False


class Loop(msgspec.Struct, frozen=True):
    """Any number of characters, none included, that are not among `excluded`."""

    excluded: frozenset[str] = _NO_CHARACTERS


class Jump(msgspec.Struct, frozen=True):
    """From the step with the number `at`, `character` may stand for `length` steps."""

    at: int
    character: str
    length: int


class Language(msgspec.Struct, frozen=True):
    """A set of texts."""

    items: tuple[Step | Loop, ...]
    jumps: tuple[Jump, ...] = ()


ANY = Step(is_other=True)
ANYTHING = Loop()


def literal(text: str) -> tuple[Step, ...]:
    return tuple(Step(frozenset((character,))) for character in text)


class Automaton:
    """The languages side by side. Bit N of a signature says whether a text is in language N."""

    def __init__(self, languages: Sequence[Language]) -> None:
        self._steps: list[tuple[int, Step]] = []
        self._loops: list[tuple[int, Loop]] = []
        self._jumps: list[tuple[int, Jump]] = []
        self._finals: list[int] = []
        self.start = 0
        position = 0
        for language in languages:
            self.start |= 1 << position
            position = self._add(language, position)
            self._finals.append(1 << (position - 1))
        self._all_finals = sum(self._finals)
        self._other, *named = self._alphabet()
        self._masks = {character: self._masks_of(character) for character in (self._other, *named)}
        self._differences = [(character, self._difference(character)) for character in named]
        # Steps that one state takes to look at, and one transition: long integers take longer.
        self.cost_of_state = 1 + len(named) * (2 + (position >> 11)) // 16
        self.cost_of_transition = 2 + (position >> 10)

    def _add(self, language: Language, position: int) -> int:
        """The first position after this language."""
        start = position
        for item in language.items:
            if isinstance(item, Loop):
                self._loops.append((position, item))
            else:
                self._steps.append((position, item))
                position += 1
        self._jumps += [(start + jump.at, jump) for jump in language.jumps]
        return position + 1

    def _alphabet(self) -> list[str]:
        """One character that no language names, and all that they name."""
        named = set(chain.from_iterable(step.characters for _, step in self._steps))
        named.update(chain.from_iterable(loop.excluded for _, loop in self._loops))
        named.update(jump.character for _, jump in self._jumps)
        others = chain(_OTHERS, map(chr, _PRIVATE))
        return [next(one for one in others if one not in named), *sorted(named)]

    def _masks_of(self, character: str) -> tuple[int, int, tuple[tuple[int, int], ...]]:
        """The positions that `character` moves on by one, those that it leaves, and jumps."""
        moving = staying = 0
        for position, step in self._steps:
            if (character in step.characters) is not step.is_other:
                moving |= 1 << position
        for position, loop in self._loops:
            if character not in loop.excluded:
                staying |= 1 << position
        jumps = [(1 << at, jump.length) for at, jump in self._jumps if jump.character == character]
        return moving, staying, tuple(jumps)

    def _difference(self, character: str) -> int:
        """The positions at which `character` does something else than one that no language names."""
        moving, staying, jumps = self._masks[character]
        other_moving, other_staying, _ = self._masks[self._other]
        return (moving ^ other_moving) | (staying ^ other_staying) | sum({position for position, _ in jumps})

    def characters_at(self, state: int) -> Iterator[str]:
        """One of each kind that may lead to another state."""
        yield self._other
        for character, difference in self._differences:
            if state & difference:
                yield character

    def after(self, state: int, character: str) -> int:
        moving, staying, jumps = self._masks[character]
        following = ((state & moving) << 1) | (state & staying)
        for position, length in jumps:
            if state & position:
                following |= position << length
        return following

    def matched(self, state: int) -> int:
        """The languages that a text that leads to `state` is in, by their last positions."""
        return state & self._all_finals

    def signature(self, matched: int) -> int:
        return sum(1 << number for number, final in enumerate(self._finals) if matched & final)


def texts_of(
    languages: Sequence[Language], literals: Collection[str], budget: Budget, required: int = 0
) -> list[str]:
    """Each of `literals`, and a text that is none of them for each combination of `languages`. Raises Undecided.

    Most policies name literals mostly, which need no automaton; unless one of them is found as a text of the others.
    """
    met: dict[str, None] = {}
    while True:
        singles = [Language(literal(text)) for text in met]
        found = classes_of([*languages, *singles], budget, required).values()
        new = [text for text in found if text in literals and text not in met]
        if not new:
            return list(dict.fromkeys([*filter(None, literals), *found]))
        met |= dict.fromkeys(new)


def classes_of(languages: Sequence[Language], budget: Budget, required: int = 0) -> dict[int, str]:
    """A shortest text, which is not empty, for each signature that one has and that has all bits of `required`.

    Raises Undecided.
    """
    automaton = Automaton(languages)
    found: dict[int, str] = {}
    reached: dict[int, tuple[int, str]] = {automaton.start: (0, "")}
    for state, character, following in _transitions(automaton, reached, budget):
        matched = automaton.matched(following)
        if matched not in found:
            found[matched] = _text_of(reached, automaton.start, state) + character
            if len(found) > MOST_CLASSES:
                raise Undecided("the patterns of the policies overlap in too many ways")
    signed = {automaton.signature(matched): text for matched, text in found.items()}
    return {signature: text for signature, text in signed.items() if signature & required == required}


def _transitions(
    automaton: Automaton, reached: dict[int, tuple[int, str]], budget: Budget
) -> Iterator[tuple[int, str, int]]:
    """Every transition, those of shorter texts first; `reached` gets how each state was reached first."""
    waiting = deque([automaton.start])
    while waiting:
        state = waiting.popleft()
        budget.spend(automaton.cost_of_state)
        for character in automaton.characters_at(state):
            budget.spend(automaton.cost_of_transition)
            following = automaton.after(state, character)
            yield state, character, following
            if following not in reached:
                reached[following] = (state, character)
                waiting.append(following)


def _text_of(reached: dict[int, tuple[int, str]], start: int, state: int) -> str:
    characters: list[str] = []
    while state != start:
        state, character = reached[state]
        characters.append(character)
    return "".join(reversed(characters))
