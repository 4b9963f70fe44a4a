"""CloudTrail: what was recorded, looked up by the accounts that it belongs to.

Owns LookupEvents, over the journal that `broker.audit` reads. Never writes a record: each request leaves its own, here
as everywhere. Obeys the CloudTrail API reference.
"""

from broker.trail import lookup_events

__all__ = ["lookup_events"]
