"""The scoreboard: shared memory in which each worker publishes its metrics for all others.

The supervisor makes it before it forks, so the successor of a dead worker finds what that worker published last. Each
worker has two buffers and writes them alternately. A buffer that is half written, because its worker died or is
writing it now, does not match its checksum, and readers take the other one. So no lock is needed.
"""

import mmap
from struct import Struct
from zlib import crc32

# Bytes. The kernel allocates only the pages that were written.
_BUFFER_SIZE = 4 << 20

_NUMBER = Struct("<Q")  # the sequence number of a write, from 1
_HEAD = Struct("<QII")  # the number, the length of the content, the checksum of both


class Scoreboard:
    """Two buffers for each of `workers`; for this process and those that are forked from it."""

    def __init__(self, workers: int) -> None:
        self._buffers = [(mmap.mmap(-1, _BUFFER_SIZE), mmap.mmap(-1, _BUFFER_SIZE)) for _ in range(workers)]

    def __len__(self) -> int:
        return len(self._buffers)

    def put(self, worker: int, content: bytes) -> None:
        """Replace what `worker` published. Only one process may write for a worker at a time."""
        number = self._newest(worker)[0] + 1
        buffer = self._buffers[worker][number % 2]
        buffer.seek(0)
        buffer.write(_HEAD.pack(number, len(content), _checksum(number, content)) + content)

    def find(self, worker: int) -> bytes | None:
        """What `worker`, or its predecessor in the same slot, published last; None where there is nothing."""
        return self._newest(worker)[1]

    def _newest(self, worker: int) -> tuple[int, bytes | None]:
        return max((_read(buffer) for buffer in self._buffers[worker]), key=lambda one: one[0])


def _read(buffer: mmap.mmap) -> tuple[int, bytes | None]:
    """Sequence number and content of a buffer; 0 and None where it holds nothing complete."""
    number, length, checksum = _HEAD.unpack_from(buffer)
    content = buffer[_HEAD.size : _HEAD.size + length]
    return (number, content) if checksum == _checksum(number, content) else (0, None)


def _checksum(number: int, content: bytes) -> int:
    return crc32(content, crc32(_NUMBER.pack(number)))
