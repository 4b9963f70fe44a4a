"""From keys and tokens to callers, and what is refused on the way."""

import os
import secrets
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import urlsplit

import msgspec
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from broker.access.caller import SessionPolicies
from broker.access.logins import Login
from broker.access.prove import Prover, account_of_key
from broker.access.sessions import session_caller
from broker.credentials.mint import Mint
from broker.errors import Refusal
from broker.names.ids import LONG_TERM_KEY, TEMPORARY_KEY, access_key_id
from broker.names.principal import AssumedRole, FederatedUser, IamUser, Root
from broker.names.secret import SecretKey
from broker.sigv4.authorization import UnverifiedRequest, find_authorization
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import Dialect
from broker.storage.records import AccessKey, ForeignAccessKey, Role, User
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ACCESS_KEYS, FOREIGN_ACCESS_KEYS, ROLES, USERS, Store, Transaction
from tests.unit.access.conftest import NOW
from tests.unit.session_tokens import open_session_token

ACCOUNT = "111122223333"
KEY = access_key_id(LONG_TERM_KEY, ACCOUNT, bytes(8))
SECRET = "s" * 40
ALICE = User(
    account_id=ACCOUNT, user_name="alice", user_id="AIDA1", created_at=0, tags={"Team": "red", "Floor": "3"}
)
WORKER = Role(
    account_id=ACCOUNT,
    role_name="worker",
    role_id="AROA1",
    created_at=0,
    assume_role_policy="{}",
    tags={"Team": "red", "Floor": "3"},
)
ALICE_HERSELF = IamUser(ACCOUNT, "alice", "AIDA1")
SESSION = AssumedRole(ACCOUNT, "worker", "AROA1", "night")


def access_key(**changes):
    key = AccessKey(
        account_id=ACCOUNT, access_key_id=KEY, user_name="alice", secret=SecretKey(SECRET), created_at=0
    )
    return msgspec.structs.replace(key, **changes)


def signed(key_id=KEY, secret=SECRET, token=None, service="sts"):
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("POST", "http://broker/", data=body, headers={"Host": "broker"})
    with mock.patch("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC)):
        SigV4Auth(Credentials(key_id, secret, token), service, "eu-west-1").add_auth(request)
    headers = tuple((name.lower(), value) for name, value in request.headers.items())
    return UnverifiedRequest("POST", "/", "", headers, body)


@pytest.fixture
def prover(ring):
    return Prover(lambda: ring, SigningKeys())


@pytest.fixture
def mint(ring):
    return Mint(lambda: ring, secrets.token_bytes)


@pytest.fixture
def prove(prover, store):
    async def prove(request, now=NOW):
        caller, _ = await prover.prove(store.transaction(), request, find_authorization(request), "sts", now)
        return caller

    return prove


def presigned(seconds):
    """What `aws eks get-token` and aws-iam-authenticator make of a key."""
    request = AWSRequest("GET", "http://broker/?Action=GetCallerIdentity&Version=2011-06-15")
    with mock.patch("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC)):
        SigV4QueryAuth(Credentials(KEY, SECRET), "sts", "eu-west-1", seconds).add_auth(request)
    return UnverifiedRequest("GET", "/", urlsplit(request.url).query, (("host", "broker"),), b"")


async def test_a_presigned_url_is_good_for_as_long_as_it_says(prove, put):
    await put(USERS, ACCOUNT, ALICE)
    await put(ACCESS_KEYS, ACCOUNT, access_key())
    assert (await prove(presigned(60), NOW + 60)).user == ALICE
    assert await refused(prove(presigned(60), NOW + 61)) == "RequestExpired"


async def test_a_presigned_url_is_good_for_fifteen_minutes_where_that_is_wanted(ring, store, put):
    await put(USERS, ACCOUNT, ALICE)
    await put(ACCESS_KEYS, ACCOUNT, access_key())
    prover = Prover(lambda: ring, SigningKeys(), Dialect(honour_expires=False))
    request = presigned(60)

    async def prove(late_by):
        return await prover.prove(
            store.transaction(), request, find_authorization(request), "sts", NOW + late_by
        )

    assert (await prove(14 * 60))[0].user == ALICE
    assert (await prove(15 * 60))[0].user == ALICE
    assert await refused(prove(15 * 60 + 1)) == "SignatureDoesNotMatch"


async def refused(proving):
    with pytest.raises(Refusal) as refusal:
        await proving
    return refusal.value.code


async def test_a_users_key_makes_a_caller_with_the_users_record_and_tags(prove, put):
    await put(USERS, ACCOUNT, ALICE)
    await put(ACCESS_KEYS, ACCOUNT, access_key())
    caller = await prove(signed())
    assert (caller.principal, caller.user, caller.access_key_id) == (ALICE_HERSELF, ALICE, KEY)
    assert caller.tags == ALICE.tags
    assert not caller.is_temporary


async def test_a_caller_is_made_anew_where_the_users_record_has_changed(prove, put):
    await put(USERS, ACCOUNT, ALICE)
    await put(ACCESS_KEYS, ACCOUNT, access_key())
    assert (await prove(signed())).tags["Team"] == "red"
    await put(USERS, ACCOUNT, msgspec.structs.replace(ALICE, tags={"Team": "blue"}))
    caller = await prove(signed())
    assert caller.tags == {"Team": "blue"}
    assert caller.condition_keys["aws:principaltag/team"] == ("blue",)


async def test_a_roots_key_makes_a_root(prove, put):
    await put(ACCESS_KEYS, ACCOUNT, access_key(user_name=None))
    assert (await prove(signed())).principal == Root(ACCOUNT)


async def test_a_root_key_that_was_brought_along_is_found_by_its_record(prove, put):
    key_id = "bootstrapAdmin01"
    await put(ACCESS_KEYS, ACCOUNT, access_key(access_key_id=key_id, user_name=None))
    assert await refused(prove(signed(key_id))) == "InvalidClientTokenId"
    await put(FOREIGN_ACCESS_KEYS, "", ForeignAccessKey(access_key_id=key_id, account_id=ACCOUNT))
    assert (await prove(signed(key_id))).principal == Root(ACCOUNT)


@pytest.mark.parametrize(
    ("key", "user", "code"),
    [
        (None, ALICE, "InvalidClientTokenId"),
        (access_key(status="Inactive"), ALICE, "InvalidClientTokenId"),
        (access_key(), None, "InvalidClientTokenId"),
        (access_key(secret=SecretKey("another")), ALICE, "SignatureDoesNotMatch"),
    ],
    ids=["unknown", "inactive", "without its user", "with another secret"],
)
async def test_a_key_that_is_not_good_is_refused(prove, put, key, user, code):
    if key is not None:
        await put(ACCESS_KEYS, ACCOUNT, key)
    if user is not None:
        await put(USERS, ACCOUNT, user)
    assert await refused(prove(signed())) == code


CHANGES = {
    "inactive": (lambda store: store.put(ACCESS_KEYS, ACCOUNT, access_key(status="Inactive"))),
    "deleted": (lambda store: store.delete(ACCESS_KEYS, ACCOUNT, KEY)),
    "rotated": (lambda store: store.put(ACCESS_KEYS, ACCOUNT, access_key(secret=SecretKey("another")))),
    "without its user": (lambda store: store.delete(USERS, ACCOUNT, "alice")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_key_that_was_good_is_refused_as_soon_as_it_is_not(prove, put, tmp_path, change):
    await put(USERS, ACCOUNT, ALICE)
    await put(ACCESS_KEYS, ACCOUNT, access_key())
    for _ in range(2):
        assert (await prove(signed())).principal == ALICE_HERSELF

    async def work(transaction):
        change(transaction)

    async with Store(SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, os.urandom), lambda: NOW) as other:
        await other.transact(work)
        assert await refused(prove(signed())) in ("InvalidClientTokenId", "SignatureDoesNotMatch")


async def test_a_key_that_was_brought_along_is_refused_as_soon_as_it_is_not_good(prove, put, store):
    key_id = "bootstrapAdmin01"
    await put(ACCESS_KEYS, ACCOUNT, access_key(access_key_id=key_id, user_name=None))
    await put(FOREIGN_ACCESS_KEYS, "", ForeignAccessKey(access_key_id=key_id, account_id=ACCOUNT))
    for _ in range(2):
        assert (await prove(signed(key_id))).principal == Root(ACCOUNT)

    async def work(transaction):
        transaction.delete(FOREIGN_ACCESS_KEYS, "", key_id)

    await store.transact(work)
    assert await refused(prove(signed(key_id))) == "InvalidClientTokenId"


async def test_only_a_caller_whose_signature_holds_is_cached(prover, prove, put, mint):
    await put(USERS, ACCOUNT, ALICE)
    await put(ACCESS_KEYS, ACCOUNT, access_key())
    await put(ROLES, ACCOUNT, WORKER)
    minted = mint.assumed_role(SESSION, now=NOW, duration=900)
    session = (minted.access_key_id, minted.secret.reveal(), minted.session_token)
    for logins, (key_id, secret, token) in (
        (prover._key_logins, (KEY, SECRET, None)),
        (prover._session_logins, session),
    ):
        assert await refused(prove(signed(key_id, "x" * 40, token))) == "SignatureDoesNotMatch"
        assert len(logins._cache) == 0
        caller = await prove(signed(key_id, secret, token))
        assert len(logins._cache) == 1
        assert await prove(signed(key_id, secret, token)) is caller


def sources_of(login: Login) -> dict[str, set[str]]:
    return {source.partition: set(source.keys) for source in login.sources}


def read_by(transaction: Transaction) -> dict[str, set[str]]:
    return {partition: set(view.reads) for partition, view in transaction._views.of.items()}


@pytest.mark.parametrize("owner", [ACCOUNT, "444455556666"])
@pytest.mark.parametrize("key_id", [KEY, "bootstrapAdmin01"])
async def test_a_login_is_dated_by_every_record_that_it_was_made_of(prover, store, put, key_id, owner):
    await put(USERS, owner, msgspec.structs.replace(ALICE, account_id=owner))
    await put(ACCESS_KEYS, owner, access_key(account_id=owner, access_key_id=key_id))
    await put(FOREIGN_ACCESS_KEYS, "", ForeignAccessKey(access_key_id=key_id, account_id=owner))
    transaction, request = store.transaction(), signed(key_id)
    await prover.prove(transaction, request, find_authorization(request), "sts", NOW)
    assert sources_of(prover._key_logins.get(key_id)) == read_by(transaction)


async def test_a_session_is_dated_by_every_record_that_it_was_made_of(prover, store, put, mint):
    await put(ROLES, ACCOUNT, WORKER)
    minted = mint.assumed_role(SESSION, now=NOW, duration=900)
    request = signed(minted.access_key_id, minted.secret.reveal(), minted.session_token)
    transaction = store.transaction()
    await prover.prove(transaction, request, find_authorization(request), "sts", NOW)
    (entry,) = prover._session_logins._cache._entries.values()
    assert sources_of(entry.value) == read_by(transaction)


async def test_an_id_that_was_brought_along_and_names_another_account_is_its_owners_until_that_has_it(
    prove, put
):
    owner = "222233334444"
    await put(USERS, owner, msgspec.structs.replace(ALICE, account_id=owner))
    await put(FOREIGN_ACCESS_KEYS, "", ForeignAccessKey(access_key_id=KEY, account_id=owner))
    await put(ACCESS_KEYS, owner, access_key(account_id=owner))
    for _ in range(2):
        assert (await prove(signed())).account == owner
    await put(ACCESS_KEYS, owner, access_key(account_id=owner, status="Inactive"))
    assert await refused(prove(signed())) == "InvalidClientTokenId"
    await put(ACCESS_KEYS, owner, access_key(account_id=owner))
    assert (await prove(signed())).account == owner
    await put(USERS, ACCOUNT, ALICE)
    await put(ACCESS_KEYS, ACCOUNT, access_key(secret=SecretKey("x" * 40)))
    assert await refused(prove(signed())) == "SignatureDoesNotMatch"
    assert (await prove(signed(secret="x" * 40))).account == ACCOUNT


@pytest.mark.parametrize(
    "key_id", ["AKIA\udcff" + "A" * 15, "AKIA", "A" * 129, "AKIA" + "-" * 16, "AKIA/../" * 3]
)
async def test_what_is_no_access_key_id_is_never_looked_for(prover, store, key_id):
    request = signed()
    unverified = find_authorization(request)
    signer = msgspec.structs.replace(unverified.signer, access_key_id=key_id)
    unverified = msgspec.structs.replace(unverified, signer=signer)
    assert await refused(prover.prove(store.transaction(), request, unverified, "sts", NOW)) == (
        "InvalidClientTokenId"
    )


async def test_an_unsigned_request_is_told_so(prover, store):
    request = UnverifiedRequest("POST", "/", "", (("host", "broker"),), b"")
    assert await refused(prover.prove(store.transaction(), request, None, "sts", NOW)) == (
        "MissingAuthenticationToken"
    )


async def test_a_signature_for_another_service_is_refused(prove, put):
    await put(USERS, ACCOUNT, ALICE)
    await put(ACCESS_KEYS, ACCOUNT, access_key())
    assert await refused(prove(signed(service="iam"))) == "SignatureDoesNotMatch"


async def test_a_session_makes_a_caller_with_all_that_was_given_to_it(prove, put, mint):
    await put(ROLES, ACCOUNT, WORKER)
    minted = mint.assumed_role(
        SESSION,
        now=NOW,
        duration=900,
        session_policy='{"Statement":[]}',
        session_policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess",),
        tags={"team": "blue"},
        transitive_tag_keys=("team",),
        source_identity="alice",
        federated_provider="idp",
        role_delivery="2.0",
        instance_id="i-1",
        context={"saml:aud": ("https://idp",)},
    )
    caller = await prove(signed(minted.access_key_id, minted.secret.reveal(), minted.session_token))
    assert (caller.principal, caller.role, caller.account) == (SESSION, WORKER, ACCOUNT)
    assert caller.tags == {"Floor": "3", "team": "blue"}
    assert (caller.session_tags, caller.transitive_tag_keys) == ({"team": "blue"}, ("team",))
    assert caller.session_policies == SessionPolicies(
        '{"Statement":[]}', ("arn:aws:iam::aws:policy/ReadOnlyAccess",)
    )
    assert (caller.source_identity, caller.federated_provider) == ("alice", "idp")
    assert (caller.role_delivery, caller.instance_id) == ("2.0", "i-1")
    assert caller.session_keys == {"saml:aud": ("https://idp",)}
    assert (caller.token_issued_at, caller.token_expires_at) == (int(NOW), int(NOW) + 900)


async def test_a_sessions_end_and_its_key_are_kept(prove, put, mint):
    await put(ROLES, ACCOUNT, WORKER)
    minted, other = (mint.assumed_role(SESSION, now=NOW - 900, duration=duration) for duration in (900, 1800))
    secret, token = minted.secret.reveal(), minted.session_token
    assert await refused(prove(signed(minted.access_key_id, secret, token))) == "ExpiredToken"
    assert await refused(prove(signed(other.access_key_id, secret, token))) == "InvalidClientTokenId"
    current = other.access_key_id, other.secret.reveal(), other.session_token
    assert (await prove(signed(*current))).principal == SESSION
    assert await refused(prove(signed(*current[:2]))) == "InvalidClientTokenId"
    assert await refused(prove(signed(current[0], "wrong", current[2]))) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    "record", [None, msgspec.structs.replace(WORKER, role_id="AROA2")], ids=["deleted", "same name, other id"]
)
async def test_a_session_ends_with_its_role_whoever_bears_the_name(store, put, mint, ring, record):
    minted = mint.assumed_role(SESSION, now=NOW, duration=900)
    claims, _ = open_session_token(ring, minted.session_token, minted.access_key_id, NOW)
    if record is not None:
        await put(ROLES, ACCOUNT, record)
    assert await refused(session_caller(store.transaction(), claims)) == "InvalidClientTokenId"


async def test_sessions_of_a_user_end_with_it_whoever_bears_the_name(store, put, mint, ring):
    handed_out = [
        mint.session_token(ALICE_HERSELF, now=NOW, duration=900, mfa_authenticated_at=int(NOW)),
        mint.federated_user(ALICE_HERSELF, "guest", now=NOW, duration=900, tags={"floor": "4"}),
    ]
    claims = [
        open_session_token(ring, minted.session_token, minted.access_key_id, NOW)[0] for minted in handed_out
    ]
    await put(USERS, ACCOUNT, ALICE)
    own, guest = [await session_caller(store.transaction(), each) for each in claims]
    assert (own.principal, own.user, own.is_session_token) == (ALICE_HERSELF, ALICE, True)
    assert own.mfa_authenticated_at == int(NOW)
    assert own.access_key_id == handed_out[0].access_key_id
    assert (guest.principal, guest.user) == (FederatedUser(ACCOUNT, "guest"), ALICE)
    assert guest.tags == {"Team": "red", "floor": "4"}
    assert guest.session_policies is None
    await put(USERS, ACCOUNT, msgspec.structs.replace(ALICE, user_id="AIDA2"))
    for each in claims:
        assert await refused(session_caller(store.transaction(), each)) == "InvalidClientTokenId"


async def test_a_root_task_is_held_to_its_policy(store, mint, ring):
    minted = mint.root_task(
        ACCOUNT,
        now=NOW,
        duration=900,
        task_policy_arn="arn:task",
        issuer_arn="arn:issuer",
        source_identity="alice",
    )
    claims, _ = open_session_token(ring, minted.session_token, minted.access_key_id, NOW)
    caller = await session_caller(store.transaction(), claims)
    assert (caller.principal, caller.is_assumed_root) == (Root(ACCOUNT), True)
    assert caller.session_policies == SessionPolicies(managed=("arn:task",))
    assert caller.source_identity == "alice"


async def test_the_account_of_a_key_is_in_its_id_or_on_record(store, put):
    await put(FOREIGN_ACCESS_KEYS, "", ForeignAccessKey(access_key_id="bootstrapAdmin01", account_id=ACCOUNT))
    read = store.transaction()
    assert await account_of_key(read, KEY) == ACCOUNT
    assert await account_of_key(read, access_key_id(TEMPORARY_KEY, ACCOUNT, bytes(8))) == ACCOUNT
    assert await account_of_key(read, "bootstrapAdmin01") == ACCOUNT
    for no_key in ("AIDA" + KEY[4:], "XXXX" + KEY[4:], "AKIA" + "1" * 16, "somebodyElses001"):
        assert await account_of_key(read, no_key) is None
