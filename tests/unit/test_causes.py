"""Errors of the system and of SQLite, as sentences that name the file and the next step."""

import errno
import os
import socket
import sqlite3
import ssl
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


@pytest.mark.parametrize("number", sorted({*errno.errorcode, 4095}))
def test_every_error_of_the_system_has_its_words_the_file_and_a_next_step(number: int) -> None:
    words = os.strerror(number)
    named, _, step = explained(OSError(number, words, "/srv/broker.db")).partition(f": {words}: ")
    assert named == "/srv/broker.db"
    assert len(step) > 10 and "Errno" not in step


def test_an_error_that_is_not_in_the_table_is_named_as_the_manual_names_it() -> None:
    assert "see EPROTO in errno(3)" in cause_of(OSError(errno.EPROTO, "Protocol error"))
    assert "see 4095 in errno(3)" in cause_of(OSError(4095, "Unknown error 4095"))


def test_the_numbers_of_other_libraries_are_not_taken_for_the_systems(tmp_path: Path) -> None:
    """socket.gaierror has those of getaddrinfo, ssl.SSLError those of OpenSSL, of which 1 is most frequent."""
    with pytest.raises(socket.gaierror) as unknown:
        socket.getaddrinfo("no such name", 443)
    assert "check the name" in explained(unknown.value, "no such name")
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(ssl.SSLError) as unread:
        ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert "are the files in PEM" in cause_of(unread.value)
    assert "name the authority" in cause_of(ssl.SSLCertVerificationError(1, "certificate verify failed"))


def test_what_has_not_answered_in_time_is_explained() -> None:
    assert explained(TimeoutError(), "10.0.0.1:6379").startswith("10.0.0.1:6379: no answer in time: is the")


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
