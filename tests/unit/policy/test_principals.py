"""Whom a Deny with NotPrincipal spares: the rule of the guide's page, spelled out, and the laws that follow from it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.names.principal import (
    Anonymous,
    AssumedRole,
    CertificateSubject,
    CustomTokenSubject,
    FederatedUser,
    IamUser,
    LdapSubject,
    Principal,
    Root,
    SamlSubject,
    Service,
    WebIdentity,
)
from broker.policy import (
    NO_POLICIES,
    AccessRequest,
    Context,
    Layers,
    Outcome,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    compile_policies,
    decide,
    parse_policy,
)

A, B = "111122223333", "444455556666"
ALICE, BOB = IamUser(A, "alice", "AIDAALICEALICEALICE01"), IamUser(A, "bob", "AIDABOBBOBBOBBOBBOB01")
RUN_7 = AssumedRole(A, "builder", "AROABUILDERBUILDER001", "run-7", "/ci/")
RUN_8 = AssumedRole(A, "builder", "AROABUILDERBUILDER001", "run-8", "/ci/")
NAMESAKE = AssumedRole(A, "builder", "AROANEWNEWNEWNEWNEW01", "run-7", "/ci/")
FAY = FederatedUser(A, "fay")
FAR = AssumedRole(B, "builder", "AROAFARFARFARFARFAR01", "run-7")
SNS, EVENTS = Service("sns.amazonaws.com"), Service("events.amazonaws.com")
GOOGLE = WebIdentity("accounts.google.com", "7")
LDAP = LdapSubject("ldap.example.com", "lea")
TOKEN = CustomTokenSubject("tokens.example.com", "alice")
CERTIFICATE = CertificateSubject("certificates.example.com", "CN=night")
SAML = SamlSubject(f"arn:aws:iam::{A}:saml-provider/corp", "sam")

# Each caller, the user behind it, and what has to be listed for it: one name of every row.
ACCOUNT_A, ACCOUNT_B = (A, f"arn:aws:iam::{A}:root"), (B, f"arn:aws:iam::{B}:root")
NEEDED: list[tuple[Principal, IamUser | None, tuple[tuple[str, ...], ...]]] = [
    (Root(A), None, (ACCOUNT_A,)),
    (Root(B), None, (ACCOUNT_B,)),
    (ALICE, None, (ACCOUNT_A, (ALICE.arn, ALICE.unique_id))),
    (BOB, None, (ACCOUNT_A, (BOB.arn, BOB.unique_id))),
    (RUN_7, None, (ACCOUNT_A, (RUN_7.role_arn, RUN_7.role_id), (RUN_7.arn, RUN_7.user_id))),
    (RUN_8, None, (ACCOUNT_A, (RUN_8.role_arn, RUN_8.role_id), (RUN_8.arn, RUN_8.user_id))),
    (
        NAMESAKE,
        None,
        (ACCOUNT_A, (NAMESAKE.role_arn, NAMESAKE.role_id), (NAMESAKE.arn, NAMESAKE.user_id)),
    ),
    (FAR, None, (ACCOUNT_B, (FAR.role_arn, FAR.role_id), (FAR.arn, FAR.user_id))),
    (FAY, ALICE, (ACCOUNT_A, (ALICE.arn, ALICE.unique_id), (FAY.arn,))),
    (FAY, None, (ACCOUNT_A, (FAY.arn,))),  # whom the root user federated
]
NAMES = sorted({name for _, _, rows in NEEDED for row in rows for name in row})
OUTSIDERS = [SNS, EVENTS, GOOGLE, SAML, LDAP, CERTIFICATE, TOKEN, Anonymous()]
PLACES = [
    ("resource", PolicyKind.RESOURCE),
    ("resource", PolicyKind.TRUST),
    ("endpoint", PolicyKind.ENDPOINT),
]
CALLERS = st.sampled_from([(who, user) for who, user, _ in NEEDED])
LISTS = st.lists(st.sampled_from(NAMES), max_size=8)


def policy_set(statement: object, kind: PolicyKind) -> PolicySet:
    document = {"Version": "2012-10-17", "Statement": statement}
    return compile_policies([(Source(SourceKind.RESOURCE, "p"), parse_policy(json.dumps(document), kind))])


EVERYTHING = policy_set({"Effect": "Allow", "Action": "*", "Resource": "*"}, PolicyKind.IDENTITY)


def is_spared(
    who: Principal,
    element: object,
    user: IamUser | None = None,
    boundary: PolicySet | None = None,
    place: tuple[str, PolicyKind] = PLACES[0],
) -> bool:
    """Whether a Deny with this NotPrincipal leaves the caller alone."""
    layer, kind = place
    statement = {"Effect": "Deny", "NotPrincipal": element, "Action": "sts:AssumeRole"}
    if kind is not PolicyKind.TRUST:
        statement["Resource"] = "*"
    layers = Layers(NO_POLICIES, boundary=boundary, **{layer: policy_set(statement, kind)})
    behind = {} if user is None else {"federated_by": user.arn, "federated_by_id": user.unique_id}
    request = AccessRequest(who, "sts:AssumeRole", f"arn:aws:iam::{A}:role/x", A, Context(), **behind)
    decision = decide(request, layers)
    is_denied = decision.outcome is Outcome.EXPLICITLY_DENIED
    assert is_denied is bool(decision.deciding), "the reasons tell what was decided"
    return not is_denied


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[0]}-{place[1].value}")
@pytest.mark.parametrize(("who", "user", "rows"), NEEDED)
def test_a_caller_is_spared_by_all_its_names_and_by_no_fewer(
    who: Principal, user: IamUser | None, rows: tuple[tuple[str, ...], ...], place: tuple[str, PolicyKind]
) -> None:
    for spelling in (0, -1):  # by account number and ARNs, by the root's ARN and unique ids
        names = [row[spelling] for row in rows]
        assert is_spared(who, {"AWS": names}, user, place=place)
        for missing in names:
            rest = [name for name in names if name != missing]
            assert not is_spared(who, {"AWS": rest}, user, place=place)


@settings(max_examples=300, deadline=None)
@given(listed=LISTS, caller=st.sampled_from(NEEDED))
def test_who_is_spared_depends_on_the_callers_own_names_alone(
    listed: list[str], caller: tuple[Principal, IamUser | None, tuple[tuple[str, ...], ...]]
) -> None:
    who, user, rows = caller
    expected = all(not set(row).isdisjoint(listed) for row in rows)
    assert is_spared(who, {"AWS": listed}, user) is expected


@settings(max_examples=300, deadline=None)
@given(listed=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), added=st.sampled_from(NAMES))
def test_a_name_that_is_added_denies_nobody_who_was_spared(listed: list[str], added: str) -> None:
    for who, user, _ in NEEDED:
        if is_spared(who, {"AWS": listed}, user):
            assert is_spared(who, {"AWS": [*listed, added]}, user)


@settings(max_examples=200, deadline=None)
@given(listed=LISTS, caller=CALLERS)
def test_a_caller_with_a_permissions_boundary_is_never_spared(
    listed: list[str], caller: tuple[Principal, IamUser | None]
) -> None:
    who, user = caller
    for place in PLACES:
        assert not is_spared(who, {"AWS": [*listed, *NAMES]}, user, EVERYTHING, place)


@pytest.mark.parametrize("element", ["*", {"AWS": "*"}])
def test_everyone_is_spared_by_a_star_but_those_with_a_boundary(element: object) -> None:
    for who in (ALICE, RUN_7, Root(A), *OUTSIDERS):
        assert is_spared(who, element)
    assert not is_spared(ALICE, element, boundary=EVERYTHING)


@pytest.mark.parametrize(
    ("element", "spared"),
    [
        ({"Service": "sns.amazonaws.com"}, [SNS]),
        ({"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}, [SNS, EVENTS]),
        ({"Service": "*"}, []),
        ({"Service": ""}, []),
        ({"Federated": "accounts.google.com"}, [GOOGLE]),
        ({"Federated": "ldap.example.com"}, [LDAP]),
        ({"Federated": "certificates.example.com"}, [CERTIFICATE]),
        ({"Federated": "tokens.example.com"}, [TOKEN]),
        ({"Federated": SAML.provider}, [SAML]),
        ({"Federated": ""}, []),
        ({"AWS": NAMES}, []),
        ({"CanonicalUser": "79a59df900b949e5"}, []),
    ],
)
def test_whom_no_account_has_is_spared_by_its_own_name(element: object, spared: list[Principal]) -> None:
    assert [who for who in OUTSIDERS if is_spared(who, element)] == spared
