"""Claims are append-only: these encodings must open in every later version."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.names.principal import AssumedRole, FederatedUser, IamUser, Root
from broker.sealing.claims import (
    AssumedRoleClaims,
    FederatedUserClaims,
    RootClaims,
    ScopedClaims,
    SessionClaims,
    SessionTokenClaims,
    claims_from_bytes,
    claims_to_bytes,
)
from broker.sealing.envelope import SealBroken

COMMON = {
    "access_key_id": "ASIAQAAAAAAAAAAAAAAA",
    "session_id": bytes(range(16)),
    "issued_at": 1_800_000_000,
    "expires_at": 1_800_003_600,
    "account": "123456789012",
}
PLAIN_ROLE = AssumedRoleClaims(
    **COMMON, role_name="deploy", role_id="AROAAAAAAAAAAAAAAAAAA", session_name="ada"
)
FULL_ROLE = AssumedRoleClaims(
    **COMMON,
    role_name="deploy",
    role_id="AROAAAAAAAAAAAAAAAAAA",
    session_name="ada",
    role_path="/ci/",
    session_policy='{"Version":"2012-10-17","Statement":[]}',
    session_policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess",),
    tags=(("Team", "billing"), ("project", "apollo")),
    transitive_tag_keys=("Team",),
    source_identity="ada",
    chained=True,
    mfa_authenticated_at=1_799_999_990,
    issuer_access_key_id="AKIAQAAAAAAAAAAAAAAA",
    federated_provider="arn:aws:iam::123456789012:saml-provider/corporate",
    role_delivery="2.0",
    instance_id="i-0123456789abcdef0",
    context=(("saml:aud", ("https://signin.aws.amazon.com/saml",)),),
)
FEDERATED = FederatedUserClaims(
    **COMMON,
    name="guest",
    issuer_name="ada",
    issuer_path="/staff/",
    issuer_id="AIDAAAAAAAAAAAAAAAAAA",
    session_policy="{}",
    session_policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess",),
    tags=(("Team", "billing"),),
    issuer_access_key_id="AKIAQAAAAAAAAAAAAAAA",
)
SESSION = SessionTokenClaims(
    **COMMON,
    user_name="ada",
    user_path="/staff/",
    user_id="AIDAAAAAAAAAAAAAAAAAA",
    mfa_authenticated_at=1_799_999_990,
    mfa_serial="arn:aws:iam::123456789012:mfa/phone",
    issuer_access_key_id="AKIAQAAAAAAAAAAAAAAA",
)
ROOT = RootClaims(
    **COMMON,
    task_policy_arn="arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials",
    issuer_arn="arn:aws:iam::210987654321:user/ada",
    source_identity="ada",
    mfa_authenticated_at=1_799_999_990,
    issuer_access_key_id="AKIAQAAAAAAAAAAAAAAA",
)

SCOPED = ScopedClaims(
    **{**COMMON, "access_key_id": "ASIAQAAAAAAAAAAAAAAC", "session_id": bytes(range(16, 32))},
    original=PLAIN_ROLE,
    scope_policies=('{"Statement":[]}', "{}"),
    between=("ASIAQAAAAAAAAAAAAAAB",),
)

# Never edit a line; a field that is added gets another line, with its own claims.
GOLDEN = {
    "plain role": (
        PLAIN_ROLE,
        (
            "9901b44153494151414141414141414141414141414141c410000102030405060708090a0b0c0d0e0fce6b49d2"
            "00ce6b49e010ac313233343536373839303132a66465706c6f79b541524f414141414141414141414141414141"
            "414141a3616461"
        ),
    ),
    "full role": (
        FULL_ROLE,
        (
            "dc001601b44153494151414141414141414141414141414141c410000102030405060708090a0b0c0d0e0fce6b"
            "49d200ce6b49e010ac313233343536373839303132a66465706c6f79b541524f41414141414141414141414141"
            "4141414141a3616461a42f63692fd9277b2256657273696f6e223a22323031322d31302d3137222c2253746174"
            "656d656e74223a5b5d7d91d92661726e3a6177733a69616d3a3a6177733a706f6c6963792f526561644f6e6c79"
            "4163636573739292a45465616da762696c6c696e6792a770726f6a656374a661706f6c6c6f91a45465616da361"
            "6461c3ce6b49d1f6b4414b494151414141414141414141414141414141d93161726e3a6177733a69616d3a3a31"
            "32333435363738393031323a73616d6c2d70726f76696465722f636f72706f72617465a3322e30b3692d303132"
            "33343536373839616263646566309192a873616d6c3a61756491d92268747470733a2f2f7369676e696e2e6177"
            "732e616d617a6f6e2e636f6d2f73616d6c"
        ),
    ),
    "federated user": (
        FEDERATED,
        (
            "9e02b44153494151414141414141414141414141414141c410000102030405060708090a0b0c0d0e0fce6b49d2"
            "00ce6b49e010ac313233343536373839303132a56775657374a3616461a72f73746166662fb541494441414141"
            "4141414141414141414141414141a27b7d91d92661726e3a6177733a69616d3a3a6177733a706f6c6963792f52"
            "6561644f6e6c794163636573739192a45465616da762696c6c696e67b4414b4941514141414141414141414141"
            "41414141"
        ),
    ),
    "session token": (
        SESSION,
        (
            "9c03b44153494151414141414141414141414141414141c410000102030405060708090a0b0c0d0e0fce6b49d2"
            "00ce6b49e010ac313233343536373839303132a3616461a72f73746166662fb541494441414141414141414141"
            "4141414141414141ce6b49d1f6d92361726e3a6177733a69616d3a3a3132333435363738393031323a6d66612f"
            "70686f6e65b4414b494151414141414141414141414141414141"
        ),
    ),
    "root task": (
        ROOT,
        (
            "9b04b44153494151414141414141414141414141414141c410000102030405060708090a0b0c0d0e0fce6b49d2"
            "00ce6b49e010ac313233343536373839303132d93d61726e3a6177733a69616d3a3a6177733a706f6c6963792f"
            "726f6f742d7461736b2f49414d4175646974526f6f745573657243726564656e7469616c73d92261726e3a6177"
            "733a69616d3a3a3231303938373635343332313a757365722f616461a3616461ce6b49d1f6b4414b4941514141"
            "41414141414141414141414141"
        ),
    ),
    "scoped": (
        SCOPED,
        (
            "9905b44153494151414141414141414141414141414143c410101112131415161718191a1b1c1d1e1fce6b49d2"
            "00ce6b49e010ac3132333435363738393031329901b44153494151414141414141414141414141414141c41000"
            "0102030405060708090a0b0c0d0e0fce6b49d200ce6b49e010ac313233343536373839303132a66465706c6f79"
            "b541524f414141414141414141414141414141414141a361646192b07b2253746174656d656e74223a5b5d7da2"
            "7b7d91b44153494151414141414141414141414141414142"
        ),
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_claims_that_were_ever_written_are_still_read(name: str) -> None:
    claims, written = GOLDEN[name]
    assert claims_from_bytes(bytes.fromhex(written)) == claims


@pytest.mark.parametrize("name", GOLDEN)
def test_claims_are_written_as_an_older_version_would(name: str) -> None:
    claims, written = GOLDEN[name]
    assert claims_to_bytes(claims).hex() == written


words = st.text(max_size=20)
instants = st.integers(0, 2**40)
pairs = st.lists(st.tuples(words, words), max_size=3).map(tuple)


@settings(max_examples=40)
@given(
    st.builds(
        AssumedRoleClaims,
        issued_at=instants,
        expires_at=instants,
        mfa_authenticated_at=st.none() | instants,
        tags=pairs,
    )
    | st.builds(FederatedUserClaims, issued_at=instants, expires_at=instants, tags=pairs)
    | st.builds(
        SessionTokenClaims,
        issued_at=instants,
        expires_at=instants,
        mfa_authenticated_at=st.none() | instants,
    )
    | st.builds(
        RootClaims, issued_at=instants, expires_at=instants, mfa_authenticated_at=st.none() | instants
    )
)
def test_claims_of_every_kind_are_read_back_as_they_were(claims: SessionClaims) -> None:
    assert claims_from_bytes(claims_to_bytes(claims)) == claims


def test_fields_at_their_default_are_not_written() -> None:
    written = msgspec.msgpack.decode(claims_to_bytes(PLAIN_ROLE))
    assert written == [1, *COMMON.values(), "deploy", "AROAAAAAAAAAAAAAAAAAA", "ada"]
    chained = msgspec.msgpack.decode(claims_to_bytes(msgspec.structs.replace(PLAIN_ROLE, chained=True)))
    assert chained[-1] is True


def test_a_field_of_a_newer_version_is_refused_for_it_might_restrict() -> None:
    newer = [*msgspec.msgpack.decode(claims_to_bytes(FULL_ROLE)), "only on Tuesdays"]
    with pytest.raises(SealBroken) as broken:
        claims_from_bytes(msgspec.msgpack.encode(newer))
    assert "a form that this version does not know" in broken.value.reason


@pytest.mark.parametrize("tag", [0, 6, "role"])
def test_a_kind_of_a_newer_version_is_refused(tag: int | str) -> None:
    with pytest.raises(SealBroken):
        claims_from_bytes(msgspec.msgpack.encode([tag, *COMMON.values()]))


def test_no_claims_can_be_changed() -> None:
    for claims in (FULL_ROLE, FEDERATED, SESSION, ROOT, SCOPED):
        hash(claims)  # holds nothing that could be
        with pytest.raises(AttributeError):
            claims.account = "210987654321"  # type: ignore[misc]


def test_claims_name_their_principal() -> None:
    assert FULL_ROLE.principal == AssumedRole(
        "123456789012", "deploy", "AROAAAAAAAAAAAAAAAAAA", "ada", "/ci/"
    )
    assert FEDERATED.principal == FederatedUser("123456789012", "guest")
    assert FEDERATED.issuer == IamUser("123456789012", "ada", "AIDAAAAAAAAAAAAAAAAAA", "/staff/")
    assert SESSION.principal == IamUser("123456789012", "ada", "AIDAAAAAAAAAAAAAAAAAA", "/staff/")
    assert ROOT.principal == Root("123456789012")


def test_scoped_claims_are_those_of_their_original_and_end_with_every_session_before() -> None:
    assert (SCOPED.principal, SCOPED.identity_id) == (PLAIN_ROLE.principal, PLAIN_ROLE.role_id)
    assert SCOPED.ancestors == (PLAIN_ROLE.access_key_id, "ASIAQAAAAAAAAAAAAAAB")
    assert SCOPED.issued_by == "ASIAQAAAAAAAAAAAAAAB"
    assert FULL_ROLE.ancestors == FEDERATED.ancestors == SESSION.ancestors == ROOT.ancestors == ()


def test_the_original_in_scoped_claims_is_written_as_shortly_as_alone() -> None:
    written = msgspec.msgpack.decode(claims_to_bytes(SCOPED))
    assert written[6] == msgspec.msgpack.decode(claims_to_bytes(PLAIN_ROLE))


def test_neither_a_root_task_nor_scoped_claims_can_be_an_original() -> None:
    written = msgspec.msgpack.decode(claims_to_bytes(SCOPED))
    for other in (ROOT, SCOPED):
        written[6] = msgspec.msgpack.decode(claims_to_bytes(other))
        with pytest.raises(SealBroken):
            claims_from_bytes(msgspec.msgpack.encode(written))


def test_claims_without_a_user_have_the_root_user_as_principal() -> None:
    assert SessionTokenClaims(**COMMON).principal == Root("123456789012")
    assert FederatedUserClaims(**COMMON, name="guest").issuer == Root("123456789012")
