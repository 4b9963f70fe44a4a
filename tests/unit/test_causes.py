"""Errors of the system and of SQLite, as sentences that name the file and the next step."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from broker.causes import cause_of, explained


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (errno.EACCES, "check its owner and mode"),
        (errno.ENOENT, "check the path"),
        (errno.EEXIST, "something else has this name"),
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "name a path that can be written"),
        (errno.ECONNREFUSED, "is the service started"),
        (errno.EMFILE, "raise the limit"),
    ],
)
def test_an_error_of_the_system_names_the_file_and_the_next_step(number: int, step: str) -> None:
    said = explained(OSError(number, os.strerror(number), "/srv/broker.db"))
    assert said.startswith(f"/srv/broker.db: {os.strerror(number)}: ")
    assert step in said and "Errno" not in said


def test_an_error_without_a_name_gets_the_one_that_is_known() -> None:
    assert explained(OSError(errno.ENOSPC, "No space left on device"), "audit.jsonl").startswith(
        "audit.jsonl: No"
    )
    assert explained(RuntimeError("other.db: it is away"), "other.db") == "other.db: it is away"


def test_a_store_that_may_not_be_written_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    sqlite3.connect(file).execute("CREATE TABLE one (a)").connection.close()
    reading = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as refused:
        reading.execute("INSERT INTO one VALUES (1)")
    reading.close()
    said = explained(refused.value, file)
    assert said.startswith(f"{file}: attempt to write a readonly database: ")
    assert "check owners and modes" in said


def test_a_store_in_a_folder_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as refused:
        sqlite3.connect(tmp_path / "none" / "store.db")
    assert "its folder has to exist" in cause_of(refused.value)


def test_what_is_not_known_keeps_its_own_words() -> None:
    assert cause_of(ValueError("strange")) == "strange"
    assert cause_of(ValueError()) == "ValueError"
