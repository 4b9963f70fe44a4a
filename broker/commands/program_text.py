"""The program's text: the machine code of the interpreter and its libraries, a copy for each worker.

Workers run the same code at the same moment, and its pages, mapped from the same files, are the same memory for all of
them. Two workers on two cores of an Intel Sapphire Rapids slow each other down by a fifth that way: presumably a core
fetches from the other's cache what it would find nearer by, were it alone with it. That they do 1.9 times the work of
one when each has its own text, and 1.6 times when not, is measured (`scripts/bench/scale.py workers`).
"""

import mmap
import os
from pathlib import Path

_CODE = "r-xp"


def copy_program_text(process: Path = Path("/proc/self")) -> int:
    """Give this process pages of its own for all code that is mapped from files; the number of pages.

    The kernel copies a private page when it is written to: one byte of each is written over with itself, through
    /proc/PID/mem (proc(5)), which may write where the process itself may only read and execute. So nothing is
    writable at any time, and the code stays what it was. What is mapped later is shared again.

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


def _mapped_code(maps: str) -> list[tuple[int, int]]:
    """Where code from files begins and ends, by the lines of /proc/PID/maps."""
    # Address, permissions, offset, device, inode; where there is no file, either nothing follows or a [name].
    lines = (line.split(maxsplit=5) for line in maps.splitlines())
    mapped = (fields[0] for fields in lines if fields[1] == _CODE and fields[-1].startswith("/"))
    return [(int(start, 16), int(end, 16)) for start, _, end in (one.partition("-") for one in mapped)]
