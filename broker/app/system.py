"""The clock and the source of entropy; everything else is handed them."""

import os
import time


def clock() -> float:
    return time.time()  # noqa: TID251  the one place that reads the clock


def entropy(size: int) -> bytes:
    return os.urandom(size)  # noqa: TID251  the one place that draws entropy
