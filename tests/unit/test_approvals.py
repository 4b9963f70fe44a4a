"""Who a client acts for: people of providers, while the settings know their way in, and the roles that they chose."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from broker.access.sessions import session_caller
from broker.app import Broker
from broker.approvals import approving_caller
from broker.audit.journal import JournalUnavailable
from broker.credentials.sso_sessions import approve, approve_role, begin_session
from broker.errors import Refusal
from broker.federation.directory import DirectoryLogins
from broker.federation.directory_rules import DirectoryRules
from broker.federation.federation import Federation
from broker.federation.openid_connect import OpenIdConnectSignIn
from broker.federation.saml_sign_in import SamlSignIn
from broker.federation.sign_ins import SignIns
from broker.names.principal import AssumedRole, LdapSubject, SamlSubject, WebIdentity
from broker.names.secret import SecretKey
from broker.performing import perform_recorded
from broker.protocol.shapes.sso import GetRoleCredentialsRequest, ListAccountRolesRequest
from broker.sealing.claims import AssumedRoleClaims
from broker.sso.bearer import bearer
from broker.storage.portal_records import (
    DirectoryIdentity,
    FederatedIdentity,
    OpenIdConnectIdentity,
    PortalSession,
    SamlIdentity,
)
from broker.storage.records import Role, SamlProvider
from broker.storage.store import ROLES, SAML_PROVIDERS, Transaction
from tests.unit.portal.conftest import ACCOUNT, NOW, World, broker, facts, world

__all__ = ["broker", "world"]  # fixtures

ISSUER, ENTITY, DIRECTORY = "https://idp.example", "https://saml.example/metadata", "ldap.example"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:saml-provider/corp"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/reader"
ANN = OpenIdConnectIdentity(
    sign_in="idp",
    name="ann@idp.example",
    issuer=ISSUER,
    audience=("portal",),
    issued_at=int(NOW),
    expires_at=int(NOW) + 600,
    claims={"sub": "ann", "aud": "portal", "iss": ISSUER},
)
BEN = SamlIdentity(
    sign_in="corp",
    name="ben",
    providers=(PROVIDER,),
    assertion_id="_1",
    issuer=ENTITY,
    name_id="ben",
    name_id_format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    recipient="https://signin.aws.amazon.com/saml",
    audiences=("urn:amazon:webservices",),
    issued_at=NOW,
    expires_at=NOW + 300,
    session_expires_at=None,
    attributes={
        "https://aws.amazon.com/SAML/Attributes/Role": (f"{ROLE},{PROVIDER}",),
        "https://aws.amazon.com/SAML/Attributes/RoleSessionName": ("ben",),
        "https://aws.amazon.com/SAML/Attributes/SourceIdentity": ("benjamin",),
    },
)
CLEO = DirectoryIdentity(
    provider=DIRECTORY, name="cleo", distinguished_name="uid=cleo,dc=example", groups=("cn=staff,dc=example",)
)
PEOPLE = (ANN, BEN, CLEO)
ALL = SignIns(
    (OpenIdConnectSignIn(name="idp", issuer=ISSUER, client_id="portal"),),
    (SamlSignIn(name="corp", provider=PROVIDER),),
    DIRECTORY,
)


def session_of(identity: FederatedIdentity, seconds: int = 12 * 3600) -> PortalSession:
    return PortalSession(
        session_id="00" * 16,
        identity=identity,
        access_key_id="",
        csrf_token=SecretKey("x"),
        signed_in_at=int(NOW),
        last_seen_at=int(NOW),
        ends_at=int(NOW) + seconds,
    )


def role(account: str = ACCOUNT) -> Role:
    def trusting(provider: str, *actions: str) -> dict[str, Any]:
        return {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": actions}

    statements = [
        trusting(PROVIDER, "sts:AssumeRoleWithSAML", "sts:SetSourceIdentity"),
        trusting(DIRECTORY, "sts:AssumeRoleWithLDAPIdentity"),
    ]
    return Role(
        account_id=account,
        role_name="reader",
        role_id="AROAREADER0000000000A",
        created_at=1,
        assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": statements}),
    )


def entropy(size: int) -> bytes:
    return bytes(range(size))


def federation(world: World, sign_ins: SignIns = ALL) -> Federation:
    return replace(world.broker.federation, sign_ins=sign_ins)


@pytest.mark.parametrize(
    ("identity", "kind"), [(ANN, WebIdentity), (BEN, SamlSubject), (CLEO, LdapSubject)], ids=lambda one: ""
)
async def test_a_person_of_a_provider_is_a_subject_of_its_issuer_in_no_account(
    world: World, identity: FederatedIdentity, kind: type
) -> None:
    approval = approve(session_of(identity), entropy)
    store = world.broker.store.transaction()
    caller = await approving_caller(federation(world), store, approval, NOW)
    assert isinstance(caller.principal, kind)
    assert (caller.account, caller.access_key_id, approval.access_key_id) == ("", "", "")


@pytest.mark.parametrize(
    ("identity", "left"),
    [
        (ANN, replace(ALL, openid_connect=())),
        (ANN, replace(ALL, openid_connect=(replace(ALL.openid_connect[0], client_id="other"),))),
        (ANN, replace(ALL, openid_connect=(replace(ALL.openid_connect[0], issuer="https://b.example"),))),
        (BEN, replace(ALL, saml=())),
        (BEN, replace(ALL, saml=(SamlSignIn(name="corp", provider=f"{PROVIDER}-2"),))),
        (CLEO, replace(ALL, directory="")),
        (CLEO, replace(ALL, directory="other.example")),
    ],
    ids=lambda one: "",
)
async def test_a_clients_session_ends_with_the_way_to_sign_in(
    world: World, identity: FederatedIdentity, left: SignIns
) -> None:
    approval = approve(session_of(identity), entropy)
    with pytest.raises(Refusal, match="do not sign in so"):
        await approving_caller(federation(world, left), world.broker.store.transaction(), approval, NOW)


async def _fill(world: World) -> None:
    async def work(store: Transaction) -> None:
        store.put(ROLES, ACCOUNT, role())
        made = SamlProvider(
            account_id=ACCOUNT,
            name="corp",
            provider_id="m",
            metadata="",
            valid_until=1 << 40,
            created_at=int(NOW) - 60,
        )
        store.put(SAML_PROVIDERS, ACCOUNT, made)

    await world.broker.store.transact(work)


async def test_a_client_that_acts_with_a_role_ends_with_the_roles_session(world: World) -> None:
    await _fill(world)
    claims = AssumedRoleClaims(
        "ASIAX", bytes(16), int(NOW), int(NOW) + 900, ACCOUNT, "reader", role().role_id, "ann"
    )
    approval = approve_role(session_of(ANN), claims, entropy)
    store = world.broker.store.transaction()
    assert approval.ends_at == claims.expires_at
    assert approve_role(session_of(ANN, 60), claims, entropy).ends_at == int(NOW) + 60
    caller = await approving_caller(federation(world), store, approval, NOW + 899)
    assert caller == await session_caller(store, claims)
    assert isinstance(caller.principal, AssumedRole)
    with pytest.raises(Refusal, match="has ended"):
        await approving_caller(federation(world), store, approval, NOW + 900)
    with pytest.raises(Refusal, match="do not sign in so"):
        await approving_caller(federation(world, SignIns()), store, approval, NOW)


def _never(*arguments: Any) -> Any:
    raise AssertionError("no password is asked again")


Ask = Callable[[str, Any], Awaitable[Any]]


async def _client_of(world: World, identity: FederatedIdentity) -> tuple[str, Ask]:
    """The access token of a client that the person has allowed, and how it asks the portal's API."""
    directory = DirectoryLogins(DirectoryRules(provider=DIRECTORY), _never)
    tools = replace(world.portal.tools, federation=replace(federation(world), directory=directory))
    approval = approve(session_of(identity), entropy)

    async def begin(store: Transaction) -> str:
        begun = begin_session(store, approval, "client", "a client", entropy, NOW, is_refreshable=True)
        return begun.access_token

    token = await tools.store.transact(begin)

    async def ask(name: str, request: Any) -> Any:
        async def caller_of(store: Transaction) -> Any:
            return await bearer(tools.federation, store, facts(), request)

        return await perform_recorded(tools, facts(service="sso"), caller_of, name, request)

    return token, ask


async def test_no_credentials_without_the_record_of_the_operation_that_made_them(
    world: World, broker: Broker
) -> None:
    await _fill(world)
    full = World(world.folder, broker, Path("/dev/full"))
    token, ask = await _client_of(full, CLEO)
    request = GetRoleCredentialsRequest(role_name="reader", account_id=ACCOUNT, access_token=token)
    with pytest.raises(JournalUnavailable):
        await ask("GetRoleCredentials", request)
    full.journal.close()


@pytest.mark.parametrize(
    ("identity", "operation", "provider"),
    [(BEN, "AssumeRoleWithSAML", PROVIDER), (CLEO, "AssumeRoleWithLDAPIdentity", DIRECTORY)],
    ids=["SAML", "LDAP"],
)
async def test_a_client_has_roles_and_their_credentials_by_the_operation_of_the_kind_of_provider(
    world: World, identity: FederatedIdentity, operation: str, provider: str
) -> None:
    await _fill(world)
    token, ask = await _client_of(world, identity)
    listed = await ask("ListAccountRoles", ListAccountRolesRequest(access_token=token, account_id=ACCOUNT))
    assert [one.role_name for one in listed.role_list] == ["reader"]
    asked = GetRoleCredentialsRequest(role_name="reader", account_id=ACCOUNT, access_token=token)
    made = await ask("GetRoleCredentials", asked)
    assert made.role_credentials.access_key_id.startswith("ASIA")
    *_, took, got = world.records
    assert (took["eventSource"], took["eventName"]) == ("sts.amazonaws.com", operation)
    assert (got["eventSource"], got["eventName"]) == ("sso.amazonaws.com", "GetRoleCredentials")
    assert took["userIdentity"]["principalId"] == f"{provider}:{identity.name}"
    assert took["responseElements"]["assumedRoleUser"]["arn"].endswith(f"/reader/{identity.name}")
    assert took["recipientAccountId"] == ACCOUNT
    assert made.role_credentials.secret_access_key not in json.dumps(took)
    source_identity = took["responseElements"].get("sourceIdentity")
    assert source_identity == ("benjamin" if identity is BEN else None)
