"""The identity providers as fixtures: each is started once for the session, when the first test asks for it.

Tests may add people, service providers and groups of their own; what is here they do not change.
"""

from collections.abc import Iterator

import pytest

from tests.identity_providers.openid_provider import Client, OpenIdProvider, Resource
from tests.identity_providers.pysaml2 import PySaml2
from tests.identity_providers.saml import SamlProvider, User, aws_attributes
from tests.identity_providers.simplesamlphp import SimpleSamlPhp
from tests.identity_providers.slapd import Slapd, group, person

ACCOUNT = "111111111111"
STS = "sts.amazonaws.com"

# The user `alice` of the OpenID provider, and its clients: applications that she signs in to, and a pipeline.
ALICE = {
    "groups": ["readers", "writers"],
    "email": "alice@example.com",
    "https://aws.amazon.com/tags": {
        "principal_tags": {"team": ["blue"], "stage": ["test"]},
        "transitive_tag_keys": ["team"],
    },
    "https://aws.amazon.com/source_identity": "alice",
}
CLIENTS = [
    Client("web"),
    Client("web-es256", algorithm="ES256"),
    Client("pipeline", claims={"repository": "group/project", "ref_protected": True}),
]
RESOURCES = {"urn:sts": Resource(STS), "urn:sts:es256": Resource(STS, algorithm="ES256")}

# The user `alice` of the SAML providers.
ROLES = [
    f"arn:aws:iam::{ACCOUNT}:role/{role},arn:aws:iam::{ACCOUNT}:saml-provider/idp"
    for role in ("reader", "writer")
]
SAML_ALICE = User(
    "her password",
    aws_attributes(
        ROLES,
        "alice@example.com",
        duration=1800,
        tags={"team": "blue", "CostCenter": "Zürich & <Genève>"},
        transitive=["team", "CostCenter"],
        source_identity="alice",
    ),
)


@pytest.fixture(scope="session")
def openid_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    folder = tmp_path_factory.mktemp("oidc-provider")
    with OpenIdProvider(folder, CLIENTS, {"alice": ALICE}, RESOURCES).running() as provider:
        yield provider


@pytest.fixture(scope="session")
def simplesamlphp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleSamlPhp]:
    with SimpleSamlPhp(tmp_path_factory.mktemp("simplesamlphp")).running() as provider:
        provider.add_user("alice", SAML_ALICE)
        yield provider


@pytest.fixture(scope="session")
def pysaml2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PySaml2]:
    with PySaml2(tmp_path_factory.mktemp("pysaml2")).running() as provider:
        provider.add_user("alice", SAML_ALICE)
        yield provider


@pytest.fixture(scope="session", params=["simplesamlphp", "pysaml2"])
def saml_provider(request: pytest.FixtureRequest) -> SamlProvider:
    """Each of the two."""
    provider: SamlProvider = request.getfixturevalue(request.param)
    return provider


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """alice is in `readers`, which is in `staff`; bob is in no group."""
    with Slapd(tmp_path_factory.mktemp("slapd")).running() as directory:
        directory.add_person("alice", "her password", mail="alice@example.com")
        directory.add_person("bob", "his password")
        directory.add_group("readers", [person("alice")])
        directory.add_group("staff", [group("readers")])
        yield directory
