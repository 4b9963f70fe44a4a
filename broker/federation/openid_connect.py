"""The portal as a client of OpenID Connect providers: whom to send people to, and codes traded for ID tokens.

RFC 6749 (the code flow), RFC 7636 (PKCE), RFC 9207 (`iss` in answers), OpenID Connect Discovery 1.0, RP-Initiated
Logout 1.0. What a provider says of itself is cached for an hour; an unreachable one is asked again after 15 seconds.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import msgspec

from broker.assertions.sign_in_token import name_in
from broker.assertions.web_identity import WebIdentityClaims
from broker.cache import Cache
from broker.federation.provider_keys import REFRESH_INTERVAL, USUAL_LIFETIME, Fetches
from broker.federation.reach import FetchFailed, Reach, StatusAnswer, require_admitted
from broker.names.identity_store import is_identity_store_arn, no_identity_store
from broker.names.secret import SecretKey
from broker.storage.portal_records import OpenIdConnectIdentity
from broker.strict_json import read_object

# Codes that are traded at a time by each worker: others need the HTTP client, too.
MOST_AT_A_TIME = 16
MOST_PROVIDERS = 100

is_sign_in_name = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?").fullmatch
_is_scope = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+").fullmatch  # RFC 6749, 3.3
_is_error = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}").fullmatch  # RFC 6749, 4.1.2.1


NOT_KEPT = SecretKey("")  # in the place of an ID token


class OpenIdConnectSignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A way to sign in: an entry of `portal.openid_connect`, which `config/broker.toml` explains."""

    name: str
    label: str = ""
    issuer: str
    client_id: str
    client_secret: SecretKey = SecretKey("")
    client_secret_file: str = ""
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    name_claims: tuple[str, ...] = ("preferred_username", "email", "upn", "name", "sub")
    identity_store: str = ""

    @property
    def title(self) -> str:
        return self.label or self.name

    @property
    def path(self) -> str:
        return f"/sign-in/with/{self.name}"

    def secret(self) -> str:
        """The client's secret; "" where the provider knows a public client. Raises FetchFailed."""
        if not self.client_secret_file:
            return self.client_secret.reveal()
        try:
            return Path(self.client_secret_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", "not UTF-8")
            raise FetchFailed(f"{self.client_secret_file} cannot be read: {reason}") from None


def identity_of(
    sign_in: OpenIdConnectSignIn, claims: WebIdentityClaims, id_token: SecretKey = NOT_KEPT
) -> OpenIdConnectIdentity:
    """The person of a token that was verified for this way to sign in."""
    return OpenIdConnectIdentity(
        sign_in=sign_in.name,
        name=name_in(claims, sign_in.name_claims),
        issuer=claims.issuer,
        audience=claims.audience,
        issued_at=claims.issued_at,
        expires_at=claims.expires_at,
        claims=dict(claims.claims),
        id_token=id_token,
    )


def faults_of_openid_connect(sign_ins: Sequence[OpenIdConnectSignIn], reach: Reach) -> Iterator[str]:
    """What is wrong with the entries, each text beginning with the name of the setting."""
    for one in sign_ins:
        if not is_sign_in_name(one.name):
            yield f"openid_connect: {one.name!r} is no name: letters a to z, digits and hyphens, for its URL"
        try:
            require_admitted(one.issuer, reach)
        except FetchFailed as error:
            yield f"openid_connect: the issuer {error}; [federation] plain_http and private_networks admit more"
        if one.identity_store and not is_identity_store_arn(one.identity_store):
            yield f"openid_connect: {no_identity_store(one.identity_store)}"
        if not one.client_id:
            yield f"openid_connect: {one.name} has no client_id"
        if one.client_secret.reveal() and one.client_secret_file:
            yield f"openid_connect: {one.name} has client_secret and client_secret_file; set one of them"
        if "openid" not in one.scopes or not all(map(_is_scope, one.scopes)):
            yield f"openid_connect: the scopes of {one.name} are words, and openid is one of them"


class ProviderEndpoints(msgspec.Struct, frozen=True):
    """What we use of a provider's discovery document. `end_session_endpoint` is "" where it has none."""

    authorization_endpoint: str
    token_endpoint: str
    end_session_endpoint: str = ""
    takes_basic: bool = True
    states_issuer: bool = False


class _Cached(msgspec.Struct, frozen=True):
    """The metadata of a provider, or why there is none, until `good_until`."""

    metadata: ProviderEndpoints | None
    failure: str
    good_until: float


class PostsForms(Fetches, Protocol):
    """A Fetcher."""

    async def post_form(
        self, url: str, secret_form: Mapping[str, str], headers: Mapping[str, str]
    ) -> StatusAnswer: ...


class OpenIdConnectClients:
    """Asks providers on behalf of the portal."""

    def __init__(self, client: PostsForms, clock: Callable[[], float], reach: Reach) -> None:
        self._client = client
        self._clock = clock
        self._reach = reach
        self._cache: Cache[str, _Cached] = Cache(MOST_PROVIDERS)
        self._asking = 0

    async def metadata(self, issuer: str) -> ProviderEndpoints:
        """Raises FetchFailed."""
        now = self._clock()
        known = self._cache.get(issuer)
        if known is None or not known.good_until - USUAL_LIFETIME <= now < known.good_until:
            try:
                known = _Cached(await self._fetch(issuer), "", now + USUAL_LIFETIME)
            except FetchFailed as error:
                known = _Cached(None, str(error), now + REFRESH_INTERVAL)
            self._cache.put(issuer, known)
        if known.metadata is None:
            raise FetchFailed(known.failure)
        return known.metadata

    async def _fetch(self, issuer: str) -> ProviderEndpoints:
        location = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        answer = await self._client.get(location)
        try:
            document = read_object(answer.body)
        except ValueError as error:
            raise FetchFailed(f"{location}: {error}") from None
        return parse_metadata(document, issuer, self._reach)

    async def redeem(
        self,
        sign_in: OpenIdConnectSignIn,
        metadata: ProviderEndpoints,
        code: str,
        verifier: str,
        returned_to: str,
    ) -> str:
        """The ID token, unverified, for a code; `returned_to` is the redirect URI it came by. Raises FetchFailed."""
        if self._asking >= MOST_AT_A_TIME:
            raise FetchFailed(f"{MOST_AT_A_TIME} codes are being traded already")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": returned_to,
            "code_verifier": verifier,
        }
        headers = authenticate(form, sign_in, takes_basic=metadata.takes_basic)
        self._asking += 1
        try:
            answer = await self._client.post_form(metadata.token_endpoint, form, headers)
        finally:
            self._asking -= 1
        return id_token_of(answer)


def parse_metadata(document: Mapping[str, Any], issuer: str, reach: Reach) -> ProviderEndpoints:
    """Raises FetchFailed where the document is another issuer's, or names no endpoint that may be used."""
    if document.get("issuer") != issuer:
        raise FetchFailed(f"the discovery document is of {document.get('issuer')!r}, not of {issuer}")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    end_session = document.get("end_session_endpoint", "")
    return ProviderEndpoints(
        _endpoint(document, "authorization_endpoint", reach),
        _endpoint(document, "token_endpoint", reach),
        _endpoint(document, "end_session_endpoint", reach) if end_session else "",
        takes_basic="client_secret_basic" in methods if type(methods) is list else True,
        states_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(document: Mapping[str, Any], name: str, reach: Reach) -> str:
    """The URL of an endpoint. Browsers are sent to two of them, so nothing but http and https counts."""
    url = document.get(name)
    if type(url) is not str or not url.isascii() or not url.isprintable() or urlsplit(url).fragment:
        raise FetchFailed(f"the discovery document names no {name}")
    require_admitted(url, reach)
    return url


def authenticate(form: dict[str, str], sign_in: OpenIdConnectSignIn, *, takes_basic: bool) -> dict[str, str]:
    """The headers that authenticate the client (RFC 6749, 2.3.1), or its credentials put into `form`."""
    secret = sign_in.secret()
    if secret and takes_basic:
        login = f"{quote(sign_in.client_id, safe='')}:{quote(secret, safe='')}"
        return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
    form["client_id"] = sign_in.client_id
    if secret:
        form["client_secret"] = secret
    return {}


def id_token_of(answer: StatusAnswer) -> str:
    """Raises FetchFailed for anything but a successful answer with an ID token."""
    try:
        found = read_object(answer.body)
    except ValueError as error:
        raise FetchFailed(f"the token endpoint answered {answer.status}: {error}") from None
    if answer.status != 200:
        raise FetchFailed(f"the token endpoint answered {answer.status}: {shown_error(found.get('error'))}")
    token = found.get("id_token")
    if type(token) is not str or not token:
        raise FetchFailed("the token endpoint's answer has no id_token; is openid among the scopes?")
    return token


def shown_error(unverified_error: object) -> str:
    """An error code of a provider for the journal, if it is one."""
    is_code = isinstance(unverified_error, str) and _is_error(unverified_error)
    return str(unverified_error) if is_code else "no error code"
