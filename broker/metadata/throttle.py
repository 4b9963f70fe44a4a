"""The rate limit of the metadata service: requests a second for each address, with bursts of one second's requests.

"We throttle queries to the IMDS on a per-instance basis" (EC2 User Guide, "Query throttling"). The generic cell rate
algorithm (ITU-T I.371) needs one number per address, the theoretical arrival time of the next request.
"""

_BURST_SECONDS = 1.0
_ROUNDING = 1e-6
_MOST_ADDRESSES = 4096


class Throttle:
    """For each address `rate` requests a second; 0 is no limit."""

    def __init__(self, rate: int) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._arrivals: dict[str, float] = {}

    def admits(self, address: str, now: float) -> bool:
        """Whether `address` may ask at `now`, in seconds of a monotonic clock; if so, the request counts."""
        if not self._interval:
            return True
        arrival = max(self._arrivals.get(address, now), now) + self._interval
        if arrival - now > _BURST_SECONDS + _ROUNDING:
            return False
        if len(self._arrivals) >= _MOST_ADDRESSES and address not in self._arrivals:
            self._evict(now)
        self._arrivals[address] = arrival
        return True

    def _evict(self, now: float) -> None:
        """Evict addresses below their rate, or all if none is: a client with so many addresses cannot be limited."""
        self._arrivals = {address: until for address, until in self._arrivals.items() if until > now}
        if len(self._arrivals) >= _MOST_ADDRESSES:
            self._arrivals.clear()
