"""The thinnest thread through everything: who am I, with keys good and bad."""

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Account, Keys, Server


def test_root_learns_who_it_is(server: Server, account: Account):
    identity = server.client("sts", account.root).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{account.account_id}:root"
    assert identity["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]


def test_a_user_without_policies_learns_who_it_is_and_nothing_else(server: Server, account: Account, root):
    user = root.create_user(UserName="alice")["User"]
    keys = Keys.of(root.create_access_key(UserName="alice")["AccessKey"])
    identity = server.client("sts", keys).get_caller_identity()
    assert (identity["UserId"], identity["Arn"]) == (user["UserId"], user["Arn"])
    with pytest.raises(ClientError) as refused:
        server.client("iam", keys).list_users()
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDenied"
    assert error["Message"].startswith(
        f"User: {user['Arn']} is not authorized to perform: iam:ListUsers on resource: "
    )
    assert "because no identity-based policy allows the iam:ListUsers action" in error["Message"]


def test_an_unknown_access_key_is_refused(server: Server):
    with pytest.raises(ClientError) as refused:
        server.client("sts", Keys("AKIA" + "Q" * 16, "no secret at all")).get_caller_identity()
    assert refused.value.response["Error"]["Code"] == "InvalidClientTokenId"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
