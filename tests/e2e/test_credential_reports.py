"""The credential report through boto3: asked for too early, made, read as the CSV that tools expect, refused."""

import csv
import io
from typing import Any

from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import new_user, refusal


def test_a_credential_report_is_generated_and_read(server: Server, account: Account, root: Any):
    code, _, status = refusal(root.get_credential_report)
    assert (code, status) == ("ReportNotPresent", 410)
    keys = new_user(server, account, "alice")
    iam = server.client("iam", keys)
    for operation in (iam.generate_credential_report, iam.get_credential_report):
        assert refusal(operation)[::2] == ("AccessDenied", 403)
    assert root.generate_credential_report()["State"] == "COMPLETE"
    report = root.get_credential_report()
    assert report["ReportFormat"] == "text/csv"
    rows = {row["user"]: row for row in csv.DictReader(io.StringIO(report["Content"].decode()))}
    assert rows["<root_account>"]["arn"] == f"arn:aws:iam::{account.account_id}:root"
    assert rows["<root_account>"]["access_key_1_active"] == "true"
    alice = rows["alice"]
    assert alice["arn"] == f"arn:aws:iam::{account.account_id}:user/alice"
    assert (alice["password_enabled"], alice["mfa_active"], alice["cert_2_last_rotated"]) == (
        "false",
        "false",
        "N/A",
    )
    # Their refused requests were signed by the key, and the mark is seen before it is written.
    assert (alice["access_key_1_active"], alice["access_key_1_last_used_service"]) == ("true", "iam")
    root.create_user(UserName="bob")
    root.generate_credential_report()
    assert root.get_credential_report() | {"ResponseMetadata": None} == report | {"ResponseMetadata": None}
