"""Status codes and headers to the letter, through real HTTP."""

import logging
import uuid

import pytest

from broker.storage.store import INSTANCES
from tests.unit.metadata.conftest import CREDENTIALS, INSTANCE, Client, World, instance

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_PATH = "/latest/api/token"
ID_PATH = "/latest/meta-data/instance-id"


@pytest.fixture
async def machine(world: World) -> Client:
    await world.machine()
    return await world.client()


async def test_a_token_is_made_with_put_and_says_how_long_it_lives(machine: Client):
    answer = await machine("PUT", TOKEN_PATH, **{TTL: "21600"})
    assert (answer.status, answer.headers[TTL]) == (200, "21600")
    assert (answer.headers["Content-Type"], answer.headers["Server"]) == ("text/plain", "EC2ws")
    assert (await machine.get(ID_PATH, answer.text)).text == INSTANCE


@pytest.mark.parametrize("life", [None, "", "0", "-1", "21601", "1.5", "ten", "٣", "1" * 500])
async def test_a_life_that_no_token_has_is_a_bad_request(machine: Client, life: str | None):
    headers = {} if life is None else {TTL: life}
    assert (await machine("PUT", TOKEN_PATH, **headers)).status == 400


@pytest.mark.parametrize("life", ["1", "21600"])
async def test_the_shortest_and_the_longest_life_are_granted(machine: Client, life: str):
    assert (await machine("PUT", TOKEN_PATH, **{TTL: life})).status == 200


async def test_a_request_for_a_token_through_a_proxy_is_forbidden(machine: Client):
    headers = {TTL: "60", "X-Forwarded-For": "10.0.0.9"}
    assert (await machine("PUT", TOKEN_PATH, **headers)).status == 403
    assert (await machine("PUT", TOKEN_PATH, **{TTL: "60", "X-Forwarded-For": ""})).status == 403


async def test_only_the_latest_version_makes_tokens(machine: Client):
    assert (await machine("PUT", "/2021-03-23/api/token", **{TTL: "60"})).status == 403


async def test_put_and_other_methods_read_nothing(machine: Client):
    for method in ("POST", "DELETE", "PATCH", "OPTIONS"):
        answer = await machine(method, ID_PATH)
        assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, GET, HEAD")
    assert (await machine("PUT", ID_PATH, **{TTL: "60"})).status == 405
    assert (await machine("GET", TOKEN_PATH)).status == 405


async def test_without_a_token_nothing_is_read_where_tokens_are_required(machine: Client):
    for path in ("/", "/latest/meta-data/", ID_PATH, CREDENTIALS, "/latest/nothing"):
        answer = await machine.get(path)
        assert answer.status == 401
        assert b"<h1>401 - Unauthorized</h1>" in answer.body


async def test_a_token_ends_when_its_time_has_come(world: World, machine: Client):
    token = await machine.token(60)
    world.now += 59
    assert (await machine.get(ID_PATH, token)).status == 200
    world.now += 1
    assert (await machine.get(ID_PATH, token)).status == 401


async def test_an_altered_token_is_refused(machine: Client):
    token = await machine.token()
    for other in (token[:-1] + ("A" if token[-1] != "A" else "B"), token[4:], "", "nonsense", token + "AAAA"):
        assert (await machine.get(ID_PATH, other)).status == 401


async def test_a_token_opens_at_every_worker_and_for_no_other_machine(world: World, machine: Client):
    token = await machine.token()
    other_worker = await world.client()
    assert (await other_worker.get(ID_PATH, token)).status == 200
    await world.put(INSTANCES, instance(instance_id="i-other", addresses=()))
    other_machine = await world.client(loopback_instance="i-other")
    await world.put(INSTANCES, instance(addresses=()))
    assert (await other_machine.get(ID_PATH, await other_machine.token())).text == "i-other"
    assert (await other_machine.get(ID_PATH, token)).status == 401


async def test_where_tokens_are_optional_a_read_without_one_is_answered_and_a_bad_one_is_not(world: World):
    await world.machine(tokens_required=False)
    client = await world.client()
    assert (await client.get(ID_PATH)).status == 200
    assert (await client.get(ID_PATH, "nonsense")).status == 401
    assert (await client.get(ID_PATH, "")).status == 401


async def test_a_machine_whose_service_is_off_is_forbidden_everything(world: World):
    await world.machine(metadata_enabled=False)
    client = await world.client()
    assert (await client.get(ID_PATH)).status == 403
    assert (await client("PUT", TOKEN_PATH, **{TTL: "60"})).status == 403


async def test_an_unknown_machine_is_forbidden_everything(world: World):
    await world.machine(addresses=("10.0.0.1",))
    client = await world.client()
    assert (await client.get(ID_PATH)).status == 403
    assert (await client("PUT", TOKEN_PATH, **{TTL: "60"})).status == 403


async def test_what_is_forbidden_has_no_body(world: World, machine: Client):
    """As on EC2; botocore and others look at the status only."""
    refused = [
        await machine("PUT", "/2021-03-23/api/token", **{TTL: "60"}),
        await machine.get(ID_PATH, Host="rebind.example"),
    ]
    await world.put(INSTANCES, instance(metadata_enabled=False))
    refused += [await machine.get(ID_PATH)]
    for answer in refused:
        assert (answer.status, answer.body) == (403, b"")
        assert (answer.headers["Content-Type"], answer.headers["Server"]) == ("text/plain", "EC2ws")


async def test_a_name_that_may_be_a_web_pages_own_is_forbidden_everything(
    machine: Client, caplog: pytest.LogCaptureFixture
):
    """DNS rebinding: a page whose name resolves to this machine sends its name as the Host."""
    caplog.set_level(logging.INFO, "broker.web")
    token = await machine.token()
    for _ in range(2):
        assert (await machine.get(ID_PATH, token)).status == 200
    for host in ("rebind.example", f"rebind.example:{machine.port}", "evil.localhost"):
        rebound = {"Host": host}
        assert (await machine("PUT", TOKEN_PATH, **{TTL: "60"}, **rebound)).status == 403
        assert (await machine.get(ID_PATH, token, **rebound)).status == 403
        assert (await machine.get("/v2/credentials/id", **rebound)).status == 403
    reasons = {record.facts["reason"] for record in caplog.records}
    assert "called by 'rebind.example', which listen.host_names has not" in reasons
    for host in ("localhost", f"LOCALHOST.:{machine.port}", "[::1]", "::1"):
        assert (await machine.get(ID_PATH, token, Host=host)).status == 200


async def test_head_answers_as_get_without_the_body(machine: Client):
    token = await machine.token()
    answer = await machine("HEAD", ID_PATH, **{"X-aws-ec2-metadata-token": token})
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", str(len(INSTANCE)))


async def test_what_does_not_exist_is_a_small_page(machine: Client):
    answer = await machine.get("/latest/meta-data/nothing", await machine.token())
    assert (answer.status, answer.headers["Content-Type"], answer.headers["Server"]) == (
        404,
        "text/html",
        "EC2ws",
    )
    assert b"<h1>404 - Not Found</h1>" in answer.body


async def test_a_change_of_the_record_is_seen_by_the_next_read_of_every_worker(world: World, machine: Client):
    token = await machine.token()
    other_worker = await world.client()
    for client in (machine, other_worker):
        for _ in range(3):
            assert (await client.get("/latest/meta-data/instance-type", token)).text == "t3.micro"
    await world.put(INSTANCES, instance(instance_type="m7.large"))
    for client in (machine, other_worker):
        assert (await client.get("/latest/meta-data/instance-type", token)).text == "m7.large"
    await world.put(INSTANCES, instance(metadata_enabled=False))
    for client in (machine, other_worker):
        assert (await client.get("/latest/meta-data/instance-type", token)).status == 403


async def test_an_answer_given_again_has_the_same_headers_and_the_date_of_its_own_moment(
    world: World, machine: Client
):
    token = await machine.token()
    first, again = await machine.get(ID_PATH, token), await machine.get(ID_PATH, token)
    assert again.body == first.body
    for name in ("Content-Type", "Content-Length", "Server"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["Date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    world.now += 61
    assert (await machine.get(ID_PATH, token)).headers["Date"] == "Fri, 15 Jan 2027 08:01:01 GMT"


async def test_an_answer_is_given_again_only_for_the_proof_that_it_was_given_for(machine: Client):
    token = await machine.token()
    for _ in range(2):
        assert (await machine.get(ID_PATH, token)).status == 200
    assert (await machine.get(ID_PATH)).status == 401
    assert (await machine.get(ID_PATH, Authorization=token)).status == 401
    assert (await machine.get(ID_PATH, "nonsense", Authorization=token)).status == 401


async def test_an_answer_given_again_closes_the_connection_where_the_client_wants_it(machine: Client):
    token = await machine.token()
    await machine.get(ID_PATH, token)
    answer = await machine.get(ID_PATH, token, Connection="close")
    assert (answer.status, answer.text, answer.headers["Connection"]) == (200, INSTANCE, "close")
    assert (await machine.get(ID_PATH, token)).status == 200


async def test_user_data_are_bytes_and_absent_where_there_are_none(world: World, machine: Client):
    token = await machine.token()
    assert (await machine.get("/latest/user-data", token)).status == 404
    await world.put(INSTANCES, instance(user_data=b"\x00\xff#!"))
    answer = await machine.get("/latest/user-data", token)
    assert (answer.body, answer.headers["Content-Type"]) == (b"\x00\xff#!", "application/octet-stream")


async def test_nothing_is_answered_from_the_cache_while_the_store_is_away(world: World, machine: Client):
    token = await machine.token()
    assert (await machine.get(ID_PATH, token)).status == 200
    await world.store.engine.close()
    assert (await machine.get(ID_PATH, token)).status == 503
    assert (await machine.get(CREDENTIALS + "web", token)).status == 503


async def test_each_refusal_is_logged_with_an_id_of_its_own(
    machine: Client, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "broker.web")
    for _ in range(2):
        assert (await machine.get(ID_PATH)).status == 401
    logged = [record.facts for record in caplog.records if record.getMessage() == "metadata refused"]
    assert [facts["status"] for facts in logged] == [401, 401]
    assert len({uuid.UUID(facts["request_id"]) for facts in logged}) == 2


async def test_a_machine_that_asks_too_often_is_throttled(world: World):
    await world.machine()
    hurried = await world.client(requests_per_second=2)
    assert [(await hurried.get(ID_PATH)).status for _ in range(4)] == [401, 401, 503, 503]
