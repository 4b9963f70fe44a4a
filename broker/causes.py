"""Why a file, an address or a connection cannot be used: a sentence for the operator, which says what to do next.

Errors of the system and of SQLite name neither the file nor the next step (`[Errno 13] Permission denied`, `attempt to
write a readonly database`). Their words stay, for they are what an operator searches for.
"""

import errno
from collections.abc import Mapping

_PATH = "check the path (ls -ld)"
_STARTED = "is the service started, and its address right?"
_ROUTE = "no route leads there: check the address, and this machine's network (ip route get ADDRESS)"
_MODE = "check its owner and mode, and those of the folders above it (ls -ld)"
_ROOM = "make room, then try again"
_LOG = "look at the kernel's log (dmesg)"
_RESTORE = "stop the broker and restore a backup (broker restore)"

_NEXT_STEPS: Mapping[int, str] = {
    errno.EACCES: _MODE,
    errno.EPERM: "run this as the user who owns it",
    errno.ENOENT: _PATH,
    errno.ENAMETOOLONG: "name a shorter path",
    errno.ELOOP: "symbolic links lead back to themselves, " + _PATH,
    errno.ENXIO: _PATH,
    errno.ENODEV: _PATH,
    errno.ENOEXEC: "it is no program of this machine (file PATH)",
    errno.EEXIST: "something else has this name, move it away or name another path",
    errno.EROFS: "name a path that can be written",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f, LimitFSIZE= of the unit)",
    errno.EBUSY: "another program uses it (fuser -v, findmnt)",
    errno.ETXTBSY: "another program uses it (fuser -v, findmnt)",
    errno.EXDEV: "name a path on the same file system",
    errno.ENOTEMPTY: "empty the folder, or name another one",
    errno.ENOMEM: "give this process more memory (free -m, MemoryMax= of the unit)",
    errno.EAGAIN: "try again; the limits of this process may be too low (ulimit -a)",
    errno.ENOLCK: "this file system gives no locks: name a path on a local disk",
    errno.ESTALE: "mount the network disk again, or name a path on a local disk",
    errno.EOPNOTSUPP: "this file system or socket cannot do it: name a path on a local disk",
    errno.EUCLEAN: "the file system is damaged: unmount it and check it (fsck)",
    errno.EIO: _LOG,
    errno.EISDIR: "a file is expected",
    errno.ENOTDIR: "a folder is expected",
    errno.EMFILE: "raise the limit (ulimit -n, LimitNOFILE= of the unit)",
    errno.ENFILE: "raise fs.file-max of this machine",
    errno.EADDRINUSE: "another program listens there (ss -ltnp shows which)",
    errno.EADDRNOTAVAIL: "this machine has no such address (ip address)",
    errno.EAFNOSUPPORT: "this machine has no addresses of this kind, name another one (ip address)",
    errno.ECONNREFUSED: _STARTED,
    errno.ECONNRESET: "the other side ended the connection: look at its log, and try again",
    errno.ECONNABORTED: "the other side ended the connection: look at its log, and try again",
    errno.EPIPE: "the other side ended the connection: look at its log, and try again",
    errno.EHOSTUNREACH: _ROUTE,
    errno.EHOSTDOWN: _ROUTE,
    errno.ENETUNREACH: _ROUTE,
    errno.ENETDOWN: _ROUTE,
    errno.ETIMEDOUT: _STARTED,
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
    words = getattr(error, "strerror", None) or str(error) or _WORDS.get(type(error), type(error).__name__)
    step = _step_of_system(error) if isinstance(error, OSError) else _step_of_sqlite(error)
    return f"{words}: {step}" if step else words


_WORDS: Mapping[type, str] = {TimeoutError: "no answer in time"}


def _step_of_system(error: OSError) -> str:
    number = error.errno
    kinds = {kind.__name__ for kind in type(error).__mro__}  # `ssl` is not imported here: it brings sockets
    if "SSLCertVerificationError" in kinds:
        return "name the authority that issued its certificate, and use a host name that stands in it"
    if "SSLError" in kinds:  # another error of OpenSSL, whose numbers are not the system's
        return "are the files in PEM (openssl x509 -noout -text -in FILE), and does the other side speak TLS?"
    if number is None:  # the words are a library's or ours, but for a time that has passed
        return _STARTED if isinstance(error, TimeoutError) else ""
    if number < 0:  # socket.gaierror
        return "check the name, and this machine's name servers (getent hosts NAME)"
    return _NEXT_STEPS.get(number) or _look_up(number)


def _look_up(number: int) -> str:
    return f"see {errno.errorcode.get(number, number)} in errno(3); the kernel's log may say more (dmesg)"


def _step_of_sqlite(error: BaseException) -> str:
    # The extended codes begin with the primary one: SQLITE_IOERR_WRITE.
    code = "_".join(str(getattr(error, "sqlite_errorname", "")).split("_")[:2])
    return _NEXT_STEPS_OF_SQLITE.get(code, "")
