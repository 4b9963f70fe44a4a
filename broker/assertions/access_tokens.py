"""What Login with Amazon and Facebook say of an OAuth 2.0 access token, read strictly.

Access tokens are opaque: only the provider knows whose they are, and of which application. Login with Amazon, "Access
Token" (tokeninfo); Facebook, Graph API (/app and /me).
"""

from typing import Any

import msgspec

from broker.assertions.checks import Checks
from broker.strict_json import read_object

LONGEST_ID = 255  # characters

_AMAZON_ISSUER = "https://www.amazon.com"


class TokenOwner(msgspec.Struct, frozen=True):
    """Whose token it is, and the application that it was issued to."""

    app_id: str
    user_id: str


def read_token_info(status: int, body: bytes, checks: Checks) -> TokenOwner:
    """From Login with Amazon's tokeninfo; raises CheckFailed, and ValueError for what is no answer."""
    answer = _read(status, body, checks)
    issuer = answer.get("iss")
    checks.require("issuer", issuer == _AMAZON_ISSUER, found=issuer, wanted=_AMAZON_ISSUER)
    seconds_left = answer.get("exp")
    checks.require(
        "expiry",
        type(seconds_left) is int and seconds_left > 0,
        found=seconds_left,
        wanted="seconds that the token is good for",
    )
    return TokenOwner(_id(answer, "app_id", "application", checks), _id(answer, "user_id", "subject", checks))


def read_id(status: int, body: bytes, name: str, checks: Checks) -> str:
    """The id in an answer of Facebook's Graph API, `name` being the check; raises as `read_token_info`."""
    return _id(_read(status, body, checks), "id", name, checks)


def _read(status: int, body: bytes, checks: Checks) -> dict[str, Any]:
    checks.require(
        "token",
        status not in (400, 401, 403),
        found=f"the provider answers {status}" if status != 200 else "the provider knows it",
        wanted="a token that is good at the provider",
    )
    if status != 200:
        raise ValueError(f"status {status}")
    return read_object(body)


def _id(answer: dict[str, Any], member: str, name: str, checks: Checks) -> str:
    found = answer.get(member)
    checks.require(
        name,
        type(found) is str and 0 < len(found) <= LONGEST_ID and found.isascii() and found.isprintable(),
        found=found,
        wanted=f"{member}, a text of at most {LONGEST_ID} characters",
    )
    assert isinstance(found, str)
    return found
