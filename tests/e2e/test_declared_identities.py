"""`broker apply` beside a running server: an app's people get credentials, and a provider pushes its own, at once."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from broker.declaration.declared_ids import declared_pool_id
from tests.e2e.conftest import REGION, ROOT, Account, Server
from tests.e2e.identity_pools import COGNITO, keys_of, trust_of
from tests.e2e.scim import ScimClient

PROVIDER = "sso.example.com/realms/staff"


def broker(server: Server, *words: str) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    command = [sys.executable, "-m", "broker", *words]
    environment = {**plain, **server.settings}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def declaration(account: Account) -> dict[str, Any]:
    pool_id = declared_pool_id(account.account_id, REGION, "shop")
    trust = {"Version": "2012-10-17", "Statement": trust_of(pool_id)}
    provider_arn = f"arn:aws:iam::{account.account_id}:oidc-provider/{PROVIDER}"
    declared = {
        "roles": {"customer": {"trust_policy": trust}},
        "open_id_connect_providers": {PROVIDER: {"client_ids": ["broker"]}},
        "identity_pools": {
            "shop": {
                "region": REGION,
                "developer_provider": "login.shop",
                "roles": {"authenticated": "customer"},
            }
        },
        "identity_stores": {provider_arn: {"match_by": "userName", "claim": "email", "bearer_tokens": 1}},
    }
    return {"accounts": {account.account_id: declared}}


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_what_a_file_declares_works_at_once(server: Server, account: Account, tmp_path: Path) -> None:
    file = tmp_path / "declared.json"
    file.write_text(json.dumps(declaration(account)))
    shown = broker(server, "apply", str(file))
    pool_id = declared_pool_id(account.account_id, REGION, "shop")
    cognito, app = (server.client("cognito-identity", keys) for keys in (account.root, None))
    vouched = cognito.get_open_id_token_for_developer_identity(
        IdentityPoolId=pool_id, Logins={"login.shop": "user-7"}
    )
    given = app.get_credentials_for_identity(
        IdentityId=vouched["IdentityId"], Logins={COGNITO: vouched["Token"]}
    )
    identity = server.client("sts", keys_of(given)).get_caller_identity()
    assert ":assumed-role/customer/" in identity["Arn"]
    found = re.search(r"scim\.\S+", shown)
    assert found is not None, shown
    scim = ScimClient(server.url, found.group())
    ada = scim.new_user("ada@example.com")
    store_id = found.group().split(".")[2]
    named = {"IdentityStoreId": store_id, "UserId": ada}
    user = server.client("identitystore", account.root).describe_user(**named)
    assert user["UserName"] == "ada@example.com"
    exported = broker(server, "export", "--account", account.account_id)
    assert "ada@example.com" not in exported and "scim." not in exported
    assert "user-7" not in exported and "developer_provider: login.shop" in exported
