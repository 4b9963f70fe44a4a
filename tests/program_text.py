"""What /proc says of a process's code."""

import re
from pathlib import Path

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \d+ +(/.*)$")


def shared_code(pid: int | str) -> set[str]:
    """The files of which some page of code is not the process's own."""
    shared, file, size = set(), "", 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if mapping := _MAPPING.match(line):
            file = mapping[2] if mapping[1] == "r-xp" else ""
        elif file and line.startswith("Size:"):
            size = int(line.split()[1])
        elif file and line.startswith("Anonymous:") and int(line.split()[1]) < size:
            shared.add(file)
    return shared
