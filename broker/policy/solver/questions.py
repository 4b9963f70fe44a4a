"""What is asked of the solver, and the request that it answers with."""

import msgspec

from broker.policy.elements import Policy
from broker.policy.solver.callers import RepresentativeCaller
from broker.policy.solver.keys import IsExcluded, KeyCondition

Known = dict[str, str | None]  # the value of each key; None for a missing one
Values = dict[str, tuple[str, ...]]


def nothing_excluded(condition: KeyCondition, value: str) -> bool:
    return False


class PolicyQuestion(msgspec.Struct, frozen=True):
    """Is there a request that `policy` allows and `reference` does not? Without a reference, one that it allows.

    `actions` (in lower case) and `resources` are patterns of what is asked about, none for anything. `is_resource`: the
    policies name principals. `is_public`: only what anybody may send is asked about, where `is_excluded` says which
    values of keys are somebody's. `known` are keys whose value is given. `is_relaxed`: operators of several families on
    one key are taken apart.
    """

    policy: Policy
    reference: Policy | None = None
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    is_resource: bool = False
    is_public: bool = False
    is_excluded: IsExcluded = nothing_excluded
    known: Known = msgspec.field(default_factory=dict)
    is_relaxed: bool = True


class ExampleRequest(msgspec.Struct, frozen=True):
    """`values` are those of the keys that the request has; `caller` is None where policies name no principals."""

    action: str
    resource: str
    caller: RepresentativeCaller | None
    values: Values
