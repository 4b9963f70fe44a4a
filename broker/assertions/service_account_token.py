"""Service account tokens of Kubernetes for EKS Pod Identity ("Bound service account tokens", KEP-1205).

The token is an ID token of the cluster's issuer with the claim `kubernetes.io`, which says for which pod it was made.
It is good for what holds it: who else has the file, has the pod's role until it expires. So its audience and its pod
are required, and the node where the token names one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from broker.assertions.checks import Checks
from broker.assertions.json_web_token import verify_signature
from broker.assertions.key_sets import VerificationKey
from broker.assertions.unverified_token import UnverifiedToken
from broker.assertions.web_identity import LEEWAY, verify_times
from broker.names.principal import POD_IDENTITY
from broker.strict_json import read_object

AUDIENCE = POD_IDENTITY

_CLAIM = "kubernetes.io"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_LONGEST_NAME = 253  # characters; names of Kubernetes are DNS subdomain names (RFC 1123)
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")


class PodClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The pod that a token was made for; only `verify_service_account_token` makes one. Times are epoch seconds.

    `node_name` is "" where the token names none (Kubernetes before 1.29 or so).
    """

    namespace: str
    service_account: str
    pod_name: str
    pod_uid: str
    node_name: str
    issued_at: int
    expires_at: int

    @property
    def subject(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.service_account}"


def verify_service_account_token(
    token: UnverifiedToken,
    keys: Sequence[VerificationKey] | None,
    *,
    issuer: str,
    now: float,
    checks: Checks,
    leeway: int = LEEWAY,
) -> PodClaims:
    """The pod of the token, if `issuer` made it for Pod Identity and it is valid now; raises CheckFailed.

    `keys` None only where the cluster's API server has said of this very token that it is good (a TokenReview).
    """
    claims = token.claims
    checks.require("issuer", claims.get("iss") == issuer, found=claims.get("iss"), wanted=issuer)
    if keys is not None:
        verify_signature(token, keys, checks)
    issued_at, expires_at = verify_times(claims, now, leeway, checks)
    stated = claims.get("aud")
    audience = stated if type(stated) is list else [stated]
    checks.require("audience", AUDIENCE in audience, found=stated, wanted=AUDIENCE)
    bound = claims.get(_CLAIM)
    if type(bound) is not dict:
        raise checks.fail(_CLAIM, found=type(bound).__name__, wanted="what the token is bound to")
    pod = PodClaims(
        namespace=_name(bound, ("namespace",), checks),
        service_account=_name(bound, ("serviceaccount", "name"), checks),
        pod_name=_name(bound, ("pod", "name"), checks),
        pod_uid=_name(bound, ("pod", "uid"), checks),
        node_name=_name(bound, ("node", "name"), checks) if bound.get("node") is not None else "",
        issued_at=issued_at,
        expires_at=expires_at,
    )
    checks.require("subject", claims.get("sub") == pod.subject, found=claims.get("sub"), wanted=pod.subject)
    return pod


def verify_review(unverified_answer: bytes, pod: PodClaims, checks: Checks) -> None:
    """Raises CheckFailed unless the TokenReview says that the token is good, for Pod Identity, and of this pod."""
    try:
        status = read_object(unverified_answer).get("status")
    except ValueError as error:
        raise checks.fail("review", found=error, wanted="a TokenReview") from None
    if type(status) is not dict:
        raise checks.fail("review", found="no status", wanted="a TokenReview")
    is_good = status.get("authenticated") is True
    checks.require(
        "review", is_good, found=status.get("error") or "not authenticated", wanted="authenticated"
    )
    audiences = status.get("audiences")
    stated = audiences if type(audiences) is list else []
    checks.require("reviewed audience", AUDIENCE in stated, found=stated, wanted=AUDIENCE)
    user = status.get("user")
    name = user.get("username") if type(user) is dict else None
    checks.require("reviewed user", name == pod.subject, found=name, wanted=pod.subject)
    extra = user.get("extra") if type(user) is dict else None
    uid = extra.get(_POD_UID) if type(extra) is dict else None
    checks.require("reviewed pod", uid in (None, [pod.pod_uid]), found=uid, wanted=pod.pod_uid)


def _name(bound: Mapping[str, Any], path: tuple[str, ...], checks: Checks) -> str:
    value: Any = bound
    for step in path:
        value = value.get(step) if type(value) is dict else None
    label = ".".join((_CLAIM, *path))
    is_name = type(value) is str and 0 < len(value) <= _LONGEST_NAME and _NAME_CHARACTERS.issuperset(value)
    checks.require(label, is_name, found=value, wanted="a name of Kubernetes")
    assert isinstance(value, str)
    return value
