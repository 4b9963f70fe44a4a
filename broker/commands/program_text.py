"""The program's text: the machine code of the interpreter and its libraries, a copy for each process that serves.

Pages that are mapped from the same files are the same memory for all processes. Two that run the same code at the same
moment on two cores of an Intel Sapphire Rapids slow each other down by up to a fifth: presumably a core fetches from
the other's cache what it would find nearer by, were it alone with it. That two workers do 1.9 times the work of one
when each has its own text, and 1.6 times when not, is measured (`scripts/bench/scale.py workers`); one worker gains a
twentieth or a tenth beside a busy client that runs on the same interpreter.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

_CODE = "r-xp"


def copy_program_text(process: Path = Path("/proc/self")) -> int:
    """Give this process pages of its own for all code that is mapped from files by now; how many.

    The kernel copies a private page when it is written to: one byte of each is written over with itself, through
    /proc/PID/mem (proc(5)), which may write where the process itself may only read and execute. So nothing is
    writable at any time, and the code stays what it was.

    Raises OSError where the kernel does not let a process do so to itself; what was copied by then stays copied.
    """
    number = 0
    memory = os.open(process / "mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        for start, end in _mapped_code((process / "maps").read_text()):
            for page in range(start, end, mmap.PAGESIZE):
                os.pwrite(memory, os.pread(memory, 1, page), page)
                number += 1
    finally:
        os.close(memory)
    return number


def _mapped_code(maps: str) -> Iterator[tuple[int, int]]:
    """Where code from files begins and ends, by the lines of /proc/PID/maps."""
    for line in maps.splitlines():
        # Address, permissions, offset, device, inode; where there is no file, either nothing follows or a [name].
        addresses, permissions, *_, name = line.split(maxsplit=5)
        if permissions == _CODE and name.startswith("/"):
            start, _, end = addresses.partition("-")
            yield int(start, 16), int(end, 16)
