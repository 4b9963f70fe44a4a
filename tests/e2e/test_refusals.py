"""Proofs that are none, one by one: each refused with the status, the code and the sentence that AWS gives."""

import secrets
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from broker.app import clock
from broker.credentials.mint import TemporaryCredentials
from broker.names.principal import AssumedRole
from broker.sealing.claims import AssumedRoleClaims
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import new_keyring
from broker.sealing.session import TOKEN_ENTROPY, mint_session_token
from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.raw_requests import VERSIONS, WHO_AM_I, raw_request
from tests.e2e.scenes import (
    Phone,
    allow,
    assume,
    deny,
    document,
    in_broker,
    new_role,
    new_user,
    refused,
    sentence,
    trust,
    who_am_i,
)

INVALID_TOKEN = (403, "InvalidClientTokenId", "The security token included in the request is invalid.")
NOT_FOR_IAM = (403, "InvalidClientTokenId", "The security token included in the request is invalid")
EXPIRED_TOKEN = (403, "ExpiredToken", "The security token included in the request is expired")


def keys_of(minted: TemporaryCredentials) -> Keys:
    return Keys(minted.access_key_id, minted.secret.reveal(), minted.session_token)


@pytest.fixture
def session(server: Server, account: Account) -> Keys:
    """A live session of the role `worker`, which may list users and roles."""
    user = new_user(server, account, "ursula", allow("sts:AssumeRole"))
    role = new_role(server, account, "worker", trust(account.account_id), allow("iam:List*"))
    return assume(server, user, role)


# Signatures and keys


def test_a_wrong_secret_is_refused(server: Server, account: Account) -> None:
    status, code, message = who_am_i(server, replace(account.root, secret_access_key="x" * 40))
    assert (status, code) == (403, "SignatureDoesNotMatch")
    assert message.startswith(
        "The request signature we calculated does not match the signature you provided."
    )
    assert "The Canonical String for this request should have been\n'POST\n/\n" in message


def test_a_signature_is_good_fifteen_minutes_both_ways(server: Server, account: Account) -> None:
    assert raw_request(server, account.root, WHO_AM_I, late_by=880).send(server).status == 200
    assert raw_request(server, account.root, WHO_AM_I, late_by=-880).send(server).status == 200
    late = raw_request(server, account.root, WHO_AM_I, late_by=930).send(server)
    assert (late.status, late.code) == (403, "SignatureDoesNotMatch")
    assert late.message.startswith("Signature expired: ") and "- 15 min.)" in late.message
    early = raw_request(server, account.root, WHO_AM_I, late_by=-930).send(server)
    assert (early.status, early.code) == (403, "SignatureDoesNotMatch")
    assert early.message.startswith("Signature not yet current: ")


def test_a_presigned_url_ends_when_it_says(server: Server, account: Account) -> None:
    fresh = raw_request(server, account.root, WHO_AM_I, method="GET", expires=60)
    assert fresh.send(server).status == 200
    stale = raw_request(server, account.root, WHO_AM_I, method="GET", expires=60, late_by=70)
    assert stale.send(server).refusal == (400, "RequestExpired", "Request has expired.")
    old = raw_request(server, account.root, WHO_AM_I, method="GET", expires=3600, late_by=1000)
    assert old.send(server).code == "SignatureDoesNotMatch"


def test_a_presigned_url_is_good_for_fifteen_minutes_where_the_operator_wants_it(tmp_path: Path) -> None:
    """What a cluster needs whose users log in by `aws eks get-token`."""
    environment = {"BROKER_REQUESTS_HONOUR_PRESIGNED_EXPIRES": "false"}
    with Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=environment).running() as server:
        root = server.new_account().root
        for seconds in (70, 840, 880):
            kept = raw_request(server, root, WHO_AM_I, method="GET", expires=60, late_by=seconds)
            assert kept.send(server).status == 200
        old = raw_request(server, root, WHO_AM_I, method="GET", expires=60, late_by=930).send(server)
        assert (old.status, old.code) == (403, "SignatureDoesNotMatch")
        assert old.message.startswith("Signature expired: ")


def test_a_body_changed_after_signing_is_refused(server: Server, account: Account) -> None:
    asked = {"Action": "GetSessionToken", "Version": VERSIONS["sts"], "DurationSeconds": "900"}
    sent = raw_request(server, account.root, asked)
    changed = replace(sent, body=sent.body.replace(b"=900", b"=999"))
    assert changed.send(server).code == "SignatureDoesNotMatch"
    assert sent.send(server).status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("X-Amz-Date", "20260101T000000Z"),
        ("Host", "iam.amazonaws.com"),
    ],
)
def test_a_signed_header_changed_after_signing_is_refused(
    server: Server, account: Account, name: str, value: str
) -> None:
    sent = raw_request(
        server, account.root, WHO_AM_I, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert name.lower() in dict(sent.headers)["Authorization"]
    assert sent.with_header(name, value).send(server).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("name", ["X-Amz-Security-Token", "x-amz-content-sha256", "X-AMZ-Anything"])
def test_an_unsigned_header_of_awss_own_is_not_smuggled_in(
    server: Server, account: Account, name: str
) -> None:
    answer = raw_request(server, account.root, WHO_AM_I).with_header(name, "x").send(server)
    assert answer.status == 403
    # With a token, the key is no long-term key any more: so it is refused before the headers are compared.
    assert answer.code == ("InvalidClientTokenId" if "Token" in name else "SignatureDoesNotMatch")


def test_an_unsigned_hash_of_the_body_is_taken_and_another_one_is_not(
    server: Server, account: Account
) -> None:
    """As aws-requests-auth sends it with every request, also with session credentials."""
    session = Keys.of(server.client("sts", account.root).get_session_token()["Credentials"])
    for keys in (account.root, session):
        sent = raw_request(server, keys, WHO_AM_I)
        right = sha256(sent.body).hexdigest()
        assert sent.with_header("x-amz-content-sha256", right).send(server).status == 200
        for wrong in (sha256(b"").hexdigest(), "UNSIGNED-PAYLOAD"):
            answer = sent.with_header("x-amz-content-sha256", wrong).send(server)
            assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_a_deactivated_key_is_refused_until_it_is_active_again(
    server: Server, account: Account, root: Any
) -> None:
    keys = new_user(server, account, "kim")
    change = {"UserName": "kim", "AccessKeyId": keys.access_key_id}
    root.update_access_key(**change, Status="Inactive")
    assert who_am_i(server, keys) == INVALID_TOKEN
    root.update_access_key(**change, Status="Active")
    assert server.client("sts", keys).get_caller_identity()["Arn"].endswith(":user/kim")


def test_a_deleted_key_is_refused(server: Server, account: Account, root: Any) -> None:
    keys = new_user(server, account, "kim")
    root.delete_access_key(UserName="kim", AccessKeyId=keys.access_key_id)
    assert who_am_i(server, keys) == INVALID_TOKEN


# Session tokens


def test_a_tampered_token_is_refused_wherever_it_was_touched(server: Server, session: Keys) -> None:
    token = session.session_token or ""
    for place in (0, 10, len(token) // 2, len(token) - 3):
        other = "A" if token[place] != "A" else "B"
        touched = token[:place] + other + token[place + 1 :]
        assert who_am_i(server, replace(session, session_token=touched)) == INVALID_TOKEN
    for cut in (token[:-4], token + "AAAA", token[:40], "x"):
        assert who_am_i(server, replace(session, session_token=cut)) == INVALID_TOKEN


def test_a_token_is_good_for_its_own_key_only(server: Server, account: Account, session: Keys) -> None:
    user = new_user(server, account, "second", allow("sts:AssumeRole"))
    other = assume(server, user, f"arn:aws:iam::{account.account_id}:role/worker")
    assert who_am_i(server, replace(session, session_token=other.session_token)) == INVALID_TOKEN
    assert who_am_i(server, replace(user, session_token=session.session_token)) == INVALID_TOKEN
    assert who_am_i(server, replace(session, session_token=None)) == INVALID_TOKEN


def test_a_token_sealed_by_an_unknown_key_is_refused(server: Server, account: Account, root: Any) -> None:
    """Everything is right but the key: the claims name a valid role, the secret belongs to them."""
    new_role(server, account, "worker", trust(account.account_id), allow("*"))
    role = root.get_role(RoleName="worker")["Role"]
    forged_ring = new_keyring(time.time(), secrets.token_bytes(KEY_ENTROPY))
    now = int(time.time())
    claims = AssumedRoleClaims(
        "ASIA" + "A" * 16, bytes(16), now, now + 3600, account.account_id, "worker", role["RoleId"], "forged"
    )
    token, secret, *_ = mint_session_token(forged_ring, claims, secrets.token_bytes(TOKEN_ENTROPY))
    assert who_am_i(server, Keys(claims.access_key_id, secret.reveal(), token)) == INVALID_TOKEN


def minted_session(server: Server, account: Account, role_id: str, *, age: int, duration: int) -> Keys:
    """A session of the role `worker` that began `age` seconds ago, from the server's own keys."""

    async def mint(broker: Any) -> Keys:
        principal = AssumedRole(account.account_id, "worker", role_id, "session")
        return keys_of(broker.mint.assumed_role(principal, now=clock() - age, duration=duration))

    return in_broker(server, mint)


def test_an_expired_session_is_refused(server: Server, account: Account, root: Any) -> None:
    new_role(server, account, "worker", trust(account.account_id))
    role_id = root.get_role(RoleName="worker")["Role"]["RoleId"]
    valid = minted_session(server, account, role_id, age=890, duration=900)
    assert server.client("sts", valid).get_caller_identity()["UserId"] == f"{role_id}:session"
    dead = minted_session(server, account, role_id, age=901, duration=900)
    assert who_am_i(server, dead) == EXPIRED_TOKEN
    assert refused(server.client("iam", dead).list_users) == EXPIRED_TOKEN


def test_a_deleted_role_takes_its_live_sessions_along(
    server: Server, account: Account, root: Any, session: Keys
) -> None:
    assert server.client("iam", session).list_roles()["Roles"]
    root.delete_role_policy(RoleName="worker", PolicyName="scene")
    root.delete_role(RoleName="worker")
    assert who_am_i(server, session) == INVALID_TOKEN
    # Before the signature is even compared, as AWS does.
    assert who_am_i(server, replace(session, secret_access_key="x" * 40)) == INVALID_TOKEN


def test_a_role_created_again_with_the_same_name_is_not_the_old_sessions_role(
    server: Server, account: Account, root: Any, session: Keys
) -> None:
    root.delete_role_policy(RoleName="worker", PolicyName="scene")
    root.delete_role(RoleName="worker")
    new_role(server, account, "worker", trust(account.account_id), allow("*"))
    assert who_am_i(server, session) == INVALID_TOKEN
    assert refused(server.client("iam", session).list_users) == INVALID_TOKEN


def test_a_user_created_again_with_the_same_name_is_not_the_old_sessions_user(
    server: Server, account: Account, root: Any
) -> None:
    keys = new_user(server, account, "kim", allow("*"))
    sts = server.client("sts", keys)
    own = Keys.of(sts.get_session_token()["Credentials"])
    federated = Keys.of(sts.get_federation_token(Name="guest", Policy=document(allow("*")))["Credentials"])
    root.delete_access_key(UserName="kim", AccessKeyId=keys.access_key_id)
    root.delete_user_policy(UserName="kim", PolicyName="scene")
    root.delete_user(UserName="kim")
    assert who_am_i(server, own) == INVALID_TOKEN
    new_user(server, account, "kim", allow("*"))
    assert who_am_i(server, own) == INVALID_TOKEN
    assert who_am_i(server, federated) == INVALID_TOKEN


def test_sessions_older_than_a_revocation_are_denied(
    server: Server, account: Account, root: Any, session: Keys
) -> None:
    """What the console's "revoke active sessions" does: a policy on the role, and nothing else."""
    assert server.client("iam", session).list_roles()["Roles"]
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    older = {"DateLessThan": {"aws:TokenIssueTime": moment}}
    root.put_role_policy(
        RoleName="worker",
        PolicyName="AWSRevokeOlderSessions",
        PolicyDocument=document(deny("*", Condition=older)),
    )
    _, code, message = refused(server.client("iam", session).list_roles)
    assert (code, sentence(message).endswith("with an explicit deny in an identity-based policy")) == (
        "AccessDenied",
        True,
    )


# One-time codes


MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
WRONG_CODE = (403, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")


def test_a_one_time_code_opens_a_role_once(server: Server, account: Account, root: Any) -> None:
    keys = new_user(server, account, "mia", allow("sts:*"))
    phone = Phone(root, "mia")
    trusts = trust(account.account_id, "sts:AssumeRole", "sts:TagSession", Condition=MFA)
    role = new_role(server, account, "guarded", trusts)
    sts = server.client("sts", keys)
    request = {"RoleArn": role, "RoleSessionName": "session", "Tags": [{"Key": "team", "Value": "blue"}]}
    assert refused(sts.assume_role, **request)[1] == "AccessDenied"
    assert refused(sts.assume_role, **request, **phone.asked("000000")) == WRONG_CODE
    # The device was enabled with this code: it is used.
    assert refused(sts.assume_role, **request, **phone.asked(phone.code(0))) == WRONG_CODE
    fresh = phone.asked(phone.code(1))
    session = Keys.of(sts.assume_role(**request, **fresh)["Credentials"])
    assert refused(sts.assume_role, **request, **fresh) == WRONG_CODE
    assert refused(sts.get_session_token, **fresh) == WRONG_CODE
    assert "guarded/session" in server.client("sts", session).get_caller_identity()["Arn"]


def test_a_one_time_code_is_used_up_where_the_call_is_refused_all_the_same(
    server: Server, account: Account, root: Any
) -> None:
    keys = new_user(server, account, "mia", allow("sts:*"))
    phone = Phone(root, "mia")
    closed = new_role(server, account, "closed", trust(server.new_account().account_id))
    sts = server.client("sts", keys)
    shown = phone.asked(phone.code(1))
    refusal = refused(sts.assume_role, RoleArn=closed, RoleSessionName="session", **shown)
    assert refusal[1] == "AccessDenied" and "sts:AssumeRole" in refusal[2]
    assert refused(sts.get_session_token, **shown) == WRONG_CODE


def test_the_code_of_somebody_elses_device_is_refused(server: Server, account: Account, root: Any) -> None:
    new_user(server, account, "mia")
    phone = Phone(root, "mia")
    keys = new_user(server, account, "eve", allow("sts:*"))
    sts = server.client("sts", keys)
    refusal = refused(sts.get_session_token, **phone.asked(phone.code(1)))
    assert refusal[:2] == (403, "AccessDenied")
    assert "Please verify your MFA serial number is valid and associated with this user." in refusal[2]
    assert refused(sts.get_session_token, SerialNumber=phone.serial_number)[1] == "AccessDenied"
    assert refused(sts.get_session_token, TokenCode="123456")[1] == "AccessDenied"


def test_session_tokens_call_iam_only_with_mfa(server: Server, account: Account, root: Any) -> None:
    keys = new_user(server, account, "mia", allow("iam:*", "sts:*"))
    phone = Phone(root, "mia")
    sts = server.client("sts", keys)
    plain = Keys.of(sts.get_session_token()["Credentials"])
    assert refused(server.client("iam", plain).list_users) == NOT_FOR_IAM
    proven = Keys.of(sts.get_session_token(**phone.asked(phone.code(1)))["Credentials"])
    assert server.client("iam", proven).list_users()["Users"]


# What credentials of a kind never do


def test_session_tokens_call_two_operations_of_sts(server: Server, account: Account) -> None:
    keys = new_user(server, account, "kim", allow("*"))
    role = new_role(server, account, "worker", trust(account.account_id))
    sts = server.client("sts", Keys.of(server.client("sts", keys).get_session_token()["Credentials"]))
    assert sts.get_caller_identity()["Arn"].endswith(":user/kim")
    assert sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    for call, asked in (
        (sts.get_session_token, {}),
        (sts.get_federation_token, {"Name": "guest"}),
        (sts.get_access_key_info, {"AccessKeyId": keys.access_key_id}),
    ):
        status, code, message = refused(call, **asked)
        assert (status, code) == (403, "AccessDenied")
        assert message.startswith("Cannot call Get")


def test_federated_users_ask_who_they_are_and_no_more(server: Server, account: Account) -> None:
    keys = new_user(server, account, "kim", allow("*"))
    role = new_role(server, account, "worker", trust("*"))
    federation = server.client("sts", keys).get_federation_token(Name="guest", Policy=document(allow("*")))
    guest = Keys.of(federation["Credentials"])
    sts = server.client("sts", guest)
    assert sts.get_caller_identity()["Arn"] == federation["FederatedUser"]["Arn"]
    assert refused(sts.assume_role, RoleArn=role, RoleSessionName="session")[:2] == (403, "AccessDenied")
    assert refused(sts.get_session_token)[:2] == (403, "AccessDenied")
    assert refused(server.client("iam", guest).list_users) == NOT_FOR_IAM


def test_role_sessions_get_no_tokens_of_users(server: Server, session: Keys) -> None:
    sts = server.client("sts", session)
    for call, asked in ((sts.get_session_token, {}), (sts.get_federation_token, {"Name": "guest"})):
        assert refused(call, **asked)[:2] == (403, "AccessDenied")


def test_root_assumes_no_role(server: Server, account: Account) -> None:
    role = new_role(server, account, "worker", trust(account.account_id))
    sts = server.client("sts", account.root)
    assert refused(sts.assume_role, RoleArn=role, RoleSessionName="session") == (
        403,
        "AccessDenied",
        "Roles may not be assumed by root accounts.",
    )
