"""Temporary delegation as boto3 meets it: one account asks, another approves, credentials come of it."""

import json
from typing import Any

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import allow, document, new_role, new_user, records_of, refused, sentence, trust


class Scene:
    """A vendor's user asks for what its template allows; alice takes requests on, and her boss may do everything."""

    def __init__(self, server: Server, account: Account) -> None:
        self.server, self.account, self.vendor = server, account, server.new_account()
        self.bot = new_user(server, self.vendor, "bot", allow("iam:*", "sts:*"))
        self.alice = new_user(
            server, account, "alice", allow("iam:*DelegationRequest*", "iam:SendDelegationToken")
        )
        self.boss = new_user(server, account, "boss", allow("*"))
        policy = document(allow("sts:AssumeRole", "s3:*"))
        root = server.client("iam", self.vendor.root)
        self.template = root.create_policy(PolicyName="support", PolicyDocument=policy)["Policy"]["Arn"]

    def iam(self, keys: Keys) -> Any:
        return self.server.client("iam", keys)

    def asked(self, **more: Any) -> str:
        usual = {
            "OwnerAccountId": self.account.account_id,
            "Description": "to mend the tables",
            "Permissions": {"PolicyTemplateArn": self.template},
            "RequestorWorkflowId": "ticket-1",
            "NotificationChannel": "poll",
            "SessionDuration": 900,
        }
        answer = self.iam(self.bot).create_delegation_request(**{**usual, **more})
        return str(answer["DelegationRequestId"])

    def trade(self, request_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.server.client("sts", self.bot).get_delegated_access_token(
            TradeInToken=request_id
        )
        return answer


def test_an_approved_and_released_request_is_traded_for_credentials_of_the_approver(
    server: Server, account: Account
) -> None:
    scene = Scene(server, account)
    role = new_role(server, account, "worker", trust(account.account_id))
    request_id = scene.asked()
    named = {"DelegationRequestId": request_id}
    alice, boss = scene.iam(scene.alice), scene.iam(scene.boss)
    alice.associate_delegation_request(**named)
    alice.update_delegation_request(**named, Notes="please decide")
    assert refused(scene.trade, request_id=request_id)[:2] == (403, "AccessDenied")
    (listed,) = boss.list_delegation_requests()["DelegationRequests"]
    assert (listed["State"], listed["Notes"]) == ("PENDING_APPROVAL", "please decide")
    assert json.loads(listed["PermissionPolicy"]) == json.loads(document(allow("sts:AssumeRole", "s3:*")))
    arn = f"arn:aws:iam::{account.account_id}:delegation-request/{request_id}"
    summary = boss.get_human_readable_summary(EntityArn=arn)
    assert summary["SummaryState"] == "AVAILABLE"
    assert "Allows everything in Amazon S3 on all resources." in summary["SummaryContent"]
    boss.accept_delegation_request(**named)
    boss.send_delegation_token(**named)
    polled = scene.iam(scene.bot).get_delegation_request(**named)["DelegationRequest"]
    assert polled["State"] == "FINALIZED"

    answer = scene.trade(request_id)
    assert answer["AssumedPrincipal"] == f"arn:aws:iam::{account.account_id}:user/boss"
    assert answer["Credentials"]["Expiration"] == polled["ExpirationTime"]
    delegated = Keys.of(answer["Credentials"])
    sts = server.client("sts", delegated)
    who = sts.get_caller_identity()
    assert who["Arn"] == f"arn:aws:iam::{account.account_id}:user/boss"
    (record,) = records_of(server, who["ResponseMetadata"]["RequestId"])
    assert record["userIdentity"]["invokedByDelegate"] == {"accountId": scene.vendor.account_id}
    assert sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    status, code, message = refused(sts.get_scoped_credentials, DurationSeconds=60)
    assert (status, code) == (403, "AccessDenied")
    assert sentence(message).endswith(
        "because no scope down policy allows the sts:GetScopedCredentials action"
    )
    (record,) = records_of(server, answer["ResponseMetadata"]["RequestId"])
    assert record["userIdentity"]["arn"] == f"arn:aws:iam::{scene.vendor.account_id}:user/bot"
    assert record["responseElements"]["credentials"]["accessKeyId"] == delegated.access_key_id


def test_a_rejected_request_and_one_of_others_come_to_nothing(server: Server, account: Account) -> None:
    scene = Scene(server, account)
    request_id = scene.asked()
    named = {"DelegationRequestId": request_id}
    alice = scene.iam(scene.alice)
    alice.associate_delegation_request(**named)
    alice.reject_delegation_request(**named, Notes="not today")
    polled = scene.iam(scene.bot).get_delegation_request(**named)["DelegationRequest"]
    assert (polled["State"], polled["RejectionReason"]) == ("REJECTED", "not today")
    assert refused(alice.accept_delegation_request, **named)[:2] == (400, "InvalidInput")
    assert refused(scene.trade, request_id=request_id)[:2] == (403, "AccessDenied")
    stranger = scene.iam(server.new_account().root)
    assert refused(stranger.get_delegation_request, **named)[:2] == (404, "NoSuchEntity")
    assert refused(stranger.reject_delegation_request, **named)[:2] == (404, "NoSuchEntity")


def test_who_has_no_permission_takes_no_step(server: Server, account: Account) -> None:
    scene = Scene(server, account)
    nobody = scene.iam(new_user(server, account, "nobody"))
    named = {"DelegationRequestId": scene.asked()}
    for call in (
        nobody.get_delegation_request,
        nobody.associate_delegation_request,
        nobody.accept_delegation_request,
        nobody.send_delegation_token,
    ):
        assert refused(call, **named)[:2] == (403, "AccessDenied")
