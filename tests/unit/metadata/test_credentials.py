"""Credentials through the handler: minted once, renewed at half life, gone with the role."""

import asyncio
import json
import os
import secrets
import time
from collections import Counter
from datetime import UTC, datetime

import msgspec
import pytest

from broker.access.sessions import session_caller
from broker.audit.journal import Journal, JournalUnavailable, Sync
from broker.errors import Refusal
from broker.metadata.credentials import MINIMUM_LEFT, CredentialCache
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import drop, promote, stage
from broker.sealing.session import inspect_session_token
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.session_records import WHOLE_ACCOUNT, Revocation, Revocations
from broker.storage.store import (
    INSTANCE_PROFILES,
    INSTANCES,
    ORGANIZATION,
    REVOCATIONS,
    ROLES,
    Transaction,
)
from tests.unit.metadata.conftest import (
    ACCOUNT,
    CREDENTIALS,
    INSTANCE,
    NOW,
    Client,
    World,
    instance,
    profile,
    role,
)
from tests.unit.session_tokens import open_session_token

LIFE = 21_600


@pytest.fixture
async def machine(world: World) -> Client:
    await world.machine()
    return await world.client()


def seconds_left(answer: dict, now: float) -> float:
    ends = datetime.strptime(answer["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return ends.timestamp() - now


async def test_the_role_is_listed_and_its_credentials_have_the_members_that_sdks_read(machine: Client):
    token = await machine.token()
    listing = await machine.get(CREDENTIALS, token)
    assert listing.text == "web"
    answer = (await machine.get(CREDENTIALS + "web", token)).json
    assert answer["Code"] == "Success"
    assert answer["Type"] == "AWS-HMAC"
    assert answer["LastUpdated"] == "2027-01-15T08:00:00Z"
    assert answer["Expiration"] == "2027-01-15T14:00:00Z"
    assert answer["AccessKeyId"].startswith("ASIA")
    assert len(answer["SecretAccessKey"]) == 40


@pytest.mark.parametrize("delivery", ["1.0", "2.0"])
async def test_the_session_knows_its_machine_and_how_it_was_delivered(world: World, delivery: str):
    await world.machine(tokens_required=False, vpc_id="vpc-1", local_ipv4="10.0.0.5")
    client = await world.client()
    token = None if delivery == "1.0" else await client.token()
    answer = (await client.get(CREDENTIALS + "web", token)).json
    claims, secret = open_session_token(world.ring, answer["Token"], answer["AccessKeyId"], NOW)
    assert secret.reveal() == answer["SecretAccessKey"]
    caller = await session_caller(world.store.transaction(), claims)
    assert caller.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/web/{INSTANCE}"
    assert (caller.role_delivery, caller.instance_id) == (delivery, INSTANCE)
    assert caller.session_keys == {
        "ec2:sourceinstancearn": (f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{INSTANCE}",),
        "aws:ec2instancesourcevpc": ("vpc-1",),
        "aws:ec2instancesourceprivateipv4": ("10.0.0.5",),
    }


async def test_one_mint_serves_many_readers_and_leaves_one_record_without_secrets(
    world: World, machine: Client
):
    tokens = [await machine.token() for _ in range(10)]
    answers = await asyncio.gather(*(machine.get(CREDENTIALS + "web", token) for token in tokens * 3))
    assert len({answer.body for answer in answers}) == 1
    (event,) = world.journalled()
    assert (event["eventSource"], event["eventName"]) == ("sts.amazonaws.com", "AssumeRole")
    assert event["userIdentity"] == {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}
    assert event["sourceIPAddress"] == "ec2.amazonaws.com"
    assert event["requestParameters"]["roleSessionName"] == INSTANCE
    delivered = answers[0].json
    assert event["responseElements"]["credentials"]["accessKeyId"] == delivered["AccessKeyId"]
    assert delivered["SecretAccessKey"] not in str(event)
    assert delivered["Token"] not in str(event)


async def test_credentials_stay_until_half_of_their_life_and_are_others_from_then_on(
    world: World, machine: Client
):
    token = await machine.token()
    first = (await machine.get(CREDENTIALS + "web", token)).json
    world.now = NOW + LIFE / 2 - 1
    assert (await machine.get(CREDENTIALS + "web", token)).json == first
    world.now = NOW + LIFE / 2
    second = (await machine.get(CREDENTIALS + "web", token)).json
    assert second["AccessKeyId"] != first["AccessKeyId"]
    assert seconds_left(second, world.now) == LIFE


async def test_credentials_whose_key_was_dropped_are_delivered_no_more(world: World, machine: Client):
    first = (await machine.get(CREDENTIALS + "web", await machine.token())).json
    suspected = world.ring.primary.id
    world.ring = promote(stage(world.ring, NOW, secrets.token_bytes(KEY_ENTROPY)), NOW, 3600)
    assert (await machine.get(CREDENTIALS + "web", await machine.token())).json == first
    world.ring = drop(world.ring, suspected)
    second = (await machine.get(CREDENTIALS + "web", await machine.token())).json
    assert second["AccessKeyId"] != first["AccessKeyId"]
    open_session_token(world.ring, second["Token"], second["AccessKeyId"], NOW)


async def revoke(world: World, subject: str, before: float) -> None:
    revocation = Revocation(issued_before=int(before), ends_at=int(NOW) + 50_000, revoked_at=int(NOW))

    async def work(store: Transaction) -> None:
        store.put(
            REVOCATIONS,
            ACCOUNT,
            Revocations(by_subject={subject: revocation}),
            expires_at=revocation.ends_at,
        )

    await world.store.transact(work)


@pytest.mark.parametrize("subject", [role().role_id, WHOLE_ACCOUNT])
async def test_a_role_that_is_revoked_is_delivered_with_new_credentials_at_once(
    world: World, machine: Client, subject: str
):
    token = await machine.token()
    first = (await machine.get(CREDENTIALS + "web", token)).json
    world.now = NOW + 60
    await revoke(world, subject, before=NOW + 60)
    second = (await machine.get(CREDENTIALS + "web", token)).json
    assert second["AccessKeyId"] != first["AccessKeyId"]
    assert (await machine.get(CREDENTIALS + "web", token)).json == second
    read = world.store.transaction()
    revoked, good = [inspect_session_token(world.ring, one["Token"]) for one in (first, second)]
    with pytest.raises(Refusal, match="invalid"):
        await session_caller(read, revoked)
    assert (await session_caller(read, good)).token_issued_at == NOW + 60


async def test_a_single_delivered_session_that_is_revoked_is_replaced(world: World, machine: Client):
    token = await machine.token()
    first = (await machine.get(CREDENTIALS + "web", token)).json
    await revoke(world, first["AccessKeyId"], before=NOW)
    second = (await machine.get(CREDENTIALS + "web", token)).json
    assert second["AccessKeyId"] != first["AccessKeyId"]
    assert (await machine.get(CREDENTIALS + "web", token)).json == second


async def test_a_revocation_of_another_role_changes_no_delivery(world: World, machine: Client):
    token = await machine.token()
    first = (await machine.get(CREDENTIALS + "web", token)).json
    await revoke(world, "AROAOTHER", before=NOW + 60)
    assert (await machine.get(CREDENTIALS + "web", token)).json == first


async def test_a_node_whose_clock_is_behind_delivers_no_session_that_is_revoked_already(
    world: World, machine: Client
):
    token = await machine.token()
    first = (await machine.get(CREDENTIALS + "web", token)).json
    await revoke(world, role().role_id, before=NOW + 30)
    second = (await machine.get(CREDENTIALS + "web", token)).json
    assert second["AccessKeyId"] != first["AccessKeyId"]
    claims = inspect_session_token(world.ring, second["Token"])
    assert claims.issued_at == NOW + 30
    assert (await session_caller(world.store.transaction(), claims)).role is not None
    assert (await machine.get(CREDENTIALS + "web", token)).json == second, "minted once"


@pytest.mark.parametrize("life", [1210, 1500, 3600, LIFE, 43_200])
async def test_over_several_lives_no_read_ever_gets_less_than_twenty_minutes(world: World, life: int):
    await world.machine(tokens_required=False)
    client = await world.client(session_seconds=life)
    seen: Counter[str] = Counter()
    while world.now < NOW + 3 * life:
        answer = (await client.get(CREDENTIALS + "web")).json
        assert seconds_left(answer, world.now) >= MINIMUM_LEFT
        seen[answer["AccessKeyId"]] += 1
        world.now += max(1, (life - MINIMUM_LEFT) / 7)
    assert len(seen) >= 5
    assert all(count > 1 for count in list(seen.values())[:-1])


async def test_renewal_in_the_background_spares_the_next_reader_the_mint(world: World):
    await world.machine()
    handler = world.handler()
    client = await world.client(handler)
    first = (await client.get(CREDENTIALS + "web", await client.token())).json
    await handler.refresh()
    assert len(world.journalled()) == 1
    world.now = NOW + LIFE / 2
    await handler.refresh()
    assert len(world.journalled()) == 2
    second = (await client.get(CREDENTIALS + "web", await client.token())).json
    assert len(world.journalled()) == 2
    assert second["AccessKeyId"] != first["AccessKeyId"]


async def test_credentials_that_are_not_read_are_not_renewed_and_are_evicted(world: World):
    await world.machine()
    handler = world.handler()
    client = await world.client(handler)
    await client.get(CREDENTIALS + "web", await client.token())
    for _ in range(30):
        world.now += LIFE / 10
        await handler.refresh()
    assert len(world.journalled()) == 2  # once renewed, because it had been read
    assert handler._credential_cache._cached == {}
    assert len(handler._cache) == 0


async def test_another_role_in_the_profile_is_seen_by_the_next_read_of_every_worker(
    world: World, machine: Client
):
    token = await machine.token()
    workers = [machine, await world.client()]
    for worker in workers:
        assert (await worker.get(CREDENTIALS + "web", token)).json["Code"] == "Success"
    await world.put(ROLES, role("database"))
    await world.put(INSTANCE_PROFILES, profile("database"))
    for worker in workers:
        assert (await worker.get(CREDENTIALS, token)).text == "database"
        assert (await worker.get(CREDENTIALS + "web", token)).status == 404
        answer = (await worker.get(CREDENTIALS + "database", token)).json
        claims, _ = open_session_token(world.ring, answer["Token"], answer["AccessKeyId"], NOW)
        assert claims.role_name == "database"


async def test_an_unrelated_change_does_not_cost_the_credentials(world: World, machine: Client):
    token = await machine.token()
    first = (await machine.get(CREDENTIALS + "web", token)).body
    await world.put(ROLES, role("other"))
    assert (await machine.get(CREDENTIALS + "web", token)).body == first


async def test_a_role_that_was_deleted_and_created_again_gets_credentials_of_its_own(
    world: World, machine: Client
):
    token = await machine.token()
    await machine.get(CREDENTIALS + "web", token)
    await world.delete(ROLES, "web")
    assert (await machine.get(CREDENTIALS + "web", token)).status == 404
    await world.put(ROLES, role(role_id="AROANEWNEWNEWNEWNEWNE"))
    answer = (await machine.get(CREDENTIALS + "web", token)).json
    claims, _ = open_session_token(world.ring, answer["Token"], answer["AccessKeyId"], NOW)
    assert claims.role_id == "AROANEWNEWNEWNEWNEWNE"


async def test_a_role_that_does_not_trust_ec2_gives_no_credentials_and_says_so(world: World, machine: Client):
    token = await machine.token()
    assert (await machine.get(CREDENTIALS + "web", token)).json["Code"] == "Success"
    await world.put(ROLES, role(service="lambda.amazonaws.com"))
    for _ in range(3):
        answer = await machine.get(CREDENTIALS + "web", token)
        assert answer.status == 200
        assert answer.json["Code"] == "AssumeRoleUnauthorizedAccess"
        assert answer.json["Message"].startswith("EC2 cannot assume the role web.")
        assert "AccessKeyId" not in answer.json
    (_, refused) = world.journalled()
    assert refused["errorCode"] == "AccessDenied"
    await world.put(ROLES, role())
    assert (await machine.get(CREDENTIALS + "web", token)).json["Code"] == "Success"


async def test_a_trust_policy_may_name_the_account_that_it_expects(world: World, machine: Client):
    token = await machine.token()
    wanted = '"Condition":{"StringEquals":{"aws:SourceAccount":"%s"}},"Effect"'
    for account, code in ((ACCOUNT, "Success"), ("999999999999", "AssumeRoleUnauthorizedAccess")):
        text = role().assume_role_policy.replace('"Effect"', wanted % account)
        await world.put(ROLES, msgspec.structs.replace(role(), assume_role_policy=text))
        assert (await machine.get(CREDENTIALS + "web", token)).json["Code"] == code


@pytest.mark.parametrize(
    ("expected", "code"), [("o-abcdefghij", "Success"), ("o-elsewhere", "AssumeRoleUnauthorizedAccess")]
)
async def test_the_data_perimeter_lets_services_act_for_accounts_of_the_organization_alone(
    world: World, machine: Client, expected: str, code: str
):
    """The statement that AWS's guide to resource control policies has against confused deputies."""
    deputies = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sts:AssumeRole",
        "Resource": "*",
        "Condition": {
            "StringNotEqualsIfExists": {"aws:SourceOrgID": expected},
            "Null": {"aws:SourceAccount": "false"},
            "Bool": {"aws:PrincipalIsAWSService": "true"},
        },
    }
    perimeter = json.dumps({"Version": "2012-10-17", "Statement": [deputies]})
    root = OrganizationalUnit(parent=None, resource_control_policies={"perimeter": perimeter})
    organization = Organization(
        organization_id="o-abcdefghij",
        management_account_id="999999999999",
        features=("RESOURCE_CONTROL_POLICY",),
        units={"r-ab12": root},
        accounts={ACCOUNT: OrganizationalUnit(parent="r-ab12")},
    )
    await world.put(ORGANIZATION, organization)
    assert (await machine.get(CREDENTIALS + "web", await machine.token())).json["Code"] == code


async def test_info_names_the_profile_or_says_that_it_is_gone(world: World, machine: Client):
    token = await machine.token()
    info = "/latest/meta-data/iam/info"
    assert (await machine.get(info, token)).json == {
        "Code": "Success",
        "LastUpdated": "2027-01-15T08:00:00Z",
        "InstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/fleet/machines",
        "InstanceProfileId": "AIPAAAAAAAAAAAAAAAAAA",
    }
    await world.delete(INSTANCE_PROFILES, "machines")
    answer = (await machine.get(info, token)).json
    assert answer["Code"] == "InstanceProfileNotFound"
    assert f"arn:aws:iam::{ACCOUNT}:instance-profile/machines" in answer["Message"]
    assert (await machine.get(CREDENTIALS, token)).status == 404


async def test_a_profile_is_named_by_its_whole_arn_or_not_at_all(world: World, machine: Client):
    token = await machine.token()
    for named, status in (
        (f"arn:aws:iam::{ACCOUNT}:instance-profile/fleet/machines", 200),
        (f"arn:aws:iam::{ACCOUNT}:instance-profile/machines", 404),
        ("arn:aws:iam::999999999999:instance-profile/fleet/machines", 404),
    ):
        await world.put(INSTANCES, instance(instance_profile=named))
        assert (await machine.get(CREDENTIALS, token)).status == status, named


async def test_without_a_profile_or_a_role_there_is_nothing_to_list(world: World, machine: Client):
    token = await machine.token()
    await world.put(INSTANCE_PROFILES, profile())
    assert (await machine.get(CREDENTIALS, token)).status == 404
    await world.put(INSTANCES, instance(instance_profile=None))
    assert (await machine.get("/latest/meta-data/iam/", token)).status == 404


async def test_without_the_journal_nothing_is_minted_and_what_is_good_is_served_on(
    world: World, machine: Client, monkeypatch: pytest.MonkeyPatch
):
    def fails(event: object) -> None:
        raise JournalUnavailable("no space left")

    token = await machine.token()
    first = await machine.get(CREDENTIALS + "web", token)
    monkeypatch.setattr(world.journal, "write", fails)
    world.now = NOW + LIFE / 2 + 1
    token = await machine.token()
    assert (await machine.get(CREDENTIALS + "web", token)).body == first.body
    world.now = NOW + LIFE - MINIMUM_LEFT
    assert (await machine.get(CREDENTIALS + "web", token)).status == 503
    other_worker = await world.client()
    assert (await other_worker.get(CREDENTIALS + "web", await other_worker.token())).status == 503


def test_a_life_that_leaves_no_room_for_the_minimum_is_refused(world: World):
    for life in (900, MINIMUM_LEFT, 43_201):
        with pytest.raises(ValueError, match="credentials live"):
            CredentialCache(world.mint, world.journal, lambda: NOW, lambda size: bytes(size), life)


async def test_no_reader_is_given_credentials_before_their_record_is_on_the_disk(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """Also not those who read what another one has just minted; afterwards there is nothing to wait for."""
    world.journal.close()
    world.journal = Journal(world.folder / "audit.jsonl", sync=Sync.EACH)
    fdatasync, ended = os.fdatasync, []

    def slow(descriptor: int) -> None:
        time.sleep(0.2)
        fdatasync(descriptor)
        ended.append(time.monotonic())

    await world.machine()
    client = await world.client()
    token = await client.token()
    monkeypatch.setattr(os, "fdatasync", slow)

    async def read() -> float:
        assert (await client.get(CREDENTIALS + "web", token)).status == 200
        return time.monotonic()

    first = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    at = [await first, await read()]
    assert len(ended) == 1
    assert min(at) >= ended[0]
    assert len(world.journalled()) == 1

    del ended[:]
    world.now += 4 * 3600  # past half of the credentials' life
    together = await asyncio.gather(read(), read(), read())
    assert len(world.journalled()) == 2
    assert min(together) >= ended[0]
    monkeypatch.undo()
