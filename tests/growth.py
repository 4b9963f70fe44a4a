"""How work grows with its size: ratios, for absolute times say little on a busy machine."""

import gc
import sys
import time
from collections.abc import Callable


def growth(work_of: Callable[[int], Callable[[], object]], size: int, times: int = 4) -> float:
    """CPU time of the work of `times` the size, by that of the size: about `times` where it is linear.

    The best of several rounds of each, in turn.
    """
    small, large = work_of(size), work_of(size * times)
    best_small = best_large = float("inf")
    for _ in range(5):
        best_small = min(best_small, _seconds(small))
        best_large = min(best_large, _seconds(large))
    return best_large / best_small


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    begun = time.process_time()
    work()
    return time.process_time() - begun


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of the work, without garbage collections: these take longer the more tests have run before."""
    gc.disable()
    begun = time.process_time()
    try:
        work()
        return time.process_time() - begun
    finally:
        gc.enable()


def called(work: Callable[[], object]) -> list[str]:
    """The names of all Python functions that the work calls, in order."""
    names: list[str] = []
    sys.setprofile(lambda frame, event, _: names.append(frame.f_code.co_name) if event == "call" else None)
    try:
        work()
    finally:
        sys.setprofile(None)
    return names
