"""Questions about policies: what would be decided, which condition keys are read, which services are reached.

Owns the operations of AWS's IAM API 2010-05-08 that ask so and change nothing: Simulate..., GetContextKeysFor... and
ListPoliciesGrantingServiceAccess, and what a simulation may cost. A caller asks about entities of the own account; the
gate has allowed the question before it is answered.

Never decides: the layers are the gate's (`access.gather`), the decision is the engine's (`broker.policy`). Importing
this package declares its operations.
"""

from broker.simulator import policy_reading, simulation

__all__ = ["policy_reading", "simulation"]
