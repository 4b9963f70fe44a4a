"""`broker revoke` and `broker sessions`: what is named, what ends, what stays, what is said and journalled."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.__main__ import main
from broker.access.sessions import session_caller
from broker.app import Broker, open_broker
from broker.commands.revoke import parse_moment
from broker.config import Settings
from broker.credentials.mint import TemporaryCredentials
from broker.errors import Refusal
from broker.names.principal import AssumedRole, IamUser, Root
from broker.sealing.session import inspect_session_token
from broker.storage import records
from broker.storage.engine import Write, account_partition, sessions_partition
from broker.storage.session_records import Revocation, Revocations
from broker.storage.store import ACCOUNTS, REVOCATIONS, ROLES, USERS, Transaction

from .conftest import Run

A, B = "111111111111", "222222222222"
ROLE_ARN, USER_ARN = f"arn:aws:iam::{A}:role/team/app", f"arn:aws:iam::{A}:user/alice"
ALICE_KEY = "AKIAALICEALICEALICE0"


class World:
    """Accounts with a role and a user each, and sessions that were minted and listed."""

    def __init__(self, run: Run, settings: Settings) -> None:
        self.run, self.settings = run, settings
        self.tokens: dict[str, str] = {}
        self.in_broker(self._populate)

    async def _populate(self, broker: Broker) -> None:
        await broker.store.transact(_populate)
        mint, now = broker.mint, {"now": time.time(), "duration": 900}
        alice = IamUser(A, "alice", "AIDA1")
        self.role = self._minted("role", mint.assumed_role(_role("app", "AROA1"), **now))
        chained = AssumedRole(B, "app", "AROA9", "s")
        self.chained = self._minted(
            "chained", mint.assumed_role(chained, **now, issuer_access_key_id=self.role)
        )
        self.other = self._minted("other", mint.assumed_role(_role("other", "AROA2"), **now))
        self.user = self._minted("user", mint.session_token(alice, **now, issuer_access_key_id=ALICE_KEY))
        self.root = self._minted("root", mint.session_token(Root(A), **now))

    def _minted(self, name: str, minted: TemporaryCredentials) -> str:
        self.tokens[name] = minted.session_token
        return minted.access_key_id

    async def mint_again(self, broker: Broker) -> None:
        """In the account's role and user, now."""
        now = {"now": time.time(), "duration": 900}
        self._minted("new", broker.mint.assumed_role(_role("app", "AROA1"), **now))
        self._minted("new user", broker.mint.session_token(IamUser(A, "alice", "AIDA1"), **now))

    def in_broker(self, work: Callable[[Broker], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with open_broker(self.settings, {}) as broker:
                return await work(broker)

        return asyncio.run(run())

    def refused(self) -> set[str]:
        """The sessions that are refused."""

        async def work(broker: Broker) -> set[str]:
            found = set()
            for name, token in self.tokens.items():
                claims = inspect_session_token(broker.keyrings.sessions(), token)
                try:
                    await session_caller(broker.store.transaction(), claims)
                except Refusal as refusal:
                    assert refusal.reason.startswith("revoked at ")
                    found.add(name)
            return found

        refused: set[str] = self.in_broker(work)
        return refused

    def states(self, *arguments: str) -> dict[str, str]:
        listed = json.loads(self.run("sessions", "--json", *arguments).shown)
        return {one["accessKeyId"]: one["state"] for one in listed}

    def journalled(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in Path(self.settings.audit.path).read_text().splitlines()]


def _role(name: str, role_id: str) -> AssumedRole:
    return AssumedRole(A, name, role_id, "session")


async def _populate(store: Transaction) -> None:
    for account in (A, B):
        store.put(ACCOUNTS, "", records.Account(account_id=account))
    for account, name, role_id, path in (
        (A, "app", "AROA1", "/team/"),
        (A, "other", "AROA2", "/"),
        (B, "app", "AROA9", "/"),
    ):
        role = records.Role(
            account_id=account,
            role_name=name,
            role_id=role_id,
            path=path,
            created_at=0,
            assume_role_policy="{}",
        )
        store.put(ROLES, account, role)
    alice = records.User(
        account_id=A, user_name="alice", user_id="AIDA1", created_at=0, access_key_ids=(ALICE_KEY,)
    )
    store.put(USERS, A, alice)


@pytest.fixture
def world(run: Run, settings: Settings) -> World:
    return World(run, settings)


def test_all_sessions_are_listed_and_live(world: World) -> None:
    assert world.refused() == set()
    assert world.states() == dict.fromkeys(
        [world.role, world.chained, world.other, world.user, world.root], "live"
    )
    shown = world.run("sessions", "--account", B).shown.splitlines()
    assert shown[0].split() == [
        "ACCESS",
        "KEY",
        "SESSION",
        "OF",
        "ISSUED",
        "EXPIRES",
        "ISSUED",
        "BY",
        "STATE",
    ]
    (line,) = shown[1:]
    assert line.startswith(f"{world.chained}  arn:aws:sts::{B}:assumed-role/app/s  ")
    assert line.split()[-2:] == [world.role, "live"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--account", B), {"chained"}),
        (("--principal", ROLE_ARN), {"role"}),
        (("--principal", f"arn:aws:sts::{A}:assumed-role/app/session"), {"role"}),
        (("--principal", USER_ARN), {"user"}),
        (("--principal", f"arn:aws:iam::{A}:root"), {"root"}),
        (("--issued-by", ALICE_KEY), {"user"}),
        (("--issued-by", "AKIANOBODY"), set()),
    ],
)
def test_sessions_are_chosen(world: World, arguments: tuple[str, ...], expected: set[str]) -> None:
    assert world.states(*arguments).keys() == {getattr(world, name) for name in expected}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sessions", "--account", "333333333333"), "there is no account 333333333333"),
        (("sessions", "--principal", f"arn:aws:iam::{A}:role/app"), "there is no role arn:aws:iam"),
        (("sessions", "--principal", "alice"), "'alice' is not an ARN"),
        (("revoke", "role", f"arn:aws:iam::{A}:role/nobody"), "there is no role"),
        (("revoke", "role", USER_ARN), "is not the ARN of a role"),
        (("revoke", "user", f"arn:aws:iam::{A}:root"), "is not the ARN of a user"),
        (("revoke", "user", f"arn:aws:iam::{A}:user/Alice"), "there is no user"),
        (("revoke", "user", f"arn:aws:iam::{A}:group/x"), "of no role, no user and no root user"),
        (("revoke", "root", "333333333333"), "there is no account 333333333333"),
        (("revoke", "account", "1"), "there is no account 1"),
        (("revoke", "session", ALICE_KEY), "is a long-term access key and no session"),
        (("revoke", "session", "ASIA"), "is no access key id of a session of this broker"),
        (("revoke", "session", "ASIAIOSFODNN7EXAMPLE"), "is no access key id of a session of this broker"),
        (("revoke", "key", "00"), "the sessions keyring has no key 00"),
        (("revoke", "role", ROLE_ARN, "--before", "2999-01-01T00:00:00Z"), "is in the future"),
    ],
)
def test_an_unknown_target_is_refused_and_nothing_is_changed(
    world: World, arguments: tuple[str, ...], said: str
) -> None:
    before = world.in_broker(lambda broker: broker.engine.revision(account_partition(A)))
    ended = world.run(*arguments)
    assert (ended.status, ended.shown) == (1, "")
    assert said in ended.said
    assert world.in_broker(lambda broker: broker.engine.revision(account_partition(A))) == before


def test_one_session_is_revoked(world: World) -> None:
    ended = world.run("revoke", "session", world.role)
    assert ended.status == 0, ended.said
    first, second = ended.shown.splitlines()
    assert first == f"revoked: session {world.role} (arn:aws:sts::{A}:assumed-role/app/session)"
    assert second.startswith("1 live session ends that would have expired at 20")
    assert f"broker sessions --issued-by {world.role}" in ended.said, "what it has assumed is still accepted"
    assert world.refused() == {"role"}
    assert world.states()[world.role] == "revoked"


def test_a_session_that_is_not_listed_is_revoked_all_the_same(world: World) -> None:
    async def forget(broker: Broker) -> None:
        for key, _ in await broker.engine.scan(sessions_partition(A), ""):
            await broker.engine.commit(sessions_partition(A), [Write(key, None)], None)

    world.in_broker(forget)
    ended = world.run("revoke", "session", world.role)
    assert ended.shown.splitlines() == [
        f"revoked: session {world.role}",
        "no session that is listed was live",
    ]
    assert world.refused() == {"role"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("role", ROLE_ARN), {"role"}),
        (("user", USER_ARN), {"user"}),
        (("root", A), {"root"}),
        (("account", A), {"role", "other", "user", "root"}),
    ],
)
def test_all_sessions_of_an_identity_are_revoked_and_those_issued_afterwards_are_good(
    world: World, arguments: tuple[str, str], expected: set[str]
) -> None:
    ended = world.run("revoke", *arguments)
    assert ended.status == 0, ended.said
    number = len(expected)
    assert ended.shown.splitlines()[1].startswith(
        "1 live session ends" if number == 1 else f"{number} live sessions end"
    )
    assert world.refused() == expected
    world.in_broker(world.mint_again)
    assert world.refused() == expected, "not even in the same second"
    assert [state for state in world.states().values() if state == "revoked"] == ["revoked"] * number


def test_a_users_long_term_keys_are_named_because_they_are_still_accepted(world: World) -> None:
    assert f"# still accepted: access key {ALICE_KEY}" in world.run("revoke", "user", USER_ARN).said


def test_only_what_was_issued_before_the_moment_is_revoked(world: World) -> None:
    past = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    ended = world.run("revoke", "role", ROLE_ARN, "--before", past)
    assert (ended.status, ended.shown.splitlines()[1]) == (0, "no session that is listed was live")
    assert world.refused() == set()
    listed = world.run("revoke", "list").shown.splitlines()[1:]
    assert [line.split()[:3] for line in listed] == [[A, ROLE_ARN, past]]


def test_a_revocation_that_concerns_no_unexpired_session_is_not_stored(world: World) -> None:
    ended = world.run("revoke", "role", ROLE_ARN, "--before", "2020-01-01T00:00:00+02:00")
    assert ended.status == 0
    assert "nothing to do" in ended.shown
    assert world.run("revoke", "list").shown.splitlines()[1:] == []


def test_what_one_key_sealed_ends_in_all_accounts(world: World) -> None:
    (suspected,) = {one["sealedBy"] for one in json.loads(world.run("sessions", "--json").shown)}
    refused = world.run("revoke", "key", suspected)
    assert (refused.status, "rotate first" in refused.said) == (1, True)
    world.run("keys", "rotate")
    world.run("keys", "rotate", "--at-once")
    ended = world.run("revoke", "key", suspected)
    assert ended.status == 0
    assert "5 live sessions end" in ended.shown
    assert set(world.states().values()) == {"key dropped"}


def test_a_session_whose_role_is_gone_is_listed_as_such(world: World) -> None:
    async def delete(store: Transaction) -> None:
        store.delete(ROLES, A, "app")

    world.in_broker(lambda broker: broker.store.transact(delete))
    assert world.states()[world.role] == "principal gone"


def test_a_revocation_is_journalled_as_of_the_account(world: World) -> None:
    world.run("revoke", "role", ROLE_ARN)
    record = world.journalled()[-1]
    assert (record["eventSource"], record["eventName"], record["recipientAccountId"]) == (
        "broker",
        "RevokeSessions",
        A,
    )
    parameters = record["requestParameters"]
    assert parameters.pop("issuedBefore") < parameters.pop("endsAt")
    assert parameters == {"subject": "AROA1", "revoked": f"sessions of {ROLE_ARN}", "listedSessions": 1}
    assert record["additionalEventData"]["command"] == "revoke role"


def test_without_a_journal_nothing_is_revoked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_AUDIT_PATH", "/proc/nowhere/audit.jsonl")
    assert world.run("revoke", "role", ROLE_ARN).status == 3
    assert world.refused() == set()


def test_revocations_are_listed_by_what_they_are_of(world: World) -> None:
    for arguments in (("session", world.other), ("role", ROLE_ARN), ("account", B)):
        assert world.run("revoke", *arguments).status == 0
    rows = [line.split() for line in world.run("revoke", "list").shown.splitlines()[1:]]
    assert [(row[0], row[1]) for row in rows] == [(A, world.other), (A, ROLE_ARN), (B, "account")]
    assert rows[0][2] == "-"
    assert len(world.run("revoke", "list", "--account", B).shown.splitlines()) == 2


def test_a_record_of_many_sessions_says_when_there_are_too_many(world: World) -> None:
    one = Revocation(issued_before=1, ends_at=int(time.time()) + 900, revoked_at=1)
    full = Revocations(by_subject={f"ASIA{number}": one for number in range(1000)})

    async def fill(store: Transaction) -> None:
        store.put(REVOCATIONS, A, full, expires_at=one.ends_at)

    world.in_broker(lambda broker: broker.store.transact(fill))
    ended = world.run("revoke", "session", world.role)
    assert ended.status == 1
    assert "1000 single sessions of the account are revoked already: revoke its role, its user" in ended.said
    assert world.run("revoke", "role", ROLE_ARN).status == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-30T09:00:00Z", 1_796_029_200),
        ("2026-11-30T10:00:00+01:00", 1_796_029_200),
        ("2026-11-30T09:00:00.001Z", 1_796_029_201),
    ],
)
def test_a_moment_is_read_in_any_time_zone_and_rounded_up(text: str, seconds: int) -> None:
    assert parse_moment(text) == seconds


@pytest.mark.parametrize("text", ["yesterday", "2026-11-30", "2026-11-30T09:00:00", "1796029200", ""])
def test_an_invalid_time_is_refused_with_an_example(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["revoke", "role", ROLE_ARN, "--before", text])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "such as 2026-11-30T09:00:00Z" in said or "has no time zone" in said


@pytest.mark.parametrize("command", ["sessions", "revoke"])
def test_the_help_teaches_without_a_store(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"broker {command} " in capsys.readouterr().out
