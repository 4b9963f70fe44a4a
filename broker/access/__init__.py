"""Who calls, which policies apply to the caller, and the one gate that asks the policy engine.

Never decides by itself: `broker.policy.decide` does. Obeys "Policy evaluation logic" of the IAM User Guide.
"""
