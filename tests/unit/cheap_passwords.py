"""Passwords whose hashes cost as little as argon2 allows: what is examined is not how long they take."""

import secrets

from broker.credentials.passwords import Passwords, PasswordSettings

CHEAP = {"memory_kib": 32, "passes": 1}


def cheap_passwords(**settings: int) -> Passwords:
    return Passwords(PasswordSettings(**{**CHEAP, **settings}), secrets.token_bytes)
