"""A process that gives itself a copy of its code, looked at from within and from without."""

import hmac
import subprocess
import sys
from pathlib import Path

import pytest

from broker.commands.program_text import copy_program_text
from tests.program_text import own_code

COPY = """
import hashlib, hmac, ssl, sys
from broker.commands.program_text import copy_program_text

def mappings():
    lines = (line.split(maxsplit=5) for line in open("/proc/self/maps"))
    return [(fields[0], fields[1], fields[5]) for fields in lines if fields[-1].startswith("/")]

def code():
    found = hashlib.sha256()
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for addresses, permissions, _ in mappings():
            if permissions == "r-xp":
                start, end = (int(address, 16) for address in addresses.split("-"))
                memory.seek(start)
                found.update(memory.read(end - start))
    return found.digest()

before = mappings(), code()
pages = copy_program_text()
assert (mappings(), code()) == before
print(pages, hmac.digest(b"key", b"text", "sha256").hex(), flush=True)
sys.stdin.readline()
"""


def test_all_code_is_the_processs_own_and_stays_what_it_was():
    with subprocess.Popen(
        [sys.executable, "-c", COPY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        pages, digest = process.stdout.readline().split()
        assert int(pages) > 100
        assert digest == hmac.digest(b"key", b"text", "sha256").hex()
        assert own_code(process.pid) == 1
        process.stdin.close()
    assert process.returncode == 0


def test_code_is_shared_before():
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            assert own_code(process.pid) == 0
        finally:
            process.kill()


def test_where_the_kernel_does_not_let_it_an_error_says_so(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        copy_program_text(tmp_path)
