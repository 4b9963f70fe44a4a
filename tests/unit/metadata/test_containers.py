"""The ECS agent's endpoint and the full-URI form, through the handler."""

import msgspec
import pytest

from broker.metadata.containers import authorization_key, container_key
from broker.storage.records import Container
from broker.storage.store import CONTAINERS, INSTANCES, ROLES
from tests.unit.metadata.conftest import ACCOUNT, INSTANCE, NOW, Client, World, instance, role
from tests.unit.session_tokens import open_session_token

LIFE = 21_600
ID = "0f6f4a4e-9d3c-4f0e-8f5b-6a1f6f4f8d11"
BEARER = "Bearer 2f1a8f4d"
TASK = Container(account_id=ACCOUNT, role_arn=f"arn:aws:iam::{ACCOUNT}:role/task", session_name="task-1")


@pytest.fixture
async def host(world: World) -> Client:
    await world.put(ROLES, role("task", service="ecs-tasks.amazonaws.com"))
    await world.put(CONTAINERS, TASK, key=container_key(ID))
    await world.put(CONTAINERS, TASK, key=authorization_key(BEARER))
    return await world.client()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/v2/credentials/{ID}", {}),
        (f"/v1/credentials?id={ID}", {}),
        ("/v1/credentials", {"Authorization": BEARER}),
    ],
)
async def test_an_id_or_a_token_gets_the_credentials_of_the_role(
    world: World, host: Client, path: str, headers: dict[str, str]
):
    for _ in range(2):
        answer = await host.get(path, **headers)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        assert list(answer.json) == ["RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"]
        claims, _ = open_session_token(world.ring, answer.json["Token"], answer.json["AccessKeyId"], NOW)
        assert claims.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/task/task-1"
        assert claims.role_delivery is None
    (event,) = world.journalled()
    assert event["userIdentity"]["invokedBy"] == "ecs-tasks.amazonaws.com"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/credentials/", 400, "NoIdInRequest"),
        ("/v2/credentials", 400, "NoIdInRequest"),
        ("/v1/credentials", 400, "NoIdInRequest"),
        ("/v2/credentials/unknown", 400, "InvalidIdInRequest"),
        ("/v1/credentials?id=unknown", 400, "InvalidIdInRequest"),
        (f"/v2/credentials/{BEARER.replace(' ', '%20')}", 400, "InvalidIdInRequest"),
        ("/v2/credentials/" + "a" * 5000, 400, "InvalidIdInRequest"),
    ],
)
async def test_what_proves_no_container_is_refused_in_the_agents_codes(
    host: Client, path: str, status: int, code: str
):
    answer = await host.get(path)
    assert (answer.status, answer.json["code"]) == (status, code)
    version = path[1:3].upper()
    assert answer.json["message"].startswith(f"Credentials{version}Request: ")


async def test_a_wrong_token_is_refused(host: Client):
    for wrong in ("Bearer nonsense", BEARER + "x", BEARER.lower(), ID):
        assert (await host.get("/v1/credentials", Authorization=wrong)).status == 401


async def test_a_record_may_want_a_token_beside_the_id(world: World, host: Client):
    both = msgspec.structs.replace(TASK, authorization_digest=authorization_key(BEARER))
    await world.put(CONTAINERS, both, key=container_key(ID))
    path = f"/v2/credentials/{ID}"
    for _ in range(2):
        assert (await host.get(path, Authorization=BEARER)).status == 200
        assert (await host.get(path)).status == 401
        assert (await host.get(path, BEARER)).status == 401
        assert (await host.get(path, BEARER, Authorization="other")).status == 401


async def test_a_container_of_one_machine_is_answered_nowhere_else(world: World, host: Client):
    bound = msgspec.structs.replace(TASK, instance_id=INSTANCE)
    await world.put(CONTAINERS, bound, key=container_key(ID))
    path = f"/v2/credentials/{ID}"
    assert (await host.get(path)).json["code"] == "InvalidIdInRequest"
    await world.put(INSTANCES, instance())
    assert (await host.get(path)).status == 200
    await world.put(INSTANCES, instance(addresses=("10.0.0.9",)))
    assert (await host.get(path)).json["code"] == "InvalidIdInRequest"


async def test_a_record_ends_when_its_time_has_come(world: World, host: Client):
    ending = msgspec.structs.replace(TASK, expires_at=int(NOW) + 60)
    await world.put(CONTAINERS, ending, key=container_key(ID))
    path = f"/v2/credentials/{ID}"
    assert (await host.get(path)).status == 200
    world.now += 60
    assert (await host.get(path)).json["code"] == "InvalidIdInRequest"


async def test_a_deleted_record_is_gone_at_once(world: World, host: Client):
    path = f"/v2/credentials/{ID}"
    assert (await host.get(path)).status == 200
    await world.delete(CONTAINERS, container_key(ID))
    assert (await host.get(path)).json["code"] == "InvalidIdInRequest"


@pytest.mark.parametrize("service", ["ec2.amazonaws.com", "lambda.amazonaws.com"])
async def test_a_role_that_does_not_trust_tasks_has_no_credentials_for_them(
    world: World, host: Client, service: str
):
    await world.put(ROLES, role("task", service=service))
    answer = await host.get(f"/v2/credentials/{ID}")
    assert (answer.status, answer.json["code"]) == (503, "CredentialsUninitialized")


async def test_a_role_that_is_gone_or_of_another_account_has_no_credentials(world: World, host: Client):
    foreign = msgspec.structs.replace(TASK, account_id="999999999999")
    await world.put(CONTAINERS, foreign, key=container_key(ID))
    assert (await host.get(f"/v2/credentials/{ID}")).json["code"] == "CredentialsUninitialized"
    await world.put(CONTAINERS, TASK, key=container_key(ID))
    await world.delete(ROLES, "task")
    assert (await host.get(f"/v2/credentials/{ID}")).json["code"] == "CredentialsUninitialized"


async def test_other_methods_and_paths_are_refused(host: Client):
    assert (await host("POST", f"/v2/credentials/{ID}")).status == 405
    assert (await host.get("/v2/metadata")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v2/credentials/{id}/",
        "/v2/credentials/{id}/more",
        "/v2/credentials//{id}",
        "/v2/credentials/{id}%2F",
        "/v2//credentials/{id}",
        "//v2/credentials/{id}",
        "//v1/credentials?id={id}",
        "/v1/credentials/?id={id}",
        "/v1/credentials/{id}",
        "/v1//credentials?id={id}",
    ],
)
async def test_an_id_is_read_at_one_path_only(host: Client, path: str):
    answer = await host.get(path.format(id=ID))
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json")
    message = f"Credentials{path.strip('/')[:2].upper()}Request: Credentials not found"
    assert answer.json == {"code": "InvalidIdInRequest", "message": message, "HTTPErrorCode": 400}


async def test_the_second_version_reads_no_id_from_the_query(host: Client):
    assert (await host.get(f"/v2/credentials?id={ID}")).json["code"] == "NoIdInRequest"


def test_ids_and_tokens_never_share_a_key():
    assert container_key(ID) != authorization_key(ID)
    assert ID not in container_key(ID)


@pytest.mark.parametrize(("ends_after", "mints"), [(None, 2), (LIFE, 2), (LIFE // 2, 1), (LIFE // 4, 1)])
async def test_credentials_are_renewed_in_the_background_only_while_the_container_may_ask(
    world: World, ends_after: int | None, mints: int
):
    await world.put(ROLES, role("task", service="ecs-tasks.amazonaws.com"))
    expires_at = None if ends_after is None else int(NOW) + ends_after
    await world.put(CONTAINERS, msgspec.structs.replace(TASK, expires_at=expires_at), key=container_key(ID))
    handler = world.handler()
    assert (await (await world.client(handler)).get(f"/v2/credentials/{ID}")).status == 200
    world.now = NOW + LIFE // 2
    await handler.refresh()
    assert len(world.journalled()) == mints
