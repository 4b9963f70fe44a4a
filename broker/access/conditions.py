"""The global condition keys of a request ("AWS global condition context keys").

Keys are in lower case from the start, because the engine compares them in lower case.
Keys that AWS leaves out of a request are left out here, too: a missing key and a false one differ.
"""

from functools import lru_cache

import msgspec

from broker.access.caller import Caller, Keys
from broker.access.facts import RequestFacts
from broker.access.resource import Resource
from broker.audit.event import iso_time
from broker.errors import Refusal

_NO_KEYS: Keys = {}
_TRUE, _FALSE = ("true",), ("false",)


class UnknownKey(Refusal):
    """A policy reads a condition key whose value is not known here, so nothing can be decided."""

    def __init__(self, key: str) -> None:
        super().__init__(
            "AccessDenied", "Access Denied", reason=f"a policy reads {key}, which is not known here"
        )


class _PartlyUnknown(dict[str, tuple[str, ...]]):
    """Condition keys of which those that begin like one of `unknown` are not known, unless they are here."""

    unknown: tuple[str, ...] = ()

    def get(self, key: str, default: object = None) -> tuple[str, ...]:
        found = super().get(key)
        if found is None and key.startswith(self.unknown):
            raise UnknownKey(key)
        return default if found is None else found  # type: ignore[return-value]  # the default is the caller's


class RequestContext(msgspec.Struct, eq=False):
    """Every key that is filled for this caller, this request, this resource and the organization of both.

    Built when a condition or a variable first reads a key: most decisions need none.
    """

    caller: Caller
    facts: RequestFacts
    resource: Resource
    organization_keys: Keys = _NO_KEYS
    _keys: Keys | None = None

    @property
    def by_key(self) -> Keys:
        keys = self._keys
        if keys is None:
            keys = _all_keys(self.caller, self.facts, self.resource, self.organization_keys)
            if self.resource.unknown:
                keys = _PartlyUnknown(keys)
                keys.unknown = self.resource.unknown
            self._keys = keys
        return keys


def _all_keys(caller: Caller, facts: RequestFacts, resource: Resource, organization_keys: Keys) -> Keys:
    keys = principal_keys(caller, facts.now)
    add_request_keys(keys, facts)
    if organization_keys:
        keys |= organization_keys
    account = resource.account or caller.account
    if account:
        keys["aws:resourceaccount"] = (account,)
    if resource.tags:
        _add_resource_tags(keys, resource)
    for key, value in resource.keys.items():
        keys[key.lower()] = (value,) if isinstance(value, str) else value
    return keys


def principal_keys(caller: Caller, now: float) -> Keys:
    """The keys of `caller` at `now`; without those of a request, such as its source address."""
    keys = caller.condition_keys.copy()
    # "This condition key is not present for federated identities": a second factor is the provider's business.
    if caller.token_issued_at is not None and caller.federated_provider is None:
        _add_mfa(keys, caller, now)
    return keys


def add_request_keys(keys: Keys, facts: RequestFacts) -> None:
    """Add the keys of the transport and of the time."""
    keys["aws:currenttime"], keys["aws:epochtime"] = _moment(int(facts.now))
    keys["aws:securetransport"] = _TRUE if facts.secure_transport else _FALSE
    keys["aws:requestedregion"] = (facts.region,)
    if facts.source_ip:
        keys["aws:sourceip"] = (facts.source_ip,)
    if facts.user_agent:
        keys["aws:useragent"] = (facts.user_agent,)
    if facts.referer:
        keys["aws:referer"] = (facts.referer,)


@lru_cache(maxsize=16)
def _moment(second: int) -> tuple[tuple[str], tuple[str]]:
    return (iso_time(second),), (str(second),)


def _add_mfa(keys: Keys, caller: Caller, now: float) -> None:
    """Only for temporary credentials: with long-term ones the MFA keys are missing, not false."""
    at = caller.mfa_authenticated_at
    keys["aws:multifactorauthpresent"] = _FALSE if at is None else _TRUE
    if at is not None:
        keys["aws:multifactorauthage"] = (str(max(0, int(now) - at)),)


def _add_resource_tags(keys: Keys, resource: Resource) -> None:
    """Tags whose keys differ in case only are one condition key with several values, which no single-valued operator
    can evaluate: an Allow does not allow by it, a Deny denies.
    """
    is_iam = resource.arn.startswith("arn:aws:iam:")
    for key, value in resource.tags.items():
        for_all, for_iam = _resource_tag(key)
        keys[for_all] = values = (*keys.get(for_all, ()), value)
        if is_iam:
            keys[for_iam] = values


@lru_cache(maxsize=1024)
def _resource_tag(key: str) -> tuple[str, str]:
    """The condition keys of a tag: on every resource, and on IAM's."""
    lowered = key.lower()
    return f"aws:resourcetag/{lowered}", f"iam:resourcetag/{lowered}"
