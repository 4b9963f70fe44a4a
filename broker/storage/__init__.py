"""Memory that lasts: engines over bytes, a seal around them, typed records and transactions above.

An engine knows partitions, keys and bytes, and nothing of IAM. Types, sealing and caches live above the engines,
once. This room never decides who may do what.
"""
