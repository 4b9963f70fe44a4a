"""GetScopedCredentials as boto3 meets it: a session gives away less of itself, and stays who it is."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import allow, assume, document, new_role, new_user, records_of, refused, sentence, trust

READ_USERS = document(allow("iam:ListUsers", "sts:*"))


@pytest.fixture
def session(server: Server, account: Account) -> Keys:
    keys = new_user(server, account, "ursula", allow("sts:*"))
    trusts = trust(account.account_id, "sts:AssumeRole", "sts:SetSourceIdentity")
    role = new_role(server, account, "worker", trusts, allow("*"), Path="/x/")
    return assume(server, keys, role, SourceIdentity="ursula")


def scoped(server: Server, keys: Keys, **asked: Any) -> tuple[dict[str, Any], Keys]:
    answer = server.client("sts", keys).get_scoped_credentials(**asked)
    return answer, Keys.of(answer["Credentials"])


def test_a_scoped_session_is_the_same_caller_and_may_less(
    server: Server, account: Account, session: Keys
) -> None:
    answer, child = scoped(server, session, Policy=READ_USERS, DurationSeconds=600)
    arn = f"arn:aws:sts::{account.account_id}:assumed-role/worker/session"
    identity = server.client("sts", session).get_caller_identity()
    assert answer["SessionInfo"] == {"ScopedSessionId": identity["UserId"], "Arn": arn}
    assert (answer["ScopedPoliciesCount"], answer["SourceIdentity"]) == (1, "ursula")
    assert answer["SessionTokenSize"] == len(child.session_token or "") <= 4096
    left = (answer["Credentials"]["Expiration"] - datetime.now(UTC)).total_seconds()
    assert 590 < left <= 600
    again = server.client("sts", child).get_caller_identity()
    assert [again[name] for name in ("UserId", "Account", "Arn")] == [
        identity[name] for name in ("UserId", "Account", "Arn")
    ]
    iam = server.client("iam", child)
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["ursula"]
    status, code, message = refused(iam.list_roles)
    assert (status, code) == (403, "AccessDenied")
    assert sentence(message).endswith("because no scope down policy allows the iam:ListRoles action")
    assert server.client("iam", session).list_roles()["Roles"]


def test_scope_down_policies_intersect_and_a_fourth_is_denied(server: Server, session: Keys) -> None:
    keys = session
    for number, actions in enumerate(
        (("sts:*", "iam:*"), ("sts:*", "iam:List*"), ("sts:*", "iam:*Users")), 1
    ):
        answer, keys = scoped(server, keys, Policy=document(allow(*actions)))
        assert answer["ScopedPoliciesCount"] == number
    iam = server.client("iam", keys)
    assert iam.list_users()["Users"]
    assert refused(iam.list_roles)[1] == refused(iam.create_user, UserName="x")[1] == "AccessDenied"
    sts = server.client("sts", keys)
    assert refused(sts.get_scoped_credentials, Policy=READ_USERS)[:2] == (403, "AccessDenied")
    answer, _ = scoped(server, keys, DurationSeconds=60)
    assert answer["ScopedPoliciesCount"] == 3


def test_a_scoped_session_ends_when_its_time_is_over(server: Server, session: Keys) -> None:
    _, child = scoped(server, session, DurationSeconds=1)
    time.sleep(1.1)
    assert refused(server.client("sts", child).get_caller_identity)[:2] == (403, "ExpiredToken")
    assert server.client("sts", session).get_caller_identity()


def test_what_is_not_given_is_refused_as_the_model_says(
    server: Server, account: Account, session: Keys
) -> None:
    sts = server.client("sts", session)
    ask = sts.get_scoped_credentials
    assert refused(ask, DurationSeconds=3601)[:2] == (400, "InsufficientSessionLifetime")
    assert refused(ask)[:2] == (400, "ValidationError")
    assert refused(ask, Policy="{}")[:2] == (400, "MalformedPolicyDocument")
    assert refused(ask, DurationSeconds=129_601)[:2] == (400, "ValidationError")
    owner = server.client("sts", new_user(server, account, "owner", allow("*")))
    for client in (owner, server.client("sts", account.root)):
        assert refused(client.get_scoped_credentials, DurationSeconds=60)[:2] == (403, "AccessDenied")
    own = Keys.of(owner.get_session_token()["Credentials"])
    answer, _ = scoped(server, own, Policy=READ_USERS)
    assert answer["SessionInfo"]["Arn"] == f"arn:aws:iam::{account.account_id}:user/owner"


def test_the_journal_says_what_the_session_is_for_and_holds_no_secret(server: Server, session: Keys) -> None:
    answer, child = scoped(
        server, session, Policy=READ_USERS, DurationSeconds=60, ScopedSessionDescription="nightly report"
    )
    (record,) = records_of(server, answer["ResponseMetadata"]["RequestId"])
    assert (record["eventName"], record["userIdentity"]["accessKeyId"]) == (
        "GetScopedCredentials",
        session.access_key_id,
    )
    assert record["requestParameters"] == {
        "policy": READ_USERS,
        "durationSeconds": 60,
        "scopedSessionDescription": "nightly report",
    }
    shown = json.dumps(record)
    assert record["responseElements"]["credentials"]["accessKeyId"] == child.access_key_id
    assert child.session_token
    assert child.secret_access_key not in shown and child.session_token not in shown
    later = server.client("sts", child).get_caller_identity()
    (record,) = records_of(server, later["ResponseMetadata"]["RequestId"])
    assert record["userIdentity"]["accessKeyId"] == child.access_key_id
    assert record["userIdentity"]["sessionContext"]["sourceIdentity"] == "ursula"
