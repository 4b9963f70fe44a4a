"""The clock and the source of entropy; all other code gets them as arguments."""

import os
import time


def clock() -> float:
    return time.time()  # noqa: TID251  only this function reads the clock


def entropy(size: int) -> bytes:
    return os.urandom(size)  # noqa: TID251  only this function draws entropy
