"""Facts for a judgement: who calls, which policies speak about them, and the one gate that asks the engine.

Never decides by itself: `broker.policy.decide` does. Obeys "Policy evaluation logic" of the IAM User Guide.
"""
