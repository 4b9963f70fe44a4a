"""The clock and the source of entropy of this process, for `app` and commands alone: all other code is given them.

Below `app`, which imports every room: the agent of a node needs none of them, and 20 MB less without them.
"""

import os
import time


def clock() -> float:
    return time.time()  # noqa: TID251  only this function reads the clock


def entropy(size: int) -> bytes:
    return os.urandom(size)  # noqa: TID251  only this function draws entropy
