"""Service last accessed details through boto3, fed by what a user asked the server for."""

import csv
import io
import time
from typing import Any

from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import allow, assume, new_role, new_user, refusal, trust
from tests.e2e.trails import eventually


def test_what_a_user_asked_for_is_told_by_service_and_action(server: Server, account: Account, root: Any):
    keys = new_user(server, account, "alice", allow("iam:GetUser", "iam:List*", "sts:Get*", "sqs:*"))
    alice = f"arn:aws:iam::{account.account_id}:user/alice"
    iam = server.client("iam", keys)
    started = int(time.time())
    iam.get_user()
    server.client("sts", keys).get_caller_identity()
    # What is refused counts as well, as on AWS.
    assert refusal(iam.generate_service_last_accessed_details, Arn=alice)[::2] == ("AccessDenied", 403)
    job = root.generate_service_last_accessed_details(Arn=alice, Granularity="ACTION_LEVEL")["JobId"]
    deadline = time.monotonic() + 30
    while True:
        details = root.get_service_last_accessed_details(JobId=job)
        services = {one["ServiceNamespace"]: one for one in details["ServicesLastAccessed"]}
        if "LastAuthenticated" in services["iam"] and "LastAuthenticated" in services["sts"]:
            break
        assert time.monotonic() < deadline, "the marks are not written"
        time.sleep(0.5)
    assert (details["JobStatus"], details["JobType"]) == ("COMPLETED", "ACTION_LEVEL")
    assert set(services) == {"iam", "sqs", "sts"}
    assert services["iam"]["LastAuthenticatedEntity"] == alice
    assert services["iam"]["LastAuthenticated"].timestamp() >= started
    assert services["sqs"] == {
        "ServiceName": services["sqs"]["ServiceName"],
        "ServiceNamespace": "sqs",
        "TotalAuthenticatedEntities": 0,
        "TrackedActionsLastAccessed": [],
    }
    assert {one["ActionName"] for one in services["iam"]["TrackedActionsLastAccessed"]} == {
        "GetUser",
        "GenerateServiceLastAccessedDetails",
    }
    entities = root.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="iam")
    (one,) = entities["EntityDetailsList"]
    assert (one["EntityInfo"]["Arn"], one["EntityInfo"]["Type"]) == (alice, "USER")
    assert one["LastAuthenticated"] == services["iam"]["LastAuthenticated"]
    missing = "11111111-2222-4333-8444-555555555555"
    assert refusal(root.get_service_last_accessed_details, JobId=missing)[::2] == ("NoSuchEntity", 404)
    assert refusal(
        root.get_service_last_accessed_details_with_entities, JobId=job, ServiceNamespace="nonsense"
    ) == ("InvalidInput", "Invalid service namespace: [nonsense]", 400)


def test_every_place_tells_the_same_last_use(server: Server, account: Account, root: Any) -> None:
    """Also of services whose model has another name than policies do."""
    keys = new_user(server, account, "alice", allow("access-analyzer:ListAnalyzers"))
    new_role(server, account, "reader", trust(account.account_id), allow("iam:GetRole"))
    server.client("accessanalyzer", keys).list_analyzers()
    used = root.get_access_key_last_used(AccessKeyId=keys.access_key_id)["AccessKeyLastUsed"]
    assert used["ServiceName"] == "access-analyzer"
    root.generate_credential_report()
    report = csv.DictReader(io.StringIO(root.get_credential_report()["Content"].decode()))
    row = next(one for one in report if one["user"] == "alice")
    assert row["access_key_1_last_used_service"] == "access-analyzer"
    assert row["access_key_1_last_used_date"] == used["LastUsedDate"].strftime("%Y-%m-%dT%H:%M:%SZ")
    arn = f"arn:aws:iam::{account.account_id}:user/alice"
    job = root.generate_service_last_accessed_details(Arn=arn, Granularity="ACTION_LEVEL")["JobId"]
    (service,) = eventually(lambda: _used_services(root, job))
    assert service["ServiceNamespace"] == "access-analyzer"
    assert service["LastAuthenticated"] == used["LastUsedDate"]
    assert [one["ActionName"] for one in service["TrackedActionsLastAccessed"]] == ["ListAnalyzers"]

    assert root.get_role(RoleName="reader")["Role"]["RoleLastUsed"] == {}
    caller = assume(
        server,
        new_user(server, account, "taker", allow("sts:AssumeRole")),
        f"arn:aws:iam::{account.account_id}:role/reader",
    )
    server.client("iam", caller).get_role(RoleName="reader")
    shown = root.get_role(RoleName="reader")["Role"]["RoleLastUsed"]
    assert shown["Region"] == "us-east-1"  # IAM's only one, whatever the client signs for
    (detail,) = root.get_account_authorization_details(Filter=["Role"])["RoleDetailList"]
    assert detail["RoleLastUsed"] == shown


def _used_services(root: Any, job: str) -> list[dict[str, Any]]:
    details = root.get_service_last_accessed_details(JobId=job)["ServicesLastAccessed"]
    return [one for one in details if "LastAuthenticated" in one]
