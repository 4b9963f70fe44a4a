"""A process that gives itself a copy of its code, looked at from within and from without."""

import subprocess
import sys
from pathlib import Path

import pytest

from broker.commands.program_text import copy_program_text
from tests.program_text import shared_code

COPY = """
import hashlib, hmac, ssl, sys
from broker.commands.program_text import _mapped_code, copy_program_text

def code():
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        found = hashlib.sha256()
        for start, end in _mapped_code(maps.read()):
            memory.seek(start)
            found.update(memory.read(end - start))
        return found.hexdigest()

def permissions():
    return [line.split(maxsplit=5)[1::4] for line in open("/proc/self/maps") if "/" in line]

before = code(), permissions()
pages = copy_program_text()
assert (code(), permissions()) == before
print(pages, hmac.digest(b"key", b"text", "sha256").hex(), flush=True)
sys.stdin.readline()
"""


def test_all_code_is_the_processs_own_and_stays_what_it_was():
    import hmac

    with subprocess.Popen(
        [sys.executable, "-c", COPY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        pages, digest = process.stdout.readline().split()
        assert int(pages) > 100
        assert digest == hmac.digest(b"key", b"text", "sha256").hex()
        assert shared_code(process.pid) == set()
        process.stdin.close()
    assert process.returncode == 0


def test_code_is_shared_before():
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            assert shared_code(process.pid)
        finally:
            process.kill()


def test_where_the_kernel_does_not_let_it_an_error_says_so(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        copy_program_text(tmp_path)
