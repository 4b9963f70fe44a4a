"""What is known of the keys that were written between two revisions; it is compared with a full record of writes."""

from random import Random

import pytest

from broker.storage.engine import Revision
from broker.storage.key_history import _MOST_KEYS, _MOST_REVISIONS, KeyHistory


def revision(number: int) -> Revision:
    return Revision(number, b"%d" % number)


@pytest.mark.parametrize("seed", range(5))
def test_a_key_is_unchanged_between_two_revisions_just_where_no_commit_in_between_has_written_it(
    seed: int,
) -> None:
    random, history, commits = Random(seed), KeyHistory(revision(0)), [set[str]()]
    for number in range(1, 60):
        commits.append({f"{random.randrange(20)}" for _ in range(random.randrange(3))})
        history.extend(revision(number), commits[-1])
        earlier, later = sorted(random.randrange(number + 1) for _ in range(2))
        keys = {f"{random.randrange(20)}" for _ in range(3)}
        # What was written after `later` may have been written before it, too: that is not recorded.
        is_known = not any(keys & commit for commit in commits[earlier + 1 :])
        for one, other in ((earlier, later), (later, earlier)):
            assert history.is_unchanged(revision(one), revision(other), keys) is is_known
        changed = any(keys & commit for commit in commits[earlier + 1 :])
        assert history.is_unchanged(revision(earlier), revision(number), keys) is not changed


def test_nothing_is_known_of_a_revision_of_another_history() -> None:
    history = KeyHistory(revision(1))
    history.extend(revision(2), ["a"])
    for unknown in (revision(0), revision(3), Revision(1, b"another"), Revision(2, b"")):
        assert not history.is_unchanged(unknown, revision(2), ["b"])
        assert not history.is_unchanged(revision(2), unknown, [])


def test_the_oldest_revisions_are_forgotten_and_with_them_the_keys_that_only_they_need() -> None:
    history = KeyHistory(revision(0))
    for number in range(1, _MOST_REVISIONS + 10):
        history.extend(revision(number), [f"{number}"])
    last = revision(_MOST_REVISIONS + 9)
    assert not history.is_unchanged(revision(9), last, [])
    assert history.is_unchanged(revision(10), last, ["10", "1"])
    assert not history.is_unchanged(revision(10), last, ["11"])
    assert history.weight < 500 * _MOST_REVISIONS


def test_after_very_many_keys_nothing_older_is_known() -> None:
    history = KeyHistory(revision(0))
    history.extend(revision(1), map(str, range(_MOST_KEYS + 1)))
    assert not history.is_unchanged(revision(0), revision(1), [])
    history.extend(revision(2), ["a"])
    assert history.is_unchanged(revision(1), revision(2), ["b"])
    assert history.weight < 1000
