"""A refusal as pages show it: AWS's sentence, and apart from it the encoded reasons, for who may decode them."""

import msgspec

from broker.errors import Refusal
from broker.operation import model

_REASONS_BEGIN = ". Encoded authorization failure message: "


class ShownRefusal(msgspec.Struct, frozen=True):
    """`encoded_reasons` is "" where there are none."""

    code: str
    message: str
    status: int
    encoded_reasons: str = ""


def shown_refusal(refusal: Refusal) -> ShownRefusal:
    status, _ = model("iam").status_and_fault(refusal)
    message, _, encoded = refusal.message.partition(_REASONS_BEGIN)
    return ShownRefusal(refusal.code, message, status, encoded)
