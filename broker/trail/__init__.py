"""CloudTrail: what was recorded, looked up by the accounts that it belongs to, and delivered for them.

Owns LookupEvents, over the journal that `broker.audit` reads; trails, their selectors and tags; and the delivery of log
files and signed digest files, from the journal to a store that `app` opens. Never writes a record: each request leaves
its own, here as everywhere. Obeys the CloudTrail API reference, and "CloudTrail log file integrity validation".
"""

from broker.trail import (
    descriptions,
    event_selectors,
    lookup_events,
    public_keys,
    switching,
    tagging,
    trails,
)

__all__ = [
    "descriptions",
    "event_selectors",
    "lookup_events",
    "public_keys",
    "switching",
    "tagging",
    "trails",
]
