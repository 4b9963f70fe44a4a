"""What /proc says of a process's code."""

import re
import time
from pathlib import Path

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \d+ +/.*$")


def own_code(pid: int | str) -> float:
    """Which part of the code from files that a process has in memory is its own, from 0 to 1."""
    in_memory = own = 0
    is_code = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if not line[0].isupper():
            mapping = _MAPPING.match(line)
            is_code = mapping is not None and mapping[1] == "r-xp"
        elif is_code and line.startswith("Rss:"):
            in_memory += int(line.split()[1])
        elif is_code and line.startswith("Anonymous:"):
            own += int(line.split()[1])
    return own / in_memory


def own_code_in_the_end(pid: int) -> float:
    """A broker may answer some moments before it has copied what it runs on; what it loads later is shared."""
    deadline = time.monotonic() + 15
    while (part := own_code(pid)) < 0.9 and time.monotonic() < deadline:
        time.sleep(0.1)
    return part
