"""A refusal as pages show it: AWS's sentence, and apart from it the encoded reasons, for who may decode them."""

import re

import msgspec

from broker.errors import Refusal
from broker.operation import model

# How the sentences of IAM and of the models' constraints name a member of the request.
_find_member = re.compile(r"[Vv]alue (?:at '|for )(\w+)").search
_REASONS_BEGIN = ". Encoded authorization failure message: "


class ShownRefusal(msgspec.Struct, frozen=True):
    """`encoded_reasons` is "" where there are none; `member` is that of the request at fault, in small letters."""

    code: str
    message: str
    status: int
    encoded_reasons: str = ""
    member: str = ""


def shown_refusal(refusal: Refusal) -> ShownRefusal:
    status, _ = model("iam").status_and_fault(refusal)
    message, _, encoded = refusal.message.partition(_REASONS_BEGIN)
    named = _find_member(message)
    return ShownRefusal(refusal.code, message, status, encoded, named[1].lower() if named else "")
