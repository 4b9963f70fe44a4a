"""Custom policy checks: what a policy newly allows, whether it grants given access, whether it is public.

Owns the questions of IAM Access Analyzer's CheckNoNewAccess, CheckAccessNotGranted and CheckNoPublicAccess over the
engine's own policies. Exact automata find the classes of texts that patterns tell apart, z3 decides the logic of
statements over them, and the engine confirms every example. A check passes only where it is shown that no request
fails it.
"""

from broker.policy.solver.checks import (
    WITH_PRINCIPALS,
    CheckAnswer,
    CheckedAccess,
    CheckReason,
    CustomCheck,
    ParameterFault,
    UnreadableParameter,
    check_policy,
    undecided_answer,
)
from broker.policy.solver.satisfying import has_solver

__all__ = [
    "WITH_PRINCIPALS",
    "CheckAnswer",
    "CheckReason",
    "CheckedAccess",
    "CustomCheck",
    "ParameterFault",
    "UnreadableParameter",
    "check_policy",
    "has_solver",
    "undecided_answer",
]
