"""The moment of tests whose store has the clock of the machine."""

import time

_FIRST = 1_800_000_000
_DAY = 24 * 3600
_DAYS_AHEAD = 30

# Always ahead of that clock, by which the store lets records expire: a fixed moment would pass, and all would be gone.
AHEAD = float(_FIRST + max(0, (int(time.time()) - _FIRST) // _DAY + _DAYS_AHEAD) * _DAY)
