"""How often one machine may ask: as many requests a second as the operator grants, saved up for one second at most.

"We throttle queries to the IMDS on a per-instance basis" (EC2 User Guide, "Query throttling"). For each address one
number is kept: the time up to which its requests are paid for (the generic cell rate algorithm, ITU-T I.371).
"""

_SAVED_SECONDS = 1.0
_ROUNDING = 1e-6
_MOST_ADDRESSES = 4096


class Throttle:
    """For each address `rate` requests a second; 0: as many as it likes."""

    def __init__(self, rate: int) -> None:
        self._cost = 1 / rate if rate else 0.0
        self._paid_until: dict[str, float] = {}

    def admits(self, address: str, now: float) -> bool:
        """Whether `address` may ask at `now`, in seconds of a clock that never goes back; if so, it is charged."""
        if not self._cost:
            return True
        paid_until = max(self._paid_until.get(address, now), now) + self._cost
        if paid_until - now > _SAVED_SECONDS + _ROUNDING:
            return False
        if len(self._paid_until) >= _MOST_ADDRESSES and address not in self._paid_until:
            self._forget(now)
        self._paid_until[address] = paid_until
        return True

    def _forget(self, now: float) -> None:
        """Forget those who owe nothing, or all where all owe: counting stops nobody who has so many addresses."""
        self._paid_until = {address: until for address, until in self._paid_until.items() if until > now}
        if len(self._paid_until) >= _MOST_ADDRESSES:
            self._paid_until.clear()
