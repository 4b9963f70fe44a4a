import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions

from broker.storage.engine import NEVER_WRITTEN, Conflict, EngineUnavailable, OutcomeUnknown, Revision, Write
from broker.storage.redis import RedisEngine
from broker.storage.redis_errors import cause_of_redis
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.relay import Relay

HERE = "account/111111111111"


@pytest.fixture
async def engine(redis_server: RedisServer) -> AsyncIterator[RedisEngine]:
    engine = RedisEngine(redis_server.url, os.urandom, timeout=0.5)
    yield engine
    await engine.close()


async def commit_times(engine: RedisEngine, times: int, value: bytes) -> Revision:
    made = NEVER_WRITTEN
    for _ in range(times):
        made = await engine.commit(HERE, [Write("a", value)], made)
    return made


def is_commit(piece: bytes) -> bool:
    return b"EVALSHA" in piece and b":value:" in piece


async def test_all_keys_of_an_account_lie_in_one_slot(engine: RedisEngine, redis_server: RedisServer) -> None:
    for partition in (HERE, "usage/111111111111", "replay/111111111111"):
        await engine.commit(
            partition, [Write("user/{bob}", b""), Write("b", b"", time.time() + 60)], NEVER_WRITTEN
        )
    keys = [
        key
        for key in re.findall(rb"broker:\S+", redis_server.ask(b"KEYS broker:*"))
        if b"partitions" not in key
    ]
    assert len(keys) == 19
    assert len({redis_server.ask(b"CLUSTER KEYSLOT " + key) for key in keys}) == 1


async def test_expired_keys_are_deleted_from_the_index_at_the_next_commit(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    soon = time.time() + 0.1
    await engine.commit(HERE, [Write("a", b"", soon), Write("b", b"", soon), Write("c", b"")], None)
    await asyncio.sleep(0.15)
    await engine.commit(HERE, [Write("a", b"again")], None)
    index = b"broker:{111111111111}:" + HERE.encode()
    assert redis_server.ask(b"ZCARD " + index + b":keys") == b":2\r\n"
    assert redis_server.ask(b"ZCARD " + index + b":expiry") == b":0\r\n"
    assert await engine.scan(HERE, "") == [("a", b"again"), ("c", b"")]


async def test_concurrent_reads_of_revisions_are_batched(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    made = await engine.commit(HERE, [], NEVER_WRITTEN)
    redis_server.ask(b"CONFIG RESETSTAT")
    assert await asyncio.gather(*(engine.revision(HERE) for _ in range(200))) == [made] * 200
    others = await asyncio.gather(*(engine.revision(f"account/{n % 5}") for n in range(200)))
    assert others == [NEVER_WRITTEN] * 200
    asked = re.search(rb"cmdstat_getex:calls=(\d+)", redis_server.ask(b"INFO commandstats"))
    assert int(asked[1]) == 6


async def test_a_revision_read_during_a_request_is_answered_by_the_next_request(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    redis_server.ask(b"CONFIG RESETSTAT")
    first = asyncio.create_task(engine.revision(HERE))
    while not engine._revisions._batches or engine._revisions._batches[""].waiting:
        await asyncio.sleep(0)
    second = asyncio.create_task(engine.revision(HERE))
    assert await asyncio.gather(first, second) == [NEVER_WRITTEN] * 2
    assert b"cmdstat_getex:calls=2" in redis_server.ask(b"INFO commandstats")


async def test_the_cancellation_of_one_read_does_not_cancel_the_batch(engine: RedisEngine) -> None:
    made = await engine.commit(HERE, [], NEVER_WRITTEN)
    asking = [asyncio.create_task(engine.revision(HERE)) for _ in range(4)]
    await asyncio.sleep(0)
    asking[0].cancel()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert outcomes[1:] == [made] * 3
    assert (await engine.revision(HERE)).number == 1


async def test_a_server_that_hangs_times_out_and_is_used_again_later(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    made = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    redis_server.signal(signal.SIGSTOP)
    began = time.monotonic()
    questions = (engine.revision(HERE), engine.get(HERE, "a"), engine.commit(HERE, [Write("b", b"2")], made))
    outcomes = await asyncio.gather(*questions, return_exceptions=True)
    assert all(isinstance(outcome, EngineUnavailable) for outcome in outcomes), outcomes
    assert time.monotonic() - began < 2
    redis_server.signal(signal.SIGCONT)
    assert await engine.get(HERE, "a") == b"1"
    assert (await engine.revision(HERE)).number in (1, 2)


async def test_scripts_are_sent_again_to_a_server_that_has_lost_them(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    made = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    redis_server.ask(b"SCRIPT FLUSH")
    assert (await engine.commit(HERE, [Write("a", b"2")], made)).number == 2
    assert await engine.scan(HERE, "") == [("a", b"2")]


async def test_a_server_that_has_lost_commits_is_not_trusted(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    await commit_times(engine, 3, b"1")
    await engine.commit("global", [Write("b", b"")], NEVER_WRITTEN)
    redis_server.ask(b"FLUSHALL")
    for _ in range(2):
        with pytest.raises(
            EngineUnavailable, match="lost commits: revision 3 of account/111111111111 was acknowledged"
        ):
            await engine.revision(HERE)
    # From then on no read is answered and nothing is written, not even with any revision expected.
    with pytest.raises(EngineUnavailable, match="lost commits"):
        await engine.revision("account/222222222222")
    with pytest.raises(EngineUnavailable, match="lost commits"):
        await engine.commit("usage/111111111111", [Write("c", b"")], None)


async def test_lost_commits_are_detected_where_new_ones_reach_the_same_number(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    known = await commit_times(engine, 3, b"lost")
    redis_server.ask(b"FLUSHALL")
    other = RedisEngine(redis_server.url, os.urandom)
    there = await commit_times(other, 3, b"other")
    for _ in range(2):
        with pytest.raises(
            EngineUnavailable, match="revision 3 of account/111111111111 was acknowledged and is missing"
        ):
            await engine.revision(HERE)
    with pytest.raises(
        EngineUnavailable, match="revision 3 of account/111111111111 was acknowledged and is missing"
    ):
        await engine.commit(HERE, [Write("a", b"late")], known)
    # A process that has not seen the lost commits reads the new history, and no record of the old one.
    assert known.number == there.number and known != there
    with pytest.raises(Conflict):
        await other.commit(HERE, [Write("a", b"late")], known)
    assert await other.scan(HERE, "") == [("a", b"other")]
    await other.close()


async def test_a_server_that_is_restored_is_trusted_again(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    known = await commit_times(engine, 3, b"1")
    key = b"broker:{111111111111}:account/111111111111:revision"
    redis_server.ask(b"COPY %b away" % key)
    redis_server.ask(b"DEL %b" % key)
    with pytest.raises(EngineUnavailable, match="lost commits"):
        await engine.revision(HERE)
    redis_server.ask(b"COPY away %b" % key)
    assert await engine.revision(HERE) == known
    assert (await engine.commit(HERE, [Write("a", b"new")], known)).number == 4


async def test_no_record_cached_before_a_loss_is_current_after_more_commits_than_were_lost(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    """The loss is not detected, but no cached record has the new revision."""
    known = await commit_times(engine, 3, b"lost")
    redis_server.ask(b"FLUSHALL")
    other = RedisEngine(redis_server.url, os.urandom)
    there = await commit_times(other, 4, b"other")
    assert await engine.revision(HERE) == there != known
    assert await engine.fetch(HERE, ["a"]) == (there, [b"other"])
    with pytest.raises(Conflict):
        await engine.commit(HERE, [Write("a", b"late")], known)
    await other.close()


async def test_a_store_without_marks_is_read_and_written(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    base = b"broker:{111111111111}:account/111111111111:"
    redis_server.ask(b"SET %brevision 57" % base)
    redis_server.ask(b"SET %bvalue:a old" % base)
    redis_server.ask(b"ZADD %bkeys 0 a" % base)
    redis_server.ask(b"ZADD broker:partitions 0 account/111111111111")
    old = await engine.revision(HERE)
    assert old == Revision(57, b"")
    assert await engine.scan(HERE, "") == [("a", b"old")]
    assert await engine.partitions("") == [HERE]
    made = await engine.commit(HERE, [Write("b", b"new")], old)
    assert made.number == 58 and await engine.revision(HERE) == made
    with pytest.raises(Conflict):
        await engine.commit(HERE, [Write("b", b"late")], Revision(58, b""))


async def test_an_answer_from_before_a_concurrent_commit_is_no_loss(engine: RedisEngine) -> None:
    async def ask_again_and_again() -> None:
        for _ in range(200):
            await engine.revision(HERE)

    async def commit_again_and_again() -> None:
        await commit_times(engine, 200, b"")

    await asyncio.gather(*(ask_again_and_again() for _ in range(8)), commit_again_and_again())
    assert (await engine.revision(HERE)).number == 200


async def test_revisions_are_not_read_from_a_replica(engine: RedisEngine, redis_server: RedisServer) -> None:
    await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    redis_server.ask(b"REPLICAOF 127.0.0.1 1")
    with pytest.raises(EngineUnavailable, match="replica"):
        await engine.revision(HERE)
    with pytest.raises(EngineUnavailable, match="replica"):
        await asyncio.gather(engine.revision(HERE), engine.revision("global"))
    redis_server.ask(b"REPLICAOF NO ONE")
    assert (await engine.revision(HERE)).number == 1


async def test_the_weaknesses_of_a_server_are_named(engine: RedisEngine, redis_server: RedisServer) -> None:
    assert await engine.weaknesses() == []
    redis_server.ask(b"CONFIG SET appendfsync everysec maxmemory-policy allkeys-lru")
    assert [weakness.split(":")[0] for weakness in await engine.weaknesses()] == [
        "appendfsync is everysec",
        "maxmemory-policy is allkeys-lru",
    ]
    redis_server.ask(b"CONFIG SET appendonly no")
    assert (await engine.weaknesses())[0].startswith("appendonly is off")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (b"CONFIG SET requirepass secret", "it asks for a user and a password"),
        (b"REPLICAOF 127.0.0.1 1", "it is a replica"),
        (b"CONFIG SET maxmemory 1", "its memory is full"),
        (b"CONFIG SET min-replicas-to-write 1", "it has fewer good replicas"),
    ],
)
async def test_what_a_server_refuses_is_a_sentence_with_the_next_step(
    engine: RedisEngine, redis_server: RedisServer, setting: bytes, said: str
) -> None:
    assert b"+OK" in redis_server.ask(setting)
    with pytest.raises(EngineUnavailable, match=said):
        await engine.commit(HERE, [Write("a", b"1")], None)


async def test_a_server_that_is_away_is_named_with_its_address(redis_server: RedisServer) -> None:
    port = free_port()
    away = RedisEngine(f"redis://127.0.0.1:{port}/0", os.urandom, timeout=0.5)
    with pytest.raises(EngineUnavailable, match=f"127.0.0.1:{port}.*is the service started"):
        await away.revision(HERE)
    await away.close()


async def test_a_wrong_password_is_refused_and_not_repeated_in_the_reason(redis_server: RedisServer) -> None:
    redis_server.ask(b"CONFIG SET requirepass correct-horse")
    wrong = RedisEngine(redis_server.url.replace("://", "://:wrong-horse@"), os.urandom)
    with pytest.raises(EngineUnavailable) as refused:
        await wrong.revision(HERE)
    assert "horse" not in str(refused.value)
    await wrong.close()
    right = RedisEngine(redis_server.url.replace("://", "://default:correct-horse@"), os.urandom)
    assert (await right.commit(HERE, [], NEVER_WRITTEN)).number == 1
    await right.close()


async def test_a_connection_under_tls_trusts_only_the_named_authority(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    server = RedisServer(tmp_path)
    port = free_port()
    server.start(f"tls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-auth-clients no\n")
    url = f"rediss://127.0.0.1:{port}"
    trusting, untrusting = (
        RedisEngine(f"{url}?ssl_ca_certs={certificate}", os.urandom),
        RedisEngine(url, os.urandom),
    )
    assert (await trusting.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)).number == 1
    with pytest.raises(EngineUnavailable, match="certificate"):
        await untrusting.get(HERE, "a")
    await trusting.close()
    await untrusting.close()
    server.kill()


async def test_a_commit_whose_answer_is_lost_is_found_to_be_done(redis_server: RedisServer) -> None:
    with Relay(redis_server.port) as relay:
        engine = RedisEngine(f"redis://127.0.0.1:{relay.port}", os.urandom, timeout=0.5)
        first = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
        relay.loses_answer_of = is_commit
        second = await engine.commit(HERE, [Write("a", b"2")], first)
        assert relay.lost.is_set()
        assert second.number == 2 and await engine.revision(HERE) == second
        assert await engine.get(HERE, "a") == b"2"
        await engine.close()


async def test_a_commit_that_did_not_reach_the_server_is_withdrawn(redis_server: RedisServer) -> None:
    """It is delayed until its receipt was requested, and arrives then."""
    with Relay(redis_server.port) as relay:
        engine = RedisEngine(f"redis://127.0.0.1:{relay.port}", os.urandom, timeout=0.5)
        first = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
        relay.holds_back = is_commit
        for expecting in (first, None):
            with pytest.raises(EngineUnavailable, match="the commit was not applied") as refused:
                await engine.commit(HERE, [Write("a", b"late")], expecting)
            assert not isinstance(refused.value, OutcomeUnknown)
            relay.let_go()
            assert await engine.get(HERE, "a") == b"1"
            assert await engine.revision(HERE) == first
        await engine.close()


async def test_a_commit_whose_answer_is_lost_with_the_server_is_not_reported_as_failed(
    redis_server: RedisServer,
) -> None:
    with Relay(redis_server.port) as relay:
        engine = RedisEngine(f"redis://127.0.0.1:{relay.port}", os.urandom, timeout=0.5)
        first = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
        relay.loses_answer_of, relay.is_cut_afterwards = is_commit, True
        with pytest.raises(OutcomeUnknown, match="it is unknown whether it was applied"):
            await engine.commit(HERE, [Write("a", b"2")], first)
        relay.is_cut = False
        assert await engine.get(HERE, "a") == b"2"
        await engine.close()


async def test_the_receipt_of_a_commit_is_requested_until_the_server_is_back(
    redis_server: RedisServer,
) -> None:
    engine = RedisEngine(redis_server.url, os.urandom, timeout=5.0)
    first = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    redis_server.signal(signal.SIGSTOP)
    commit = asyncio.create_task(engine.commit(HERE, [Write("a", b"2")], first))
    await asyncio.sleep(0.2)
    redis_server.kill()
    await asyncio.sleep(0.3)
    assert not commit.done()
    redis_server.start()
    with pytest.raises(EngineUnavailable, match="the commit was not applied"):
        await commit
    assert await engine.revision(HERE) == first
    await engine.close()


async def test_closing_waits_for_a_commit_in_progress(redis_server: RedisServer) -> None:
    engine = RedisEngine(redis_server.url, os.urandom, timeout=5.0)
    first = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    redis_server.signal(signal.SIGSTOP)
    commit = asyncio.create_task(engine.commit(HERE, [Write("a", b"2")], first))
    await asyncio.sleep(0.1)
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0.1)
    redis_server.signal(signal.SIGCONT)
    assert (await commit).number == 2
    await closing


@pytest.mark.parametrize("url", ["", "http://localhost", "redis:/localhost", "redis://localhost:port"])
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        RedisEngine(url, os.urandom)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "Error -3 connecting to redis.test:6379. Temporary failure in name resolution.",
            "redis.test:6379: Temporary failure in name resolution: check the name",
        ),
        (
            "Error 111 connecting to 127.0.0.1:1. Connection refused.",
            "127.0.0.1:1: Connection refused: is the service started",
        ),
        (
            "Error UNKNOWN while writing to socket. Connection lost.",
            "it ended the connection: look at its log",
        ),
        ("Connection closed by server.", "it ended the connection: look at its log"),
    ],
)
def test_what_the_way_to_a_redis_refuses_has_a_next_step(words: str, said: str) -> None:
    assert cause_of_redis(exceptions.ConnectionError(words)).startswith(said)


async def test_a_redis_in_protected_mode_is_explained(tmp_path: Path) -> None:
    """It answers those of other machines with an error, and ends their connections."""

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-DENIED Redis is running in protected mode because\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = RedisEngine(f"redis://127.0.0.1:{port}/0", os.urandom, timeout=2)
    with pytest.raises(EngineUnavailable, match="protected mode"):
        await engine.fetch(HERE, ["a"])
    await engine.close()
    server.close()


class SlowServer(RedisEngine):
    """It takes its time for each revision."""

    async def _retry_once(self, ask: Any, *arguments: Any) -> Any:
        async def ask_slowly() -> Any:
            await asyncio.sleep(len(arguments[-1]) * 0.0004)
            return await ask(*arguments)

        return await super()._retry_once(ask_slowly)


async def test_more_partitions_are_listed_than_are_read_within_one_time_limit(
    redis_server: RedisServer,
) -> None:
    redis_server.ask(
        b"EVAL \"for i = 1, 3000 do redis.call('ZADD', KEYS[1], 0, 'account/' .. i); "
        b"redis.call('SET', 'broker:{' .. i .. '}:account/' .. i .. ':revision', '1') end\" 1 broker:partitions"
    )
    engine = SlowServer(redis_server.url, os.urandom, timeout=1.0)
    assert len(await engine.partitions("account/")) == 3000
    await engine.close()


async def test_the_first_commit_of_a_partition_which_is_listed_before_fails_in_time(
    redis_server: RedisServer,
) -> None:
    class SlowScripts(RedisEngine):
        async def _run_and_wait(self, *arguments: Any) -> Any:
            await asyncio.sleep(0.7)
            return await super()._run_and_wait(*arguments)

    engine = SlowScripts(redis_server.url, os.urandom, timeout=1.0)
    began = time.monotonic()
    with pytest.raises(EngineUnavailable):
        await engine.commit(HERE, [Write("a", b"1")], None)
    assert time.monotonic() - began < 1.0 + 0.5
    await engine.close()


async def test_changes_that_replicas_have_to_confirm_are_refused_in_time(redis_server: RedisServer) -> None:
    class SlowConfirmation(RedisEngine):
        async def _find_unconfirmed(self, partitions: list[str]) -> dict[str, EngineUnavailable]:
            await asyncio.sleep(2.0)
            return {}

    before = RedisEngine(redis_server.url, os.urandom)
    first = await commit_times(before, 1, b"1")
    await before.close()
    engine = SlowConfirmation(redis_server.url, os.urandom, timeout=0.5, replicas=1)
    began = time.monotonic()
    with pytest.raises(EngineUnavailable, match="no answer came in time"):
        await engine.changes(HERE, first)
    assert time.monotonic() - began < 0.5 + 0.5
    await engine.close()


async def test_a_revision_that_is_gone_before_it_is_confirmed_is_not_blamed_on_replicas(
    redis_server: RedisServer,
) -> None:
    class EmptiedServer(RedisEngine):
        async def _find_unconfirmed(self, partitions: list[str]) -> dict[str, EngineUnavailable]:
            redis_server.ask(b"FLUSHALL")
            return await super()._find_unconfirmed(partitions)

    before = RedisEngine(redis_server.url, os.urandom)
    await commit_times(before, 1, b"1")
    await before.close()
    engine = EmptiedServer(redis_server.url, os.urandom, timeout=0.5, replicas=1)
    with pytest.raises(EngineUnavailable, match=f"the revision of {HERE} was read, and is no longer there"):
        await engine.revision(HERE)
    await engine.close()
