"""Refusals that several operations share."""

from broker.errors import Refusal


def invalid(message: str) -> Refusal:
    return Refusal("ValidationException", message)


def not_found(what: str) -> Refusal:
    return Refusal("ResourceNotFoundException", f"{what[:1].upper()}{what[1:]} was not found.")


def conflict(message: str) -> Refusal:
    return Refusal("ConflictException", message)
