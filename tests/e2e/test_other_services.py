"""Clients of services that are not served here, behind one endpoint URL for all: their error message says so."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import records_of

ASKED = [
    ("logs", "describe_log_groups", {}, "UnknownOperationException"),  # JSON 1.1
    ("dynamodb", "list_tables", {}, "UnknownOperationException"),  # JSON 1.0
    ("lambda", "list_functions", {}, "UnknownOperationException"),  # REST, JSON
    ("s3", "list_buckets", {}, "InvalidAction"),  # REST, XML
    ("s3", "put_object", {"Bucket": "one", "Key": "two", "Body": b"three"}, "InvalidAction"),
    ("sns", "list_topics", {}, "InvalidAction"),  # query
    ("ec2", "describe_instances", {}, "InvalidAction"),
]


@pytest.mark.parametrize(("service", "operation", "parameters", "code"), ASKED)
def test_a_client_of_another_service_reads_which_services_are_served(
    server: Server, account: Account, service: str, operation: str, parameters: dict[str, Any], code: str
) -> None:
    options = {"s3": {"addressing_style": "path"}} if service == "s3" else {}
    client = server.client(service, account.root, **options)
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**parameters)
    said = refused.value.response["Error"]
    assert (said["Code"], said["Message"]) == (
        code,
        "This endpoint serves ACCESSANALYZER, CLOUDTRAIL, COGNITO-IDENTITY, EKS, EKS-AUTH, IAM, IDENTITYSTORE, "
        f"ORGANIZATIONS, ROLESANYWHERE, SIGNIN, SSO, SSO-OIDC and STS, not {service}.",
    )


def test_the_log_and_the_journal_say_what_was_asked(server: Server, account: Account) -> None:
    with pytest.raises(ClientError) as refused:
        server.client("logs", account.root).describe_log_groups()
    request_id = refused.value.response["ResponseMetadata"]["RequestId"]
    (line,) = [line for line in server.log.splitlines() if request_id in line]
    assert '"action": "logs:DescribeLogGroups"' in line
    (record,) = records_of(server, request_id)
    assert (record["eventSource"], record["eventName"]) == (
        "logs.amazonaws.com",
        "DescribeLogGroups",
    )
