"""The decision: every kind of policy analysed, combined once."""

import enum

import msgspec

from broker.names.principal import Principal
from broker.policy.context import Context
from broker.policy.document import Statement
from broker.policy.index import PolicySet
from broker.policy.statement import Source


class Outcome(enum.Enum):
    """The simulator's three words."""

    ALLOWED = "allowed"
    IMPLICITLY_DENIED = "implicitDeny"
    EXPLICITLY_DENIED = "explicitDeny"


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
    """Who wants to do what. `resource` is an ARN or `*`; `resource_account` its owner, where known."""

    principal: Principal
    action: str
    resource: str
    resource_account: str | None
    context: Context


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


class Match(msgspec.Struct, frozen=True):
    """A statement that matched, and the policy it stands in."""

    source: Source
    statement: Statement
    layer: Layer


class NearMiss(msgspec.Struct, frozen=True):
    """A statement that would have matched but for one condition. `had` is None where the key is missing."""

    source: Source
    statement: Statement
    layer: Layer
    operator: str
    key: str
    had: tuple[str, ...] | None
    wanted: tuple[str, ...]


class LayerAccount(msgspec.Struct, frozen=True):
    """What one layer said: its own outcome, what matched, what came nearest, what was missing."""

    layer: Layer
    outcome: Outcome
    matches: tuple[Match, ...]
    near_misses: tuple[NearMiss, ...]
    missing_keys: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True):
    """The whole account of a decision, in the order of the flow."""

    layers: tuple[LayerAccount, ...]

    @property
    def matches(self) -> tuple[Match, ...]:
        return tuple(match for layer in self.layers for match in layer.matches)

    @property
    def near_misses(self) -> tuple[NearMiss, ...]:
        return tuple(miss for layer in self.layers for miss in layer.near_misses)

    @property
    def missing_keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for layer in self.layers for key in layer.missing_keys))


class Decision(msgspec.Struct, frozen=True):
    """The answer. `deciding` holds what decided it, `layer` what stopped it (None where allowed)."""

    outcome: Outcome
    layer: Layer | None
    deciding: tuple[Match, ...]
    request: AccessRequest
    layers: Layers

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOWED

    def explain(self) -> Explanation:
        """The full reasons, computed now and not before."""
        raise NotImplementedError


def decide(request: AccessRequest, layers: Layers) -> Decision:
    """Total and pure: the same question gets the same answer, with its reasons."""
    raise NotImplementedError
