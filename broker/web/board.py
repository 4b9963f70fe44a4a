"""What workers tell each other of themselves: memory that they share from their birth, and that ends with the last.

The supervisor makes the board before it forks, so whoever takes a dead worker's place finds what that one has left. A
worker has two sheets and writes on them by turns. One that is half written, because its worker died over it or is at
it just now, does not fit its checksum: the one before it counts then. So nobody waits for anybody.
"""

import mmap
from struct import Struct
from zlib import crc32

# Bytes. The system gives memory only for what was ever written on.
_SHEET_SIZE = 4 << 20

_NUMBER = Struct("<Q")  # how many sheets this worker had before, and this one
_HEAD = Struct("<QII")  # the number, the length of the content, the checksum of both


class Board:
    """Two sheets for each of so many workers; for this process and those that are forked from it."""

    def __init__(self, workers: int) -> None:
        self._sheets = [(mmap.mmap(-1, _SHEET_SIZE), mmap.mmap(-1, _SHEET_SIZE)) for _ in range(workers)]

    def __len__(self) -> int:
        return len(self._sheets)

    def put(self, worker: int, content: bytes) -> None:
        """Write `content` in the place of what `worker` has put before; only one process may do so for it."""
        number = self._newest(worker)[0] + 1
        sheet = self._sheets[worker][number % 2]
        sheet.seek(0)
        sheet.write(_HEAD.pack(number, len(content), _checksum(number, content)) + content)

    def find(self, worker: int) -> bytes | None:
        """What `worker`, or who had its place before, has put last; None where that is nothing."""
        return self._newest(worker)[1]

    def _newest(self, worker: int) -> tuple[int, bytes | None]:
        return max((_read(sheet) for sheet in self._sheets[worker]), key=lambda one: one[0])


def _read(sheet: mmap.mmap) -> tuple[int, bytes | None]:
    """Number and content of a sheet; 0 and None where nothing whole is on it."""
    number, length, checksum = _HEAD.unpack_from(sheet)
    content = sheet[_HEAD.size : _HEAD.size + length]
    return (number, content) if checksum == _checksum(number, content) else (0, None)


def _checksum(number: int, content: bytes) -> int:
    return crc32(content, crc32(_NUMBER.pack(number)))
