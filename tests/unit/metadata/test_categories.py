"""The tree, by the cases of tests/cases/metadata; and what must hold of all of it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.metadata.categories import VERSIONS, Deferred, Machine, lookup
from broker.storage.records import Instance

CASES = Path(__file__).parents[2] / "cases" / "metadata" / "categories.json"


class Case(msgspec.Struct, forbid_unknown_fields=True):
    """An instance's fields, a role where it has one, a path; `answer` None: it does not exist."""

    sentence: str
    instance: dict[str, Any]
    path: str
    answer: str | None
    role: str | None = None

    @property
    def machine(self) -> Machine:
        identity = {"instance_id": "i-0123456789abcdef0", "account_id": "111122223333"}
        return Machine(msgspec.convert({**identity, **self.instance}, Instance), self.role)


ALL = msgspec.json.decode(CASES.read_bytes(), type=list[Case])


def steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.sentence)
def test_a_path_has_the_answer_of_its_case(case: Case):
    assert lookup(steps(case.path), case.machine) == case.answer


def test_the_versions_are_listed_at_the_root():
    assert lookup([], ALL[0].machine) == "\n".join(VERSIONS)
    assert VERSIONS[0] == "1.0"
    assert VERSIONS[-1] == "latest"


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.sentence)
def test_every_name_in_every_listing_exists(case: Case):
    def walk(path: list[str]) -> int:
        listing = lookup(path, case.machine)
        assert isinstance(listing, str), path
        count = 0
        for line in listing.splitlines():
            name = line.partition("=")[0] if path[-1] == "public-keys" else line.removesuffix("/")
            below = lookup([*path, name], case.machine)
            assert below is not None, [*path, name]
            is_directory = line.endswith("/") or "=" in line or len(path) == 1
            count += walk([*path, name]) if is_directory and name != "user-data" else 1
        return count

    assert walk(["latest"]) > 15


@given(st.lists(st.text(), max_size=6))
def test_no_path_is_too_strange(path: list[str]):
    answer = lookup(path, ALL[3].machine)
    assert answer is None or isinstance(answer, str | bytes | Deferred)
