"""Refusals that several operations share, in AWS's words where these are known."""

from broker.errors import Refusal


def trail_not_found(name: str, account: str) -> Refusal:
    return Refusal("TrailNotFoundException", f"Unknown trail: {name} for the user: {account}")


def invalid_name(message: str) -> Refusal:
    return Refusal("InvalidTrailNameException", message)


def invalid_selectors(message: str) -> Refusal:
    return Refusal("InvalidEventSelectorsException", message)


def unsupported(message: str) -> Refusal:
    return Refusal("UnsupportedOperationException", message)


def invalid_token() -> Refusal:
    return Refusal("InvalidTokenException", "The token is not one of this operation.")
