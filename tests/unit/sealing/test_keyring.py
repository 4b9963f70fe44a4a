"""Rotation: every node can open before any node seals, and until the last token has expired."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.sealing.envelope import SealBroken, open_, seal
from broker.sealing.key import FOREVER, KEY_ENTROPY, KeyState, new_key
from broker.sealing.keyring import (
    Keyring,
    RotationSchedule,
    drop,
    drop_expired,
    keyring_from_bytes,
    keyring_to_bytes,
    new_keyring,
    promote,
    rotate_due,
    stage,
)

START = 1_000_000.0
SCHEDULE = RotationSchedule(rotate_every=100, staged_for=10, open_for=50)
SEALING_ENTROPY = bytes(16)

# A keyring of a retired, a primary and a staged key, written by form 1: is read for ever.
GOLDEN = bytes.fromhex(
    "92019397c4080101010101010101c4200101010101010101010101010101010101010101010101010101010101"
    "010101cb412e848000000000a772657469726564cb412e848000000000cb412e848400000000cb412e84fc0000"
    "000097c4080202020202020202c420020202020202020202020202020202020202020202020202020202020202"
    "0202cb412e848200000000a77072696d617279cb412e848400000000c0cb7ff000000000000097c40803030303"
    "03030303c4200303030303030303030303030303030303030303030303030303030303030303cb412e84860000"
    "0000a6737461676564c0c0cb7ff0000000000000"
)


def key_entropy(number: int) -> bytes:
    return bytes([number]) * KEY_ENTROPY


def three_keys() -> Keyring:
    ring = promote(stage(new_keyring(START, key_entropy(1)), START + 1, key_entropy(2)), START + 2, 60)
    return stage(ring, START + 3, key_entropy(3))


def states(ring: Keyring) -> list[KeyState]:
    return [key.state for key in ring.keys]


def test_a_new_keyring_seals_at_once() -> None:
    ring = new_keyring(START, key_entropy(1))
    assert states(ring) == [KeyState.PRIMARY]
    assert ring.primary.promoted_at == START


def test_staging_and_promoting_move_each_key_one_state_on() -> None:
    ring = three_keys()
    assert states(ring) == [KeyState.RETIRED, KeyState.PRIMARY, KeyState.STAGED]
    assert ring.keys[0].retired_at == START + 2
    assert ring.keys[0].opens_until == START + 62
    assert ring.keys[1].opens_until == FOREVER


def test_only_one_key_can_be_staged() -> None:
    with pytest.raises(ValueError, match="staged already"):
        stage(three_keys(), START + 4, key_entropy(4))


def test_promoting_needs_a_staged_key() -> None:
    with pytest.raises(ValueError, match="stage one first"):
        promote(new_keyring(START, key_entropy(1)), START, 60)


def test_a_keyring_has_exactly_one_primary() -> None:
    key = new_key(START, key_entropy(1))
    with pytest.raises(ValueError, match="exactly one primary"):
        Keyring((key,))
    primary = msgspec.structs.replace(key, state=KeyState.PRIMARY)
    with pytest.raises(ValueError, match="share an id"):
        Keyring((primary, key))


def test_a_retired_key_is_dropped_at_its_time_and_not_before() -> None:
    ring = three_keys()
    assert len(drop_expired(ring, START + 61.9).keys) == 3
    assert len(drop_expired(ring, START + 62).keys) == 2


def test_a_key_retired_for_ever_is_never_dropped_by_time() -> None:
    ring = promote(stage(new_keyring(START, key_entropy(1)), START, key_entropy(2)), START, FOREVER)
    assert len(drop_expired(ring, START * 1_000).keys) == 2
    assert keyring_from_bytes(keyring_to_bytes(ring)) == ring


def test_a_compromised_key_is_dropped_by_command_but_never_the_primary() -> None:
    ring = three_keys()
    assert drop(ring, ring.keys[0].id).find(ring.keys[0].id) is None
    with pytest.raises(ValueError, match="promote another first"):
        drop(ring, ring.primary.id)


def test_nothing_is_due_on_a_new_keyring() -> None:
    assert rotate_due(new_keyring(START, key_entropy(1)), START + 89, SCHEDULE, key_entropy(2)) is None


def test_the_next_key_is_staged_in_time_and_promoted_on_time() -> None:
    ring = new_keyring(START, key_entropy(1))
    staged = rotate_due(ring, START + 90, SCHEDULE, key_entropy(2))
    assert staged is not None
    assert states(staged) == [KeyState.PRIMARY, KeyState.STAGED]
    assert rotate_due(staged, START + 99, SCHEDULE, key_entropy(3)) is None
    promoted = rotate_due(staged, START + 100, SCHEDULE, key_entropy(3))
    assert promoted is not None
    assert states(promoted) == [KeyState.RETIRED, KeyState.PRIMARY]
    assert rotate_due(promoted, START + 149, SCHEDULE, key_entropy(3)) is None
    dropped = rotate_due(promoted, START + 150, SCHEDULE, key_entropy(3))
    assert dropped is not None
    assert states(dropped) == [KeyState.PRIMARY]


def test_a_broker_that_did_not_run_for_days_stages_first_and_promotes_only_after_every_node_had_time_to_read() -> (
    None
):
    late = START + 10_000
    staged = rotate_due(new_keyring(START, key_entropy(1)), late, SCHEDULE, key_entropy(2))
    assert staged is not None
    assert rotate_due(staged, late + 9, SCHEDULE, key_entropy(3)) is None
    assert rotate_due(staged, late + 10, SCHEDULE, key_entropy(3)) is not None


@settings(max_examples=60)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_at_any_time_nodes_with_an_older_keyring_still_open_new_envelopes(pauses: list[int]) -> None:
    """A node may be `staged_for` seconds behind: what the newest primary seals, it opens."""
    now, history = START, [(START, new_keyring(START, key_entropy(1)))]
    for number, pause in enumerate(pauses, start=2):
        now += pause
        ring = history[-1][1]
        history.append((now, rotate_due(ring, now, SCHEDULE, key_entropy(number)) or ring))
        behind = [ring for moment, ring in history if moment <= now - SCHEDULE.staged_for]
        envelope = seal(history[-1][1].primary, b"message", b"", SEALING_ENTROPY)
        assert all(open_(ring, envelope, b"") == b"message" for ring in behind[-1:])


@settings(max_examples=60)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_what_a_keyring_sealed_opens_until_the_longest_session_has_expired(pauses: list[int]) -> None:
    now, ring = START, new_keyring(START, key_entropy(1))
    sealed: list[tuple[float, bytes]] = []
    for number, pause in enumerate(pauses, start=2):
        sealed.append((now, seal(ring.primary, b"message", b"", SEALING_ENTROPY)))
        now += pause
        ring = rotate_due(ring, now, SCHEDULE, key_entropy(number)) or ring
        for sealed_at, envelope in sealed:
            if now < sealed_at + SCHEDULE.open_for:
                assert open_(ring, envelope, b"") == b"message"


def test_a_dropped_key_opens_nothing() -> None:
    ring = three_keys()
    envelope = seal(new_keyring(START, key_entropy(1)).primary, b"message", b"", SEALING_ENTROPY)
    assert open_(ring, envelope, b"") == b"message"
    with pytest.raises(SealBroken):
        open_(drop_expired(ring, START + 62), envelope, b"")


def test_a_keyring_is_decoded_as_it_was_encoded() -> None:
    ring = three_keys()
    assert keyring_from_bytes(keyring_to_bytes(ring)) == ring


def test_a_keyring_of_form_one_is_still_read() -> None:
    assert keyring_from_bytes(GOLDEN) == three_keys()


@pytest.mark.parametrize(
    "altered",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(GOLDEN[:-1], id="cut"),
        pytest.param(GOLDEN.replace(b"\x92\x01", b"\x92\x02", 1), id="another form"),
        pytest.param(msgspec.msgpack.encode([1, [], "more"]), id="a field of a newer version"),
    ],
)
def test_bytes_that_are_no_keyring_are_refused_without_being_quoted(altered: bytes) -> None:
    with pytest.raises(ValueError, match="these bytes are not a keyring that this version knows") as refused:
        keyring_from_bytes(altered)
    assert refused.value.__suppress_context__


def test_the_repr_of_a_keyring_holds_no_secret() -> None:
    ring = three_keys()
    for key in ring.keys:
        assert repr(key.material.reveal())[2:-1] not in repr(ring)
        assert key.material.reveal().hex() not in repr(ring)


def test_the_keyring_of_a_purpose_is_made_once() -> None:
    ring = three_keys()
    assert ring.for_purpose(b"one") is ring.for_purpose(b"one")
    assert [key.id for key in ring.for_purpose(b"one").keys] == [key.id for key in ring.keys]
    assert states(ring.for_purpose(b"one")) == states(ring)
