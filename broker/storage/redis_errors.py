"""What a Redis server or the way to it refuses, as sentences for the operator.

redis-py keeps the code of an error (`NOAUTH`) as the class of the exception, and drops it from the text.
"""

import os
import re

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError

from broker.causes import explained
from broker.storage.engine import EngineUnavailable

FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError, TimeoutError)

# redis-py puts the error of the system into its own text.
_unreachable = re.compile(
    r"Error (?P<number>-?[0-9]+) connecting to (?P<address>\S+)\. (?P<words>.*?)\.?$"
).match

_ASKS_FOR_LOGIN = (
    "it asks for a user and a password: put them into store.url, redis://USER:PASSWORD@HOST:PORT/NUMBER"
)
NO_ANSWER = "no answer came in time: is the server running, and its address right?"
_ENDED = (
    "it ended the connection: look at its log; in protected mode it takes none of other machines (protected-mode no, "
    "or a password), and one with TLS takes none without (rediss://)"
)
MOVES = "what is asked for moves to another master of the cluster, and is not yet there"
_CAUSES: tuple[tuple[type[Exception], str, str], ...] = (
    (exceptions.AuthenticationWrongNumberOfArgsError, "", _ASKS_FOR_LOGIN),
    (exceptions.AuthenticationError, "Authentication required", _ASKS_FOR_LOGIN),
    (exceptions.AuthenticationError, "", "it refuses the user or the password of store.url"),
    (
        exceptions.NoPermissionError,
        "",
        "its user may not do this: give that user every command and key (ACL SETUSER)",
    ),
    (exceptions.ReadOnlyError, "", "it is a replica and takes no writes: name the master in store.url"),
    (exceptions.OutOfMemoryError, "", "its memory is full: raise maxmemory, or give the server more"),
    (exceptions.BusyLoadingError, "", "it is still reading its data from the disk; try again in a moment"),
    (
        exceptions.MasterDownError,
        "",
        "it is a replica that has lost its master: name the master in store.url",
    ),
    (exceptions.ClusterDownError, "", "the cluster is down: some of its slots have no master"),
    (exceptions.SlotNotCoveredError, "", "no master of the cluster has the slot of what is asked for"),
    (exceptions.TryAgainError, "", MOVES),
    (exceptions.AskError, "", MOVES),
    (exceptions.ResponseError, "access a non local key", MOVES),
    (
        exceptions.ResponseError,
        "NOREPLICAS",
        "it has fewer good replicas than min-replicas-to-write asks for",
    ),
    (exceptions.ResponseError, "MISCONF", "it cannot save its data: look at its log and its disk"),
    (exceptions.ResponseError, "invalid DB index", "it has no database of this number: see store.url"),
    (
        exceptions.ResponseError,
        "DB index is out of range",
        "it has no database of this number: see store.url",
    ),
    # The client's own words are those of its connections, without a reason.
    (
        MasterNotFoundError,
        "",
        "no sentinel names a master: do they run, with the TLS of store.url and a certificate of a known authority, "
        "and is the master's name in store.url theirs?",
    ),
    (exceptions.ConnectionError, "Connection closed by server", _ENDED),
    (exceptions.ConnectionError, "while writing to socket", _ENDED),
    (exceptions.ConnectionError, "while reading from", _ENDED),
    (exceptions.MaxConnectionsError, "", "all connections to it are in use"),
    (exceptions.TimeoutError, "", NO_ANSWER),
    (TimeoutError, "", NO_ANSWER),
)


def unavailable(error: BaseException) -> EngineUnavailable:
    return EngineUnavailable(f"redis: {cause_of_redis(error)}")


def cause_of_redis(error: BaseException) -> str:
    """The sentence; what is not known keeps the server's words."""
    for kind, words, sentence in _CAUSES:
        if isinstance(error, kind) and words in str(error):
            return sentence
    found = _unreachable(str(error))
    if found is not None and found["number"] != "1":  # 1 is OpenSSL's, whose words say more
        number = int(found["number"])
        # Negative numbers are getaddrinfo's, which has words of its own.
        words = os.strerror(number) if number > 0 else found["words"]
        return explained(OSError(number, words), found["address"])
    return str(error) or type(error).__name__
