import hashlib
import secrets
from itertools import count

import pytest

from broker.credentials.mint import Mint, TemporaryCredentials
from broker.errors import Refusal
from broker.names.ids import account_of_access_key_id
from broker.names.principal import AssumedRole, IamUser, Root
from broker.sealing.claims import (
    AssumedRoleClaims,
    FederatedUserClaims,
    RootClaims,
    SessionClaims,
    SessionTokenClaims,
    claims_from_bytes,
)
from broker.sealing.keyring import Keyring, new_keyring, promote, stage
from broker.sealing.session import SessionExpired
from tests.unit.session_tokens import open_session_token

NOW = 1_800_000_000.75
ACCOUNT = "123456789012"
RING = new_keyring(NOW, bytes(range(40)))
ROLE = AssumedRole(ACCOUNT, "deploy", "AROAAAAAAAAAAAAAAAAAA", "ada", "/ci/")
USER = IamUser(ACCOUNT, "ada", "AIDAAAAAAAAAAAAAAAAAA", "/staff/")
ROOT = Root(ACCOUNT)
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


@pytest.fixture
def mint() -> Mint:
    return Mint(keyring=lambda: RING, entropy=secrets.token_bytes)


def opened(credentials: TemporaryCredentials, ring: Keyring = RING) -> SessionClaims:
    """The claims of a token, once its secret is proven to be the one that was returned."""
    claims, secret = open_session_token(ring, credentials.session_token, credentials.access_key_id, NOW)
    assert secret == credentials.secret
    return claims


def incompressible(length: int) -> str:
    return "".join(hashlib.sha512(bytes([number])).hexdigest() for number in range(64))[:length]


def test_a_role_session_has_all_claims_that_it_was_minted_with(mint: Mint) -> None:
    credentials = mint.assumed_role(
        ROLE,
        now=NOW,
        duration=3600,
        session_policy=POLICY,
        session_policy_arns=(READ_ONLY,),
        tags={"Team": "billing", "project": "apollo"},
        transitive_tag_keys=("Team",),
        source_identity="ada",
        chained=True,
        mfa_authenticated_at=1_799_999_990,
        issuer_access_key_id="AKIAQAAAAAAAAAAAAAAA",
        federated_provider="accounts.example",
        role_delivery="2.0",
        instance_id="i-0123",
        context={"saml:aud": ("https://signin.aws.amazon.com/saml",)},
    )
    claims = opened(credentials)
    assert claims == AssumedRoleClaims(
        access_key_id=credentials.access_key_id,
        session_id=claims.session_id,
        issued_at=1_800_000_000,
        expires_at=1_800_003_600,
        account=ACCOUNT,
        role_name="deploy",
        role_id="AROAAAAAAAAAAAAAAAAAA",
        session_name="ada",
        role_path="/ci/",
        session_policy=POLICY,
        session_policy_arns=(READ_ONLY,),
        tags=(("Team", "billing"), ("project", "apollo")),
        transitive_tag_keys=("Team",),
        source_identity="ada",
        chained=True,
        mfa_authenticated_at=1_799_999_990,
        issuer_access_key_id="AKIAQAAAAAAAAAAAAAAA",
        federated_provider="accounts.example",
        role_delivery="2.0",
        instance_id="i-0123",
        context=(("saml:aud", ("https://signin.aws.amazon.com/saml",)),),
    )
    assert claims.principal == ROLE
    assert credentials.packed_policy_size is not None
    assert 0 < credentials.packed_policy_size <= 100


def test_a_federated_session_names_the_user_who_asked(mint: Mint) -> None:
    credentials = mint.federated_user(
        USER, "guest", now=NOW, duration=129_600, session_policy=POLICY, tags={"Team": "billing"}
    )
    claims = opened(credentials)
    assert isinstance(claims, FederatedUserClaims)
    assert claims.issuer == USER
    assert claims.principal.arn == "arn:aws:sts::123456789012:federated-user/guest"
    assert (claims.session_policy, claims.tags) == (POLICY, (("Team", "billing"),))


def test_a_session_token_has_its_user_as_principal(mint: Mint) -> None:
    serial = "arn:aws:iam::123456789012:mfa/phone"
    claims = opened(
        mint.session_token(
            USER, now=NOW, duration=43_200, mfa_authenticated_at=1_799_999_990, mfa_serial=serial
        )
    )
    assert isinstance(claims, SessionTokenClaims)
    assert claims.principal == USER
    assert (claims.mfa_authenticated_at, claims.mfa_serial) == (1_799_999_990, serial)


def test_the_root_user_gets_session_tokens_of_its_own(mint: Mint) -> None:
    session = opened(mint.session_token(ROOT, now=NOW, duration=3600))
    federated = opened(mint.federated_user(ROOT, "guest", now=NOW, duration=3600))
    assert session.principal == ROOT
    assert isinstance(federated, FederatedUserClaims)
    assert federated.issuer == ROOT


def test_a_root_task_has_its_policy(mint: Mint) -> None:
    task = "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"
    claims = opened(
        mint.root_task(
            ACCOUNT, now=NOW, duration=900, task_policy_arn=task, issuer_arn=USER.arn, source_identity="ada"
        )
    )
    assert isinstance(claims, RootClaims)
    assert (claims.principal, claims.task_policy_arn, claims.issuer_arn) == (ROOT, task, USER.arn)


def test_a_plain_session_answers_no_packed_size_and_says_how_full_its_token_is(mint: Mint) -> None:
    credentials = mint.assumed_role(ROLE, now=NOW, duration=900)
    assert credentials.packed_policy_size is None
    assert credentials.token_size == len(credentials.session_token) < 300
    assert credentials.utilization == -(-100 * credentials.token_size // 4096)
    assert (credentials.issued_at, credentials.expires_at) == (1_800_000_000, 1_800_000_900)


def test_a_token_is_as_large_as_was_asked_for(mint: Mint) -> None:
    credentials = mint.session_token(USER, now=NOW, duration=900, minimum_token_size=4096)
    assert (credentials.token_size, credentials.utilization) == (4096, 100)
    assert opened(credentials).principal == USER


def test_no_two_sessions_share_an_id_a_secret_or_a_token(mint: Mint) -> None:
    minted = [mint.assumed_role(ROLE, now=NOW, duration=900) for _ in range(50)]
    assert len({credentials.access_key_id for credentials in minted}) == 50
    assert len({credentials.secret for credentials in minted}) == 50
    assert len({credentials.session_token for credentials in minted}) == 50
    assert len({opened(credentials).session_id for credentials in minted}) == 50


def test_the_access_key_id_of_a_session_encodes_its_account(mint: Mint) -> None:
    credentials = mint.assumed_role(ROLE, now=NOW, duration=900)
    assert credentials.access_key_id.startswith("ASIA")
    assert account_of_access_key_id(credentials.access_key_id) == ACCOUNT


def test_entropy_is_drawn_for_every_session() -> None:
    drawn = count()

    def entropy(size: int) -> bytes:
        return hashlib.sha512(b"%d" % next(drawn)).digest()[:size]

    mint = Mint(keyring=lambda: RING, entropy=entropy)
    first, second = (mint.session_token(USER, now=NOW, duration=900) for _ in range(2))
    assert first != second
    assert next(drawn) == 2


def test_ids_and_nonce_are_made_of_different_bytes_of_one_draw() -> None:
    def credentials_of(drawn: bytes) -> TemporaryCredentials:
        return Mint(keyring=lambda: RING, entropy=lambda _size: drawn).assumed_role(
            ROLE, now=NOW, duration=900
        )

    drawn = bytes(range(40))
    first, other_nonce = credentials_of(drawn), credentials_of(drawn[:24] + bytes(16))
    assert opened(first).session_id == opened(other_nonce).session_id == drawn[8:24]
    assert first.access_key_id == other_nonce.access_key_id
    assert first.session_token != other_nonce.session_token
    assert credentials_of(drawn[:8] + bytes(32)).access_key_id == first.access_key_id


def test_the_mint_follows_the_keyring_when_it_rotates() -> None:
    rings = [RING]
    mint = Mint(keyring=lambda: rings[-1], entropy=secrets.token_bytes)
    before = mint.assumed_role(ROLE, now=NOW, duration=900)
    rings.append(promote(stage(RING, NOW, bytes(range(100, 140))), NOW, open_for=3600))
    after = mint.assumed_role(ROLE, now=NOW, duration=900)
    assert opened(before, rings[-1]).principal == opened(after, rings[-1]).principal == ROLE
    assert before.session_token[:12] != after.session_token[:12]


def test_a_session_ends_at_its_second(mint: Mint) -> None:
    credentials = mint.assumed_role(ROLE, now=NOW, duration=900)
    with pytest.raises(SessionExpired):
        open_session_token(RING, credentials.session_token, credentials.access_key_id, 1_800_000_900)


def test_policies_over_the_packed_budget_are_refused_in_the_words_of_aws(mint: Mint) -> None:
    with pytest.raises(Refusal) as refused:
        mint.assumed_role(ROLE, now=NOW, duration=900, session_policy=incompressible(5_000))
    assert refused.value.code == "PackedPolicyTooLarge"
    assert refused.value.message.startswith("Packed policy consumes ")
    assert refused.value.message.endswith("% of allotted space, please use smaller policy.")


def test_tags_over_the_packed_budget_are_refused_in_the_words_of_aws(mint: Mint) -> None:
    tags = {f"key-{number}": incompressible(256 - number)[::-1] for number in range(50)}
    tags |= {f"other-{number}": incompressible(8_000)[number * 200 :][:200] for number in range(40)}
    with pytest.raises(Refusal) as refused:
        mint.federated_user(USER, "guest", now=NOW, duration=900, tags=tags)
    assert refused.value.code == "PackedPolicyTooLarge"
    assert refused.value.message.startswith("Packed size of session tags consumes ")
    assert refused.value.message.endswith("% of allotted space.")


def test_claims_that_fit_no_token_are_refused_though_their_policies_are_small(mint: Mint) -> None:
    with pytest.raises(Refusal) as refused:
        mint.assumed_role(ROLE, now=NOW, duration=900, context={"saml:groups": (incompressible(7_000),)})
    assert refused.value.code == "PackedPolicyTooLarge"
    assert "over the 4096 allowed" in refused.value.reason


def test_no_session_is_longer_than_its_kind_may_be(mint: Mint) -> None:
    task = "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"
    too_long = [
        lambda: mint.assumed_role(ROLE, now=NOW, duration=43_201),
        lambda: mint.assumed_role(ROLE, now=NOW, duration=3_601, chained=True),
        lambda: mint.session_token(USER, now=NOW, duration=129_601),
        lambda: mint.session_token(ROOT, now=NOW, duration=3_601),
        lambda: mint.federated_user(ROOT, "guest", now=NOW, duration=3_601),
        lambda: mint.root_task(ACCOUNT, now=NOW, duration=901, task_policy_arn=task, issuer_arn=USER.arn),
        lambda: mint.session_token(USER, now=NOW, duration=-1),
    ]
    for made in too_long:
        with pytest.raises(ValueError, match="lasts at most"):
            made()


def test_the_repr_of_credentials_holds_neither_secret_nor_token(mint: Mint) -> None:
    credentials = mint.assumed_role(ROLE, now=NOW, duration=900)
    assert credentials.secret.reveal() not in repr(credentials)
    assert credentials.session_token not in repr(credentials)


def test_every_byte_of_a_draw_has_one_use():
    draw = secrets.token_bytes(40)

    def made(entropy: bytes) -> tuple[str, bytes]:
        drawn = iter([entropy])
        minted = Mint(lambda: RING, lambda size: next(drawn)[:size]).assumed_role(ROLE, now=NOW, duration=900)
        return minted.access_key_id, opened(minted).session_id

    key_id, session_id = made(draw)
    for index in range(len(draw)):
        changed = made(draw[:index] + bytes([draw[index] ^ 1]) + draw[index + 1 :])
        assert (changed[0] != key_id, changed[1] != session_id) == (index < 8, 8 <= index < 24)


def test_each_session_is_noted_with_the_key_that_sealed_it_and_one_that_fits_no_token_is_not() -> None:
    noted: list[tuple[str, bytes, bytes]] = []
    mint = Mint(lambda: RING, secrets.token_bytes, lambda *note: noted.append(note))
    with pytest.raises(Refusal):
        mint.assumed_role(ROLE, now=NOW, duration=900, context={"saml:groups": (incompressible(7_000),)})
    minted = mint.assumed_role(ROLE, now=NOW, duration=900)
    ((account, claims, sealed_by),) = noted
    assert (account, claims_from_bytes(claims)) == (ROLE.account, opened(minted))
    assert sealed_by == RING.primary.id
