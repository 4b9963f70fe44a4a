"""Refusals of `identitystore`, in the words of its model."""

from broker.errors import Refusal


def invalid(message: str) -> Refusal:
    return Refusal("ValidationException", message)


def resource_not_found(kind: str, message: str) -> Refusal:
    """`kind` is the model's ResourceType."""
    return Refusal("ResourceNotFoundException", message, members={"ResourceType": kind})


def no_such_store(store_id: str) -> Refusal:
    return resource_not_found("IDENTITY_STORE", f"IdentityStore {store_id} not found.")
