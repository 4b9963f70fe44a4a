"""Service principals that new policies may name: of AWS's form, and not a misspelling of a known service.

A role that trusts a service which does not exist cannot be assumed, so IAM refuses it; but AWS has more services than
any list. So a name of AWS's form is accepted, unless it is one typo away from a name in `service_principals.json`,
which `scripts/generate-service-principals` collects. The forms are SERVICE.amazonaws.com and
SERVICE.REGION.amazonaws.com ("AWS JSON policy elements: Principal"); guides of services name others of several parts,
and some of amazon.com.

A typo is one letter added, missing or replaced in a word of at least five letters, or two adjacent letters swapped in a
name of at least five; never a digit or a hyphen. `ecr` and `ecs`, `inspector` and `inspector2`, `memorydb` and
`memory-db` are all services, and a false refusal is worse than a role that is never assumed.
"""

import json
import re
from collections.abc import Collection, Iterator
from functools import cache
from importlib.resources import files
from itertools import zip_longest

SHORTEST_NAME = 5

_FORM = re.compile(r"((?:[a-zA-Z0-9_-]+\.)+)(?:amazonaws\.com|(amazon\.com|aws\.internal))")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")


def service_fault(name: str, own: Collection[str] = ()) -> str:
    """What is wrong with a service principal, for its author and for the operator; empty where it is acceptable.

    `own` are the operator's services, whatever their names.
    """
    if name in own:
        return ""
    parts = _parts(name)
    if not parts:
        return (
            f"{name} is neither SERVICE.amazonaws.com nor an operator's own ([policies] service_principals)"
        )
    known = find_misspelt(parts)
    return f"did you mean {known}.amazonaws.com?" if known is not None else ""


def _parts(name: str) -> tuple[str, ...]:
    """The parts of the service's name, in lower case and without the region; none where it has not AWS's form."""
    found = _FORM.fullmatch(name)
    if found is None:
        return ()
    parts = tuple(part for part in found[1][:-1].lower().split(".") if _REGION.fullmatch(part) is None)
    is_whole = all(part[0] not in "-_" and part[-1] not in "-_" for part in parts)
    return parts if is_whole else ()


def find_misspelt(parts: tuple[str, ...]) -> str | None:
    """The known service of which this is a misspelling; None for a known name, or one similar to none."""
    known = _known()
    if parts in known:
        return None
    near = (name for name in known if len(name) == len(parts) and _is_near(parts, name))
    return next((".".join(name) for name in near), None)


@cache
def _known() -> dict[tuple[str, ...], None]:
    text = files("broker.policy").joinpath("service_principals.json").read_text("utf-8")
    return {tuple(name.split(".")): None for name in json.loads(text)}


def _is_near(parts: tuple[str, ...], known: tuple[str, ...]) -> bool:
    """Whether exactly one part differs, and by one typo."""
    differing = [pair for pair in zip(parts, known, strict=True) if pair[0] != pair[1]]
    return len(differing) == 1 and _is_typo(*differing[0])


def _is_typo(text: str, known: str) -> bool:
    if min(len(text), len(known)) < SHORTEST_NAME or abs(len(text) - len(known)) > 1:
        return False
    if _are_swapped(text, known):
        return True
    words = list(zip_longest(text.split("-"), known.split("-"), fillvalue=""))
    differing = [(word, other) for word, other in words if word != other]
    return len(differing) == 1 and _is_one_letter_off(*differing[0])


def _are_swapped(text: str, known: str) -> bool:
    """Whether two adjacent letters are swapped, and nothing else differs."""
    if len(text) != len(known):
        return False
    at = [index for index, (letter, other) in enumerate(zip(text, known, strict=True)) if letter != other]
    if len(at) != 2 or at[1] != at[0] + 1:
        return False
    first, second = known[at[0]], known[at[1]]
    return text[at[0]] == second and text[at[1]] == first and (first + second).isalpha()


def _is_one_letter_off(word: str, known: str) -> bool:
    if len(known) < SHORTEST_NAME:
        return False
    return any(letter.isalpha() for letter in _odd_letters(word, known))


def _odd_letters(word: str, known: str) -> Iterator[str]:
    """The one letter that is added, missing or replaced; nothing where the words differ by more."""
    shorter, longer = sorted((word, known), key=len)
    at = next((n for n, letter in enumerate(shorter) if letter != longer[n]), len(shorter))
    if len(shorter) < len(longer):
        if shorter[at:] == longer[at + 1 :]:
            yield longer[at]
    elif word[at + 1 :] == known[at + 1 :] and word[at].isalpha() and known[at].isalpha():
        yield known[at]
