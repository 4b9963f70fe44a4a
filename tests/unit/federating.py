"""Federation for tests that perform operations: providers with pinned keys; nothing is fetched."""

from collections.abc import Sequence

from broker.assertions.key_sets import VerificationKey
from broker.federation.federation import Federation
from broker.federation.provider_keys import ProviderKeys
from broker.federation.reach import Answer, FetchFailed


class _Unreachable:
    """Nothing is fetched: these tests have no network."""

    async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer:
        raise FetchFailed(f"{url} cannot be reached")


def no_federation(
    now: float = 1_800_000_000.0,
    pinned: dict[str, tuple[VerificationKey, ...]] | None = None,
    **rules: object,
) -> Federation:
    keys = ProviderKeys(_Unreachable(), lambda: now, pinned)
    return Federation(keys=keys, **rules)
