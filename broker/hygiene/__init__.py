"""Credential hygiene: what of an account's credentials, policies and roles should be mended.

Owns the rules, as rows of one table, that `broker hygiene` and the console's overview show. Never changes or stores
anything: findings are made of the records when they are asked for.
"""

from broker.hygiene import pages

__all__ = ["pages"]
