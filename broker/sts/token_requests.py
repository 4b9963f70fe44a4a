"""Parses requests to an account's OAuth endpoints, which are forms. Nothing in them is proven.

RFC 6749, 3.2 and 5.2: a parameter without a value counts as left out, one that is not known is ignored, and none may be
there twice; RFC 8693, 2.1, lets `audience` be repeated. What a client may ask for and does not get is refused.

Refusals of these endpoints have the RFCs' codes (RFC 6749, 5.2; RFC 8693, 2.2.2), not AWS's.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from broker.access.assumable import account_of_role
from broker.errors import Refusal
from broker.protocol.form import parse_form

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105

_REGISTERED = "urn:ietf:params:oauth:token-type:"
JWT, ID_TOKEN, SAML2, ACCESS_TOKEN = (
    f"{_REGISTERED}{kind}" for kind in ("jwt", "id_token", "saml2", "access_token")
)
# The broker's own types, where RFCs have none: credentials that sign requests, and a request signed with them.
CREDENTIALS = "urn:x-aws:token-type:credentials"
SIGNED_REQUEST = "urn:x-aws:token-type:signed-request"

SUBJECT_TOKEN_TYPES = (JWT, ID_TOKEN, SAML2, ACCESS_TOKEN, SIGNED_REQUEST)
ISSUED_TOKEN_TYPES = (ACCESS_TOKEN, JWT, CREDENTIALS)

MOST_POLICIES = 10  # session policies, as AssumeRole takes them
MOST_AUDIENCES = 10
LONGEST_AUDIENCE = 1000  # characters, as GetWebIdentityToken takes them
SHORTEST_TOKEN_LIFE, LONGEST_TOKEN_LIFE = 60, 3600  # seconds, as GetWebIdentityToken takes them

_MOST_PARAMETERS = 100
_SHORT, _LONGEST_NAME = ("resource", "role_session_name", "principal_arn"), 2048  # characters, as of an ARN
_REPEATABLE = frozenset({"audience"})
_is_policy_arn = re.compile(r"arn:[\x21\x23-\x5b\x5d-\x7e]{16,2044}").fullmatch
_is_duration = re.compile(r"[1-9][0-9]{0,4}", re.ASCII).fullmatch

Parameters = Mapping[str, Sequence[str]]


class ExchangeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The subject token and the requested token; `duration` in seconds.

    `role_arn` is of a role of the issuer's account, `policy_arns` are the managed policies that limit the session.
    `audience` is empty where credentials are requested.
    """

    unverified_subject_token: str
    subject_token_type: str
    issued_token_type: str
    role_arn: str
    audience: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    role_session_name: str | None = None
    provider_arn: str | None = None
    duration: int | None = None

    def __repr__(self) -> str:
        return f"ExchangeRequest({self.role_arn}, ***)"  # without the subject token


def invalid_request(message: str, *, reason: str = "") -> Refusal:
    return Refusal("invalid_request", message, reason=reason)


def read_parameters(unverified_body: bytes) -> Parameters:
    """The parameters of a form; raises invalid_request for an invalid form or a repeated parameter."""
    parts = unverified_body.split(b"&", _MOST_PARAMETERS)
    if len(parts) > _MOST_PARAMETERS:
        raise invalid_request(f"The form has more than {_MOST_PARAMETERS} parameters.")
    parameters: dict[str, list[str]] = {}
    for part in parts:
        try:
            pairs = parse_form(part)
        except Refusal as refusal:
            raise invalid_request("The form contains a syntax error.", reason=refusal.reason) from None
        for name, value in pairs.items():
            if value:
                parameters.setdefault(name, []).append(value)
    for name, values in parameters.items():
        if len(values) > 1 and name not in _REPEATABLE:
            raise invalid_request("A parameter is there more than once.", reason=f"repeated: {name[:64]}")
    return parameters


def required(parameters: Parameters, name: str) -> str:
    value = find(parameters, name)
    if value is None:
        raise invalid_request(f"The parameter {name} is missing.")
    return value


def find(parameters: Parameters, name: str) -> str | None:
    values = parameters.get(name)
    return values[0] if values else None


def read_exchange(parameters: Parameters, account: str) -> ExchangeRequest:
    """The request to the issuer of `account`; raises Refusal with the RFCs' codes."""
    for name in _SHORT:
        if len(find(parameters, name) or "") > _LONGEST_NAME:
            raise invalid_request(f"The parameter {name} is too long.")
    if required(parameters, "grant_type") != TOKEN_EXCHANGE:
        raise Refusal("unsupported_grant_type", f"The only grant type is {TOKEN_EXCHANGE}.")
    if "actor_token" in parameters or "actor_token_type" in parameters:
        raise invalid_request("This broker takes no actor token.")
    subject_token_type = _one_of(parameters, "subject_token_type", SUBJECT_TOKEN_TYPES)
    issued_token_type = ACCESS_TOKEN
    if "requested_token_type" in parameters:
        issued_token_type = _one_of(parameters, "requested_token_type", ISSUED_TOKEN_TYPES)
    return ExchangeRequest(
        unverified_subject_token=required(parameters, "subject_token"),
        subject_token_type=subject_token_type,
        issued_token_type=issued_token_type,
        role_arn=_role_arn(required(parameters, "resource"), account),
        audience=_audience(parameters.get("audience", ()), issued_token_type),
        policy_arns=_policy_arns(find(parameters, "scope") or ""),
        role_session_name=_role_session_name(parameters, subject_token_type),
        provider_arn=_provider_arn(parameters, subject_token_type),
        duration=_duration(find(parameters, "duration"), issued_token_type),
    )


def _one_of(parameters: Parameters, name: str, known: Sequence[str]) -> str:
    value = required(parameters, name)
    if value not in known:
        raise invalid_request(f"The {name} has to be one of: {', '.join(known)}")
    return value


def _role_arn(resource: str, account: str) -> str:
    try:
        is_of_account = account_of_role(resource) == account
    except Refusal:
        is_of_account = False
    if not is_of_account:
        raise Refusal("invalid_target", "The resource has to be the ARN of a role of this issuer's account.")
    return resource


def _audience(audience: Sequence[str], issued_token_type: str) -> tuple[str, ...]:
    if issued_token_type == CREDENTIALS:
        if audience:
            raise invalid_request("Credentials have no audience.")
        return ()
    if not audience:
        raise invalid_request("The parameter audience is missing: for whom is the token?")
    if len(audience) > MOST_AUDIENCES or any(len(one) > LONGEST_AUDIENCE for one in audience):
        raise Refusal(
            "invalid_target",
            f"At most {MOST_AUDIENCES} audiences, of at most {LONGEST_AUDIENCE} characters each.",
        )
    return tuple(audience)


def _policy_arns(scope: str) -> tuple[str, ...]:
    arns = tuple(scope.split(" ")) if scope else ()
    if len(arns) > MOST_POLICIES or not all(map(_is_policy_arn, arns)):
        raise Refusal(
            "invalid_scope",
            f"The scope has to be ARNs of managed policies, at most {MOST_POLICIES}, separated by one space each.",
        )
    return arns


def _role_session_name(parameters: Parameters, subject_token_type: str) -> str | None:
    name = find(parameters, "role_session_name")
    if name is not None and subject_token_type == SAML2:
        raise invalid_request("A SAML assertion names the session itself: leave role_session_name out.")
    return name


def _provider_arn(parameters: Parameters, subject_token_type: str) -> str | None:
    if subject_token_type == SAML2:
        return required(parameters, "principal_arn")
    if "principal_arn" in parameters:
        raise invalid_request("The parameter principal_arn belongs to SAML assertions.")
    return None


def _duration(text: str | None, issued_token_type: str) -> int | None:
    if text is None:
        return None
    if not _is_duration(text):
        raise invalid_request("The duration has to be a number of seconds.")
    duration = int(text)
    is_token = issued_token_type != CREDENTIALS
    if is_token and not SHORTEST_TOKEN_LIFE <= duration <= LONGEST_TOKEN_LIFE:
        raise invalid_request(
            f"The duration of a token has to be {SHORTEST_TOKEN_LIFE} to {LONGEST_TOKEN_LIFE} seconds."
        )
    return duration
