"""What SAML providers of the tests have in common: users, service providers, a person's way to a response."""

import secrets
import zlib
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.identity_providers.browser import Browser, Form
from tests.identity_providers.certificates import KeyPair
from tests.ports import free_port

AUDIENCE = "urn:amazon:webservices"
CONSUMER_URL = "https://signin.aws.amazon.com/saml"
AWS = "https://aws.amazon.com/SAML/Attributes/"

Attributes = Mapping[str, Sequence[str]]


def aws_attributes(
    roles: Sequence[str],
    session_name: str,
    *,
    duration: int | None = None,
    tags: Mapping[str, str] | None = None,
    transitive: Sequence[str] = (),
    source_identity: str | None = None,
) -> dict[str, list[str]]:
    """The attributes that AssumeRoleWithSAML reads; each of `roles` is `ROLE_ARN,PROVIDER_ARN`."""
    found = {f"{AWS}Role": list(roles), f"{AWS}RoleSessionName": [session_name]}
    if duration is not None:
        found[f"{AWS}SessionDuration"] = [str(duration)]
    found |= {f"{AWS}PrincipalTag:{key}": [value] for key, value in (tags or {}).items()}
    if transitive:
        found[f"{AWS}TransitiveTagKeys"] = list(transitive)
    if source_identity is not None:
        found[f"{AWS}SourceIdentity"] = [source_identity]
    return found


@dataclass(frozen=True)
class User:
    """A person who signs in by password."""

    password: str
    attributes: Attributes


@dataclass(frozen=True)
class ServiceProvider:
    """Whom a provider makes responses for, and how it protects them. With `encrypts_to` the assertion is encrypted.

    `signs_with` (base64) is the certificate whose key has to sign requests; "" where they are not verified.
    """

    entity_id: str = AUDIENCE
    consumer_url: str = CONSUMER_URL
    signs_response: bool = False
    signs_assertion: bool = True
    signature_algorithm: str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
    encrypts_to: KeyPair | None = None
    signs_with: str = ""


class SamlProvider(ABC):
    """A provider at a free port, and who is known to it. What is added while it runs is in force at once."""

    def __init__(self, folder: Path, *, metadata_path: str, sign_on_path: str, name: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.entity_id = f"{self.url}{metadata_path}"
        self.sign_on_url = f"{self.url}{sign_on_path}"
        self.key_file, self.certificate_file = KeyPair(name).write(folder, "idp")
        self.users: dict[str, User] = {}
        self.consumers: dict[str, ServiceProvider] = {}

    @abstractmethod
    def write(self) -> None:
        """The users and the service providers, to where the provider reads them."""

    def add_user(self, name: str, user: User) -> None:
        self.users[name] = user
        self.write()

    def add_consumer(self, consumer: ServiceProvider) -> None:
        """Makes the service provider known, or changes what is known of it."""
        self.consumers[consumer.entity_id] = consumer
        self.write()

    def metadata(self) -> str:
        """What it publishes of itself."""
        with urlopen(self.entity_id, timeout=20) as answer:
            return str(answer.read().decode())

    def is_ready(self) -> bool:
        return self.entity_id in self.metadata()

    def sign_in(self, name: str, consumer: ServiceProvider, relay_state: str = "") -> Form:
        """IdP-initiated: the person begins at the provider."""
        self.add_consumer(consumer)
        parameters = {"spentityid": consumer.entity_id, "RelayState": relay_state}
        query = urlencode({key: value for key, value in parameters.items() if value})
        return self.sign_in_at(f"{self.sign_on_url}?{query}", name)

    def answer_request(self, name: str, consumer: ServiceProvider, relay_state: str = "") -> tuple[str, Form]:
        """SP-initiated: the ID of the request that the service provider made, and the form that answers it."""
        self.add_consumer(consumer)
        request_id, url = authentication_request(consumer, self.sign_on_url, relay_state)
        return request_id, self.sign_in_at(url, name)

    def sign_in_at(self, url: str, name: str, browser: Browser | None = None) -> Form:
        """The form that the browser would post to the service provider, after `name` has signed in at `url`."""
        browser = browser or Browser()
        page = browser.submit(
            browser.get(url).form("password"), username=name, password=self.users[name].password
        )
        return page.form("SAMLResponse")


def authentication_request(
    consumer: ServiceProvider, destination: str, relay_state: str = "", *, is_passive: bool = False
) -> tuple[str, str]:
    """The request's ID, and the URL that brings it (SAML 2.0 Bindings, 3.4: HTTP Redirect).

    `is_passive`: the person must not be asked anything.
    """
    request_id = f"_{secrets.token_hex(16)}"
    issued = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = (
        '<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" Version="2.0"'
        f' ID="{request_id}" IssueInstant="{issued}" Destination="{destination}"'
        f' AssertionConsumerServiceURL="{consumer.consumer_url}"'
        f' IsPassive="{str(is_passive).lower()}"'
        ' ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST">'
        '<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">'
        f"{consumer.entity_id}</saml:Issuer></samlp:AuthnRequest>"
    )
    deflated = zlib.compress(text.encode())[2:-4]  # without zlib's head and checksum
    query = {"SAMLRequest": b64encode(deflated).decode(), "RelayState": relay_state}
    return request_id, f"{destination}?{urlencode({name: value for name, value in query.items() if value})}"
