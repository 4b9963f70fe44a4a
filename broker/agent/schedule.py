"""When credentials are renewed, and when the broker is asked again: pure decisions.

`spread` is random, in [0, 1): it keeps the askers of a node, and the nodes, from asking at the same time. Times are in
seconds: of the epoch where they are compared with an expiry.
"""

# Renewed between half and three quarters of the life: enough is left for a broker that is away, and for SDKs, which
# treat credentials that expire within fifteen minutes as due.
_RENEW_FROM, _RENEW_SPREAD = 0.5, 0.25
LONGEST_PAUSE = 30.0  # seconds between two attempts while the broker is away
RETURN_WINDOW = 60.0  # seconds over which renewals are spread when it is back


def renewal_time(issued_at: float, expires_at: float, spread: float) -> float:
    return issued_at + (expires_at - issued_at) * (_RENEW_FROM + _RENEW_SPREAD * spread)


def next_attempt(now: float, failures: int, spread: float) -> float:
    """After the n-th failure in a row: a pause that doubles, up to LONGEST_PAUSE, half of it random."""
    pause = min(float(2 ** min(failures, 10)), LONGEST_PAUSE)
    return now + pause * (0.5 + 0.5 * spread)


def renewal_after_return(
    now: float, expires_at: float, spread: float, window: float = RETURN_WINDOW
) -> float:
    """When to renew what became due while the broker was away: within the window, and long before it expires."""
    return now + spread * max(0.0, min(window, (expires_at - now) / 2))


def retry_after(now: float, next_attempt_at: float) -> int:
    """Whole seconds for the header Retry-After, at least one."""
    return max(1, int(next_attempt_at - now + 0.999))
