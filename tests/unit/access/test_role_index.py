"""Whom a role's entries name: whoever the engine lets in is found, under every name that policies have for callers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.caller import Caller
from broker.access.role_index import Trustee, trustees_from, trustees_like, trustees_of
from broker.access.trust import bound_trust_policy
from broker.names.principal import (
    AssumedRole,
    FederatedUser,
    IamUser,
    LdapSubject,
    Principal,
    SamlSubject,
    Service,
    WebIdentity,
    account_of,
)
from broker.policy import (
    AccessRequest,
    Context,
    Layers,
    PolicyKind,
    Source,
    SourceKind,
    compile_policies,
    decide,
    parse_policy,
)
from broker.storage.records import Role, User

OWN, OTHER = "111122223333", "444455556666"
BOB_ID, APP_ID = "AIDABOB00000000000001", "AROAAPP00000000000001"
BOB, APP = f"arn:aws:iam::{OTHER}:user/team/bob", f"arn:aws:iam::{OTHER}:role/app"
NIGHT = f"arn:aws:sts::{OTHER}:assumed-role/app/night"
FEDERATED = f"arn:aws:sts::{OTHER}:federated-user/guest"
SAML, OIDC = f"arn:aws:iam::{OWN}:saml-provider/idp", f"arn:aws:iam::{OWN}:oidc-provider/idp.example/a"

PRINCIPALS: dict[str, Principal] = {
    "bob": IamUser(OTHER, "bob", BOB_ID, "/team/"),
    "another bob": IamUser(OTHER, "bob", "AIDANEW00000000000001", "/team/"),
    "a session": AssumedRole(OTHER, "app", APP_ID, "night"),
    "another session": AssumedRole(OTHER, "app", APP_ID, "day"),
    "a federated user": FederatedUser(OTHER, "guest"),
    "a user of the role's account": IamUser(OWN, "carol", "AIDACAROL000000000001"),
    "from SAML": SamlSubject(SAML, "s"),
    "from OIDC": WebIdentity(OIDC, "s"),
    "from Google": WebIdentity("accounts.google.com", "s"),
    "from a directory": LdapSubject("directory.example", "s"),
}
NAMES = {
    "AWS": (
        *(OTHER, OWN, f"arn:aws:iam::{OTHER}:root", BOB, APP, NIGHT, FEDERATED, "*"),
        *("AIDACAROL000000000001", f"arn:aws:iam::{OWN}:user/carol"),  # by id: of the role's account only
    ),
    "Federated": (SAML, OIDC, "accounts.google.com", "directory.example"),
    "Service": ("ec2.amazonaws.com",),
}


def role(*statements: dict[str, Any], **trusted_ids: str) -> Role:
    return Role(
        account_id=OWN,
        role_name="App",
        role_id="AROAX",
        created_at=0,
        assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": statements}),
        trusted_ids=trusted_ids,
    )


def allow(principal: Any, effect: str = "Allow", element: str = "Principal") -> dict[str, Any]:
    return {"Effect": effect, element: principal, "Action": "sts:*"}


def caller_of(principal: Principal) -> Caller:
    user = None
    if isinstance(principal, FederatedUser):
        user = User(account_id=OTHER, user_name="bob", user_id=BOB_ID, path="/team/", created_at=0)
    return Caller(principal=principal, account=account_of(principal) or "", user=user)


def is_admitted(principal: Principal, trusting: Role) -> bool:
    policy = parse_policy(str(bound_trust_policy(trusting)), PolicyKind.TRUST)
    trust = compile_policies([(Source(SourceKind.RESOURCE, "trust"), policy)])
    anything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    own = compile_policies(
        [(Source(SourceKind.USER, "own"), parse_policy(anything, PolicyKind.IDENTITY))]
        if account_of(principal)
        else []
    )
    by, by_id = (BOB, BOB_ID) if isinstance(principal, FederatedUser) else ("", "")
    request = AccessRequest(principal, "sts:AssumeRole", trusting.arn, OWN, Context(), by, by_id)
    return decide(request, Layers(own, resource=trust, session=own if by else None)).allowed


elements = st.one_of(
    st.just("*"),
    st.dictionaries(st.sampled_from(list(NAMES)), st.integers(0), min_size=1).flatmap(
        lambda chosen: st.fixed_dictionaries(
            {kind: st.lists(st.sampled_from(NAMES[kind]), min_size=1, max_size=3) for kind in chosen}
        )
    ),
)
statements = st.one_of(
    st.builds(allow, elements, st.sampled_from(("Allow", "Allow", "Deny"))),
    st.builds(allow, elements, st.just("Deny"), st.just("NotPrincipal")),
)


@given(st.lists(statements, min_size=1, max_size=3), st.booleans(), st.sampled_from(list(PRINCIPALS)))
def test_whoever_the_engine_admits_has_an_entry(
    written: list[dict[str, Any]], is_bound: bool, who: str
) -> None:
    trusting = role(*written, **({BOB: BOB_ID, APP: APP_ID, NIGHT: f"{APP_ID}:night"} if is_bound else {}))
    entries, names = trustees_of(trusting), trustees_like(caller_of(PRINCIPALS[who]))
    if is_admitted(PRINCIPALS[who], trusting):
        assert not entries.isdisjoint(names)
    elif all(one["Effect"] == "Allow" for one in written):
        # Only conditions and denials make an entry that admits nobody; these policies have none.
        assert entries.isdisjoint(names)


@pytest.mark.parametrize(
    ("named", "trustee"),
    [
        ({"AWS": OTHER}, Trustee(OTHER, OTHER)),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, Trustee(OTHER, OTHER)),
        ({"AWS": BOB}, Trustee(OTHER, BOB_ID)),
        ({"AWS": APP}, Trustee(OTHER, APP)),
        ({"AWS": "AIDACAROL000000000001"}, Trustee(OWN, "AIDACAROL000000000001")),
        ({"Federated": SAML}, Trustee(OWN, SAML)),
        ({"Federated": OIDC}, Trustee("providers", "idp.example/a")),
        ({"Federated": "accounts.google.com"}, Trustee("providers", "accounts.google.com")),
        ({"AWS": "*"}, Trustee("everyone", "*")),
        ("*", Trustee("everyone", "*")),
    ],
)
def test_an_entry_is_with_the_account_of_whom_it_names(named: Any, trustee: Trustee) -> None:
    assert trustees_of(role(allow(named), **{BOB: BOB_ID})) == {trustee}


@pytest.mark.parametrize(
    "written",
    [
        allow({"Service": "ec2.amazonaws.com"}),
        allow({"AWS": OTHER}, "Deny"),
        allow({"AWS": OTHER}, "Deny", "NotPrincipal"),
    ],
    ids=["a service", "a denial", "a denial of all others"],
)
def test_what_lets_no_person_in_has_no_entry(written: dict[str, Any]) -> None:
    assert trustees_of(role(written)) == frozenset()


def test_a_policy_that_cannot_be_read_has_no_entry_and_admits_nobody() -> None:
    assert trustees_of(role({"Effect": "Allow"})) == frozenset()


def test_a_service_is_found_by_no_name_of_its_own() -> None:
    assert trustees_like(caller_of(Service("ec2.amazonaws.com"))) == (Trustee("everyone", "*"),)


@pytest.mark.parametrize(
    ("issuer", "provider"),
    [
        ("https://idp.example/a", OIDC),
        ("http://idp.example/a", OIDC),
        ("https://accounts.google.com", "accounts.google.com"),
        ("accounts.google.com", "accounts.google.com"),
    ],
)
def test_people_of_an_issuer_are_found_in_whatever_account_trusts_it(issuer: str, provider: str) -> None:
    for account in (OWN, OTHER):
        entries = trustees_of(role(allow({"Federated": provider.replace(OWN, account)})))
        assert not entries.isdisjoint(trustees_from(issuer))
    assert trustees_of(role(allow({"Federated": f"{OIDC}/b"}))).isdisjoint(trustees_from(issuer))
