"""A bounded cache of derived signing keys, owned by the application."""


class SigningKeys:
    """Derived keys, least recently used first out; `SigningKeys(capacity=4096)`."""

    def __init__(self, capacity: int = 4096) -> None:
        self.capacity = capacity
