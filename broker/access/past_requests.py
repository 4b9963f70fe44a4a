"""Requests of the past, as the journal has them, to be judged again with another document of a policy.

The journal does not hold a request's whole context. Whoever judges it has to say what is not certain for that reason.
"""

import msgspec

from broker.access.caller import Keys
from broker.protocol.shapes.iam import SimulatePrincipalPolicyRequest


class PastRequest(msgspec.Struct, frozen=True):
    """`resources` are what the record names: a kind, and a name or an ARN. `keys` are the condition keys that it holds.

    `absent` are keys that the request is known not to have had.
    """

    action: str
    resources: tuple[tuple[str, str], ...]
    keys: Keys
    absent: frozenset[str] = frozenset()


class ReplayRequest(SimulatePrincipalPolicyRequest, frozen=True, kw_only=True):
    """What SimulatePrincipalPolicy is asked for past requests; only the console asks it.

    `policy_exclusion_list` names the policy that would have another document, `policy_input_list` holds that document.
    """

    past: tuple[PastRequest, ...]


class Replayed(msgspec.Struct, frozen=True):
    """Whether it is allowed with the present document, and with the other one; None where that is not certain."""

    before: bool | None
    after: bool | None


class ReplayAnswer(msgspec.Struct, frozen=True):
    """One for each request, in their order."""

    replayed: tuple[Replayed, ...]
