"""`broker audit files`: what of the journal is there, how old it is, and what becomes of it."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.unit.audit.test_retention import DAY, journal

from .conftest import Run


def test_the_files_of_the_journal_are_shown_with_what_becomes_of_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages = {"audit.jsonl": 0, "audit.jsonl.1": 10, "audit.jsonl.2": 40, "audit.jsonl.3": 50}
    now = int(time.time())
    journal(tmp_path, ages, now)
    os.link(tmp_path / "audit.jsonl.3", tmp_path / "undelivered")
    rows = [json.loads(line) for line in run("audit", "files", "--json").shown.splitlines()]
    assert {row["state"] for row in rows if row["bytes"]} == {"current", "kept", "undelivered"}
    monkeypatch.setenv("BROKER_AUDIT_KEEP_DAYS", "30")
    ended = run("audit", "files")
    headings, *lines = ended.shown.splitlines()
    assert ended.status == 0 and headings.split()[0] == "FILE"
    found = {line.split()[0].rpartition("/")[2]: line.rstrip() for line in lines}
    assert found["audit.jsonl"].endswith("current") and found["audit.jsonl.2"].endswith("expired")
    assert found["audit.jsonl.3"].endswith("undelivered")
    until = time.strftime("%Y-%m-%d", time.gmtime(now + 20 * DAY))
    assert f"kept until {until}" in found["audit.jsonl.1"]
