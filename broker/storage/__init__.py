"""The store: engines that hold bytes, a sealing layer around them, typed records and transactions above.

An engine knows partitions, keys and bytes, and nothing of IAM. Types, sealing and caching are above the engines, so
each is written once. This room never decides who may do what.
"""
