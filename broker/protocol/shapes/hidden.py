"""The repr of structs that hold what the model calls `sensitive`."""

import msgspec


def hidden_repr(struct: msgspec.Struct, secrets: tuple[str, ...]) -> str:
    """As msgspec prints a struct, with `***` in place of each of `secrets` that is set."""
    shown = []
    for field in struct.__struct_fields__:
        value = getattr(struct, field)
        shown.append(f"{field}=***" if field in secrets and value is not None else f"{field}={value!r}")
    return f"{type(struct).__name__}({', '.join(shown)})"
