"""Whether the store behind the gateway answers, and takes the gateway's own key."""

from broker.errors import Refusal
from broker.gateway.forwarding import OF_GATEWAY, error_of
from broker.gateway.store import BackingStore, Outgoing


async def why_store_is_not_ready(backing: BackingStore) -> str:
    """Empty where it is ready. ListBuckets is the one request that every store knows; its list is not read."""
    try:
        async with await backing.send(Outgoing("GET", "")) as answer:
            if answer.status < 400:
                return ""
            code, _ = await error_of(answer)
            if answer.status < 500 and code not in OF_GATEWAY:
                return ""
            return f"the store answers {answer.status} {code}".rstrip()
    except Refusal as refusal:
        return refusal.reason
