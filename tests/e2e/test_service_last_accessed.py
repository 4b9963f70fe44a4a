"""Service last accessed details through boto3, fed by what a user asked the server for."""

import time
from typing import Any

from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import allow, new_user, refusal


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
