"""The input of a decision: the request, and the policies of each layer."""

import enum

import msgspec

from broker.names.principal import Principal, account_of
from broker.policy.context import Keyed
from broker.policy.index import PolicySet
from broker.policy.principals import Names, bounded_names, names_of, usual_names


class Outcome(enum.Enum):
    """The outcomes, with the simulator's names."""

    ALLOWED = "allowed"
    IMPLICITLY_DENIED = "implicitDeny"
    EXPLICITLY_DENIED = "explicitDeny"


# As for `Grant`: a module global is faster than a look-up through the class.
ALLOWED, IMPLICITLY_DENIED, EXPLICITLY_DENIED = Outcome


class Layer(enum.StrEnum):
    """The kinds of policy, in AWS's order of evaluation."""

    SERVICE = "service"  # a rule of the service itself, such as the protection of AWS managed policies
    RCP = "rcp"
    SCP = "scp"
    ENDPOINT = "endpoint"
    RESOURCE = "resource"
    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SESSION = "session"
    SCOPE = "scope"


class AccessRequest(msgspec.Struct, frozen=True):
    """Principal, action and resource (an ARN or `*`); `resource_account` is its owner, None where it is not known.

    `federated_by` is the ARN of the user who made a federated session, `federated_by_id` its unique id; both are
    empty where the root user did. `canonical_user_id` is that of the principal's account, which only policies with
    CanonicalUser read.
    """

    principal: Principal
    action: str
    resource: str
    resource_account: str | None
    context: Keyed
    federated_by: str = ""
    federated_by_id: str = ""
    canonical_user_id: str = ""


class Layers(msgspec.Struct, frozen=True, gc=False):
    """Every policy that applies to a request. None means that no policy of this kind applies."""

    identity: PolicySet
    boundary: PolicySet | None = None
    session: PolicySet | None = None  # the union of inline and managed session policies
    resource: PolicySet | None = None
    scps: tuple[PolicySet, ...] = ()  # one per level of the hierarchy: each must allow
    rcps: tuple[PolicySet, ...] = ()
    scopes: tuple[PolicySet, ...] = ()  # scope down policies of the session: each must allow
    endpoint: PolicySet | None = None
    is_management_account: bool = False  # the principal's account: exempt from SCPs
    is_service_linked_role: bool = False  # exempt from SCPs and RCPs
    is_resource_in_management_account: bool = False  # exempt from RCPs


def names_in(request: AccessRequest, layers: Layers) -> Names:
    """The names by which policies can name the caller."""
    has_boundary = layers.boundary is not None
    if not (request.federated_by or request.federated_by_id or request.canonical_user_id):
        return (bounded_names if has_boundary else usual_names)(request.principal)
    federated_by = tuple(filter(None, (request.federated_by, request.federated_by_id)))
    return names_of(request.principal, has_boundary, federated_by, request.canonical_user_id)


def are_scps_exempted(principal: Principal, layers: Layers) -> bool:
    """Organizations user guide, "Tasks and entities not restricted by SCPs".

    SCPs limit the users and roles of an account: services, federated subjects and anonymous callers are in none.
    """
    is_in_no_account = account_of(principal) is None
    return is_in_no_account or layers.is_management_account or layers.is_service_linked_role


def are_rcps_exempted(layers: Layers) -> bool:
    """Organizations user guide, "Resources and entities not restricted by RCPs"."""
    return layers.is_resource_in_management_account or layers.is_service_linked_role
