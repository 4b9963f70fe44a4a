"""The search for the piece between two `*` of a pattern, which all patterns with `?` use.

A piece is literal fragments at fixed distances, with one arbitrary character for each `?`. It is searched for by its
longest fragment; where that occurs often, a bit-parallel search tests all positions at once, which takes one step per
character of the piece. So no pattern takes exponential time, or time in the product of the lengths of pattern and text.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

# Occurrences of the longest fragment that are tested one by one.
FEW_OCCURRENCES: Final = 4


class Piece(msgspec.Struct, frozen=True, gc=False):
    """`length` characters, of which `fragments` (offset, text) are literal; `longest` is the longest of them."""

    length: int
    fragments: tuple[tuple[int, str], ...]
    longest: tuple[int, str]


def make_piece(fragments: Sequence[tuple[int, str]], length: int) -> Piece:
    longest = fragments[0] if fragments else (0, "")
    for fragment in fragments:
        if len(fragment[1]) > len(longest[1]):
            longest = fragment
    return Piece(length, tuple(fragments), longest)


def match_pieces(pieces: Sequence[Piece], text: str) -> bool:
    """Whether `text` is the pieces, at least one, with any text between each two of them."""
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return first.length == len(text) and _is_at(first, text, 0)
    at, end = first.length, len(text) - last.length
    if at > end or not _is_at(first, text, 0) or not _is_at(last, text, end):
        return False
    for piece in pieces[1:-1]:
        found = find_piece(piece, text, at, end)
        if found < 0:
            return False
        at = found + piece.length
    return True


def begins_with(piece: Piece, text: str, at: int) -> bool:
    """Whether the piece is at `at`, whatever follows."""
    return at + piece.length <= len(text) and _is_at(piece, text, at)


def _is_at(piece: Piece, text: str, at: int) -> bool:
    """The same for a text that is known to be long enough."""
    for offset, fragment in piece.fragments:  # noqa: SIM110  (a generator would double the time)
        if not text.startswith(fragment, at + offset):
            return False
    return True


def find_piece(piece: Piece, text: str, at: int, end: int) -> int:
    """The first offset from `at` on where the piece is and ends by `end`; -1 where there is none."""
    if at + piece.length > end:
        return -1
    offset, longest = piece.longest
    stop = end - piece.length + offset + len(longest)
    for _ in range(FEW_OCCURRENCES):
        found = text.find(longest, at + offset, stop)
        if found < 0:
            return -1
        at = found - offset
        if _is_at(piece, text, at):
            return at
        at += 1
    return _find_among_all(piece, text, at, end)


def _find_among_all(piece: Piece, text: str, at: int, end: int) -> int:
    """The same, bit-parallel: bit N of `candidates` says whether the piece may still be at `at` + N."""
    count = end - piece.length - at + 1
    if count <= 0:
        return -1
    candidates = (1 << count) - 1
    for offset, fragment in sorted(piece.fragments, key=_length_of):
        for distance, character in enumerate(fragment, at + offset):
            candidates &= _occurrences(text, character) >> distance
            if not candidates & (candidates - 1):  # at most one candidate is left
                found = at + candidates.bit_length() - 1
                return found if candidates and _is_at(piece, text, found) else -1
    return at + (candidates & -candidates).bit_length() - 1


def _length_of(fragment: tuple[int, str]) -> int:
    return len(fragment[1])


@lru_cache(maxsize=128)
def _occurrences(text: str, character: str) -> int:
    """Bit N says whether `text[N]` is the character."""
    if text.isascii() and character.isascii():
        table = bytearray(b"0" * 128)
        table[ord(character)] = ord("1")
        return int(text.encode()[::-1].translate(bytes(table).ljust(256, b"0")), 2)
    return int("1".join(["0" * len(part) for part in text.split(character)])[::-1], 2)
