"""What identity stores are called."""

import re

_STORE_ID = r"d-[0-9a-f]{10}"

is_store_id = re.compile(_STORE_ID).fullmatch
is_identity_store_arn = re.compile(
    rf"arn:aws:identitystore::[0-9]{{12}}:identitystore/{_STORE_ID}", re.ASCII
).fullmatch


def identity_store_arn(account_id: str, store_id: str) -> str:
    return f"arn:aws:identitystore::{account_id}:identitystore/{store_id}"


def no_identity_store(text: str) -> str:
    """For the operator, of a setting."""
    return (
        f"identity_store: {text!r} is not the ARN of an identity store: "
        "arn:aws:identitystore::ACCOUNT:identitystore/d-XXXXXXXXXX"
    )
