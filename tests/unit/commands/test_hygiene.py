"""`broker hygiene`: a row for each finding, and an exit status for scripts."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from broker.app import clock, open_broker
from broker.commands import hygiene
from broker.config import Settings
from broker.hygiene.rules import RULES
from broker.names.secret import SecretKey
from broker.storage.last_accessed import operation_key
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.password_records import LoginProfile, PasswordPolicy
from broker.storage.records import AccessKey, Account, ManagedPolicy, PolicyVersion, Role, Usage, User
from broker.storage.store import (
    ACCESS_KEYS,
    ACCOUNTS,
    LOGIN_PROFILES,
    ORGANIZATION,
    PASSWORD_POLICY,
    POLICIES,
    ROLES,
    USAGE,
    USERS,
    Transaction,
)

from .conftest import Run

HERE, OTHER = "111122223333", "444455556666"
KEY = "AKIA2222222222222222"
DAY = 86_400


def in_broker(settings: Settings, work: Callable[[Transaction], Awaitable[Any]]) -> None:
    async def main() -> None:
        async with open_broker(settings, {}) as broker:
            await broker.store.transact(work)

    asyncio.run(main())


def allow(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


async def tidy(store: Transaction) -> None:
    store.put(ACCOUNTS, "", Account(account_id=HERE))
    store.put(PASSWORD_POLICY, HERE, PasswordPolicy())


async def untidy(store: Transaction) -> None:
    long_ago = int(clock()) - 200 * DAY
    await tidy(store)
    store.put(
        USERS,
        HERE,
        User(account_id=HERE, user_name="Alice", user_id="AIDA1", created_at=1, access_key_ids=(KEY,)),
    )
    store.put(
        LOGIN_PROFILES,
        HERE,
        LoginProfile(user_name="Alice", password_hash=None, created_at=1, changed_at=1),
    )
    key = AccessKey(
        account_id=HERE, access_key_id=KEY, user_name="Alice", secret=SecretKey("s"), created_at=long_ago
    )
    store.put(ACCESS_KEYS, HERE, key)
    store.put(USAGE, HERE, Usage(last_used_at=long_ago + 50 * DAY), key=KEY)
    trust = allow(Principal={"AWS": OTHER}, Action="sts:AssumeRole")
    store.put(
        ROLES,
        HERE,
        Role(
            account_id=HERE, role_name="app", role_id="AROA1", created_at=long_ago, assume_role_policy=trust
        ),
    )
    version = PolicyVersion(version_id="v1", document=allow(Action="*", Resource="*"), created_at=1)
    store.put(
        POLICIES,
        HERE,
        ManagedPolicy(
            account_id=HERE, policy_name="all", policy_id="1", versions=(version,), created_at=1, updated_at=1
        ),
    )


def test_a_tidy_account_ends_with_zero(run: Run, settings: Settings) -> None:
    in_broker(settings, tidy)
    ended = run("hygiene", "--account", HERE)
    assert (ended.status, ended.shown) == (0, "nothing found\n")
    assert json.loads(run("hygiene", "--json").shown) == []


def test_each_finding_is_a_row_and_the_status_is_one(run: Run, settings: Settings) -> None:
    in_broker(settings, untidy)
    ended = run("hygiene", "--json")
    assert ended.status == 1
    rows = json.loads(ended.shown)
    of_key = {"account": HERE, "kind": "user", "name": "Alice", "detail": KEY}
    assert [(one["rule"], one["severity"]) for one in rows] == [
        ("everything_allowed", "high"),
        ("without_second_factor", "high"),
        ("account_trusted", "medium"),
        ("old_keys", "medium"),
        ("unused_keys", "medium"),
        ("unused_passwords", "low"),
        ("unused_roles", "low"),
    ]
    assert rows[3] == {"rule": "old_keys", "severity": "medium", **of_key, "days": 200, "why": rows[3]["why"]}
    assert rows[4]["days"] == 150
    table = run("hygiene").shown.splitlines()
    assert len(table) == 1 + len(rows)
    assert "role app" in table[3]


def test_rules_are_chosen_and_their_limits_are_given(run: Run, settings: Settings) -> None:
    in_broker(settings, untidy)
    rules = ("--rule", "old_keys", "--rule", "unused_keys", "--json")
    assert [one["rule"] for one in json.loads(run("hygiene", *rules, "--key-age", "200").shown)] == [
        "unused_keys"
    ]
    assert run("hygiene", *rules, "--key-age", "200", "--unused", "200").status == 0
    skipped = json.loads(run("hygiene", "--json", "--skip", "old_keys").shown)
    assert "old_keys" not in {one["rule"] for one in skipped}
    assert len(skipped) == 6


def test_rules_that_matter_less_are_left_out(run: Run, settings: Settings) -> None:
    in_broker(settings, untidy)

    def severities(*words: str) -> set[str]:
        return {one["severity"] for one in json.loads(run("hygiene", "--json", *words).shown)}

    assert severities("--severity", "low") == {"high", "medium", "low"}
    assert severities("--severity", "medium") == {"high", "medium"}
    assert severities("--severity", "high") == {"high"}
    assert run("hygiene", "--severity", "high", "--rule", "old_keys").status == 0


async def partly_used(store: Transaction) -> None:
    """A role that was used today, for one of what it may do."""
    await tidy(store)
    trust = allow(Principal={"AWS": f"arn:aws:iam::{OTHER}:role/ci"}, Action="sts:AssumeRole")
    policies = {"p": allow(Action=["iam:GetUser", "iam:ListUsers", "organizations:*"], Resource="*")}
    role = Role(
        account_id=HERE,
        role_name="worker",
        role_id="AROA2",
        created_at=1,
        assume_role_policy=trust,
        inline_policies=policies,
    )
    store.put(ROLES, HERE, role)
    used = Usage(last_used_at=int(clock()), service="iam", action="GetUser")
    store.put(USAGE, HERE, used, key="AROA2")
    store.put(USAGE, HERE, used, key=operation_key("AROA2", "iam", "GetUser"))


def test_what_access_analyzer_finds_is_found(run: Run, settings: Settings) -> None:
    in_broker(settings, partly_used)
    rows = json.loads(run("hygiene", "--json").shown)
    assert [(one["rule"], one["name"], one["detail"]) for one in rows] == [
        ("outside_trusted", "worker", f"arn:aws:iam::{OTHER}:role/ci"),
        ("unused_permissions", "worker", "iam (1 action), organizations"),
    ]

    async def in_organization(store: Transaction) -> None:
        accounts = {one: OrganizationalUnit(parent="r-ab12") for one in (HERE, OTHER)}
        record = Organization(organization_id="o-abcdefghij", management_account_id=HERE, accounts=accounts)
        store.put(ORGANIZATION, "", record)

    in_broker(settings, in_organization)
    assert [one["rule"] for one in json.loads(run("hygiene", "--account", HERE, "--json").shown)] == [
        "unused_permissions"
    ]


def test_what_cannot_be_meant_is_refused(run: Run, settings: Settings) -> None:
    in_broker(settings, tidy)
    assert run("hygiene", "--rule", "old_key").status == 2
    assert run("hygiene", "--unused", "-1").status == 2
    assert run("hygiene", "--account", OTHER).status == 1


def test_the_help_explains_every_rule() -> None:
    for rule in RULES:
        assert f"\n  {rule.name} " in hygiene.DESCRIPTION


def test_a_store_that_cannot_be_read_is_no_finding(run: Run, settings: Settings) -> None:
    in_broker(settings, tidy)
    ended = run("hygiene", "--store", "redis://127.0.0.1:1")
    assert ended.status == 3


def test_of_several_accounts_the_most_severe_findings_come_first(run: Run, settings: Settings) -> None:
    async def with_another(store: Transaction) -> None:
        await untidy(store)
        store.put(ACCOUNTS, "", Account(account_id=OTHER))
        policy = await store.find(POLICIES, HERE, "all")
        assert policy is not None
        store.put(POLICIES, OTHER, replace(policy, account_id=OTHER, policy_id="2"))

    in_broker(settings, with_another)
    severities = [one["severity"] for one in json.loads(run("hygiene", "--json").shown)]
    assert severities == sorted(severities, key=["high", "medium", "low"].index)
    assert severities.count("high") == 3
