"""What this process has of memory, by the books of its allocators; and a broker that writes it down when asked.

    python scripts/bench/allocators.py FILE serve …

is `broker serve …` that writes its memory to FILE as JSON, megabytes, when it gets SIGUSR2 (soak.py asks each minute).
"""

import ctypes
import json
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import NamedTuple

MEGABYTE = 1 << 20

_IN_USE = re.compile(r"# bytes in allocated blocks\s*=\s*([\d,]+)")
_AVAILABLE = re.compile(r"# bytes in available blocks\s*=\s*([\d,]+)")
_UNUSED = re.compile(r"unused pools \* \d+ bytes\s*=\s*([\d,]+)")
_RESIDENT = re.compile(r"^Rss:\s*(\d+) kB", re.MULTILINE)


class Memory(NamedTuple):
    """Megabytes."""

    python_used: float
    python_free: float
    library_used: float
    library_free: float
    resident: float


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of the GNU C library."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def memory_now() -> Memory:
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = _Mallinfo
    counted, text = library.mallinfo2(), _python_statistics()
    found = _RESIDENT.search(Path("/proc/self/smaps_rollup").read_text())
    assert found is not None
    # What Python's allocator has of the C library are its arenas, which are mapped beside what the library counts.
    return Memory(
        _number(_IN_USE, text),
        _number(_AVAILABLE, text) + _number(_UNUSED, text),
        (counted.uordblks + counted.hblkhd) / MEGABYTE,
        counted.fordblks / MEGABYTE,
        int(found[1]) / 1024,
    )


def _python_statistics() -> str:
    """What CPython writes of its allocator to the standard error stream, and nowhere else."""
    reading, writing = os.pipe()
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.append(os.fdopen(reading).read()))
    reader.start()
    stream = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    sys._debugmallocstats()
    os.dup2(stream, 2)
    os.close(stream)
    reader.join()
    return texts[0]


def _number(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.search(text)
    assert found is not None, pattern.pattern
    return int(found[1].replace(",", "")) / MEGABYTE


def _write(path: Path) -> None:
    """Whole or not at all: the reader waits for the file."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(memory_now()._asdict()))
    part.replace(path)


def main() -> int:
    from broker.__main__ import main as broker

    path = Path(sys.argv[1])
    signal.signal(signal.SIGUSR2, lambda *_: _write(path))
    return broker(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
