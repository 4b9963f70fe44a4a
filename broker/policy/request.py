"""What is asked, and of which policies."""

import enum

import msgspec

from broker.names.principal import Principal
from broker.policy.context import Keyed
from broker.policy.index import PolicySet


class Outcome(enum.Enum):
    """The simulator's three words."""

    ALLOWED = "allowed"
    IMPLICITLY_DENIED = "implicitDeny"
    EXPLICITLY_DENIED = "explicitDeny"


# As for `Standing`: a member is found sooner by a name of its own.
ALLOWED, IMPLICITLY_DENIED, EXPLICITLY_DENIED = Outcome


class Layer(enum.StrEnum):
    """The kinds of policy, in the order in which AWS's flow asks them."""

    SERVICE = "service"  # a rule of the service itself, such as the guard of AWS-managed policies
    RCP = "rcp"
    SCP = "scp"
    ENDPOINT = "endpoint"
    RESOURCE = "resource"
    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SESSION = "session"


class AccessRequest(msgspec.Struct, frozen=True):
    """Who wants to do what. `resource` is an ARN or `*`; `resource_account` its owner, where known.

    `federated_by` is the ARN of the user who made a federated session; `canonical_user_id` that of the
    principal's account, which only policies with CanonicalUser ask for.
    """

    principal: Principal
    action: str
    resource: str
    resource_account: str | None
    context: Keyed
    federated_by: str = ""
    canonical_user_id: str = ""


class Layers(msgspec.Struct, frozen=True):
    """Every policy that speaks about a request. None means that no policy of this kind applies."""

    identity: PolicySet
    boundary: PolicySet | None = None
    session: PolicySet | None = None  # the union of inline and managed session policies
    resource: PolicySet | None = None
    scps: tuple[PolicySet, ...] = ()  # one per level of the hierarchy: each must allow
    rcps: tuple[PolicySet, ...] = ()
    endpoint: PolicySet | None = None
    is_management_account: bool = False  # the principal's account: exempt from SCPs
    is_service_linked_role: bool = False  # exempt from SCPs and RCPs
    is_resource_in_management_account: bool = False  # exempt from RCPs
