"""Why a file, an address or a connection cannot be used: a sentence for the operator, which says what to do next.

Errors of the system and of SQLite name neither the file nor the next step (`[Errno 13] Permission denied`, `attempt to
write a readonly database`). Their words stay, for they are what an operator searches for.
"""

import errno
from collections.abc import Mapping

_MODE = "check its owner and mode, and those of the folders above it (ls -ld)"
_ROOM = "make room, then try again"
_LOG = "look at the kernel's log (dmesg)"
_RESTORE = "stop the broker and restore a backup (broker restore)"

_NEXT_STEPS: Mapping[int | None, str] = {
    errno.EACCES: _MODE,
    errno.EPERM: "run this as the user who owns it",
    errno.ENOENT: "check the path (ls -ld)",
    errno.EEXIST: "something else has this name, move it away or name another path",
    errno.EROFS: "name a path that can be written",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EIO: _LOG,
    errno.EISDIR: "a file is expected",
    errno.ENOTDIR: "a folder is expected",
    errno.EMFILE: "raise the limit (ulimit -n, LimitNOFILE= of the unit)",
    errno.ENFILE: "raise fs.file-max of this machine",
    errno.ECONNREFUSED: "is the service started, and its address right?",
    errno.EHOSTUNREACH: "no route leads there",
    errno.ENETUNREACH: "no route leads there",
    errno.ETIMEDOUT: "is the service started, and its address right?",
}

_NEXT_STEPS_OF_SQLITE = {
    "SQLITE_READONLY": "this user may not write it, or not the files with -wal, -shm and -lock beside it; check owners "
    "and modes (ls -l)",
    "SQLITE_CANTOPEN": "its folder has to exist, and this user has to read and write in it (ls -ld)",
    "SQLITE_PERM": _MODE,
    "SQLITE_FULL": _ROOM,
    "SQLITE_IOERR": _LOG,
    "SQLITE_BUSY": "no other program may open the store",
    "SQLITE_LOCKED": "no other program may open the store",
    "SQLITE_CORRUPT": _RESTORE,
    "SQLITE_NOTADB": "is the path right? Another file is there, or a damaged store",
    "SQLITE_PROTOCOL": "a store may not be on a network disk",
}


def explained(error: BaseException, name: object = "") -> str:
    """`NAME: what went wrong: what to do next`. `name` is the file or address, where the error does not have it."""
    named = getattr(error, "filename", None) or name
    cause = cause_of(error)
    return f"{named}: {cause}" if named and not cause.startswith(f"{named}:") else cause


def cause_of(error: BaseException) -> str:
    """`explained`, without the name."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, OSError):
        step = _NEXT_STEPS.get(error.errno, "")
    else:  # the extended codes begin with the primary one: SQLITE_IOERR_WRITE
        code = "_".join(str(getattr(error, "sqlite_errorname", "")).split("_")[:2])
        step = _NEXT_STEPS_OF_SQLITE.get(code, "")
    return f"{words}: {step}" if step else words
