"""A passkey is proven by its own authenticator, for this challenge, this page and this person; nothing else is."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from broker.assertions.passkeys import (
    Ceremony,
    PasskeyRefused,
    ProvenPasskey,
    creation_options,
    read_presented,
    request_options,
    verify_new_passkey,
    verify_passkey,
)
from tests.authenticator import PRESENT, Authenticator, base64url, cose_key, from_base64url, new_key

HOST, ORIGIN = "access.example.com", "https://access.example.com"
HANDLE = b"h" * 32
CREATION = Ceremony(b"c" * 32, HOST, ORIGIN)
SIGN_IN = Ceremony(b"s" * 32, HOST, ORIGIN)
OPTIONS = creation_options(CREATION, "preferred", "alice", HANDLE, ())
ASKED = request_options(SIGN_IN, "preferred", ())


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator(ORIGIN, HOST)


def created(authenticator: Authenticator) -> ProvenPasskey:
    return verify_new_passkey(authenticator.create(OPTIONS), CREATION)


def signed_in(
    passkey: ProvenPasskey, answer: str, ceremony: Ceremony = SIGN_IN, count: int = 0, handle: bytes = HANDLE
) -> int:
    return verify_passkey(read_presented(answer), ceremony, passkey.public_key, count, handle)


def why_refused(work: Callable[[], object]) -> str:
    with pytest.raises(PasskeyRefused) as refused:
        work()
    return str(refused.value)


@pytest.mark.parametrize("kind", ["ES256", "EdDSA", "RS256"])
def test_what_an_authenticator_has_made_proves_it_later(kind: str) -> None:
    authenticator = Authenticator(ORIGIN, HOST, kind)
    passkey = created(authenticator)
    assert passkey.credential_id == authenticator.credential_id
    answer = authenticator.get(ASKED)
    assert read_presented(answer).credential_id == passkey.credential_id
    assert signed_in(passkey, answer) == 1


def test_the_options_name_the_site_the_person_and_what_they_have_already() -> None:
    options = creation_options(CREATION, "required", "alice", HANDLE, (b"known",))
    assert options["rp"]["id"] == HOST
    assert from_base64url(options["user"]["id"]) == HANDLE
    assert options["excludeCredentials"] == [{"type": "public-key", "id": base64url(b"known")}]
    assert options["authenticatorSelection"]["userVerification"] == "required"
    asked = request_options(SIGN_IN, "discouraged", (b"one", b"two"))
    assert (asked["rpId"], asked["userVerification"]) == (HOST, "discouraged")
    assert [from_base64url(one["id"]) for one in asked["allowCredentials"]] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (replace(SIGN_IN, challenge=b"x" * 32), "challenge"),
        (replace(SIGN_IN, origin="https://access.example.com:8443"), "origin"),
        (replace(SIGN_IN, origin="http://access.example.com"), "origin"),
        (replace(SIGN_IN, host_name="example.com"), "RP ID"),
    ],
)
def test_an_answer_is_for_one_challenge_one_page_and_one_name(
    authenticator: Authenticator, wrong: Ceremony, reason: str
) -> None:
    passkey = created(authenticator)
    answer = authenticator.get(ASKED)
    assert reason in why_refused(lambda: signed_in(passkey, answer, wrong))
    creation = replace(wrong, challenge=CREATION.challenge if reason != "challenge" else b"x" * 32)
    new = Authenticator(ORIGIN, HOST).create(OPTIONS)
    assert reason in why_refused(lambda: verify_new_passkey(new, creation))


def test_a_page_of_another_site_relays_nothing(authenticator: Authenticator) -> None:
    passkey = created(authenticator)
    authenticator.origin, authenticator.host_name = "https://access.example.net", "access.example.net"
    assert "origin" in why_refused(lambda: signed_in(passkey, authenticator.get(ASKED)))
    authenticator.origin = ORIGIN
    assert "RP ID" in why_refused(lambda: signed_in(passkey, authenticator.get(ASKED)))
    authenticator.host_name, authenticator.cross_origin = HOST, True
    assert "another site" in why_refused(lambda: signed_in(passkey, authenticator.get(ASKED)))
    assert "another site" in why_refused(lambda: created(authenticator))
    authenticator.cross_origin = False
    assert signed_in(passkey, authenticator.get(ASKED)) > 0


def test_another_key_proves_nothing(authenticator: Authenticator) -> None:
    passkey = created(authenticator)
    authenticator.key = new_key()
    assert "signature" in why_refused(lambda: signed_in(passkey, authenticator.get(ASKED)))


def test_what_was_changed_on_the_way_proves_nothing(authenticator: Authenticator) -> None:
    passkey = created(authenticator)
    answer = json.loads(authenticator.get(ASKED))
    data = bytearray(from_base64url(answer["response"]["authenticatorData"]))
    data[36] += 7
    answer["response"]["authenticatorData"] = base64url(bytes(data))
    assert "signature" in why_refused(lambda: signed_in(passkey, json.dumps(answer)))


def test_an_answer_to_a_creation_is_none_to_a_sign_in(authenticator: Authenticator) -> None:
    passkey = created(authenticator)
    creation = json.loads(authenticator.create({**OPTIONS, "challenge": base64url(SIGN_IN.challenge)}))
    answer = json.loads(authenticator.get(ASKED))
    answer["response"]["clientDataJSON"] = creation["response"]["clientDataJSON"]
    assert "webauthn.create" in why_refused(lambda: signed_in(passkey, json.dumps(answer)))


def test_the_counter_only_grows(authenticator: Authenticator) -> None:
    passkey = created(authenticator)
    authenticator.count = 41
    assert signed_in(passkey, authenticator.get(ASKED), count=41) == 42
    answer = authenticator.get(ASKED)
    assert "sign count" in why_refused(lambda: signed_in(passkey, answer, count=43))
    assert "sign count" in why_refused(lambda: signed_in(passkey, answer, count=44))
    authenticator.count = -1
    assert "sign count" in why_refused(lambda: signed_in(passkey, authenticator.get(ASKED), count=42))
    authenticator.count = -1  # one that does not count says 0 each time
    assert signed_in(passkey, authenticator.get(ASKED), count=0) == 0


def test_a_passkey_of_another_person_on_the_same_authenticator_is_refused(
    authenticator: Authenticator,
) -> None:
    passkey = created(authenticator)
    answer = authenticator.get(ASKED)
    assert "another user" in why_refused(lambda: signed_in(passkey, answer, handle=b"i" * 32))
    authenticator.handle = None  # one that stores no user says none
    assert signed_in(passkey, authenticator.get(ASKED)) == 2


def test_somebody_has_to_be_there_and_to_be_verified_where_the_settings_say_so(
    authenticator: Authenticator,
) -> None:
    authenticator.flags = PRESENT
    passkey = created(authenticator)
    assert signed_in(passkey, authenticator.get(ASKED)) == 1
    strict = replace(SIGN_IN, must_verify_user=True)
    assert "verif" in why_refused(lambda: signed_in(passkey, authenticator.get(ASKED), strict))
    answer = authenticator.create(OPTIONS)
    strict = replace(CREATION, must_verify_user=True)
    assert "verif" in why_refused(lambda: verify_new_passkey(answer, strict))
    authenticator.flags = 0
    assert "present" in why_refused(lambda: signed_in(passkey, authenticator.get(ASKED)))
    assert "present" in why_refused(lambda: created(authenticator))


def test_attestations_with_certificates_are_not_parsed(authenticator: Authenticator) -> None:
    for form in ("tpm", "android-safetynet", "apple", "fido-u2f", "android-key", "unheard-of"):
        answer = authenticator.create(OPTIONS, fmt=form, attStmt={"sig": b"s", "alg": -7})
        assert form in why_refused(lambda answer=answer: verify_new_passkey(answer, CREATION))
    answer = authenticator.create(OPTIONS, fmt="packed", attStmt={"sig": b"s", "alg": -7, "x5c": [b"c"]})
    assert "packed" in why_refused(lambda: verify_new_passkey(answer, CREATION))
    answer = authenticator.create(OPTIONS, fmt="packed", attStmt={"sig": b"s", "alg": -7})
    assert "signature" in why_refused(lambda: verify_new_passkey(answer, CREATION))


@pytest.mark.parametrize(
    "changed",
    [
        {3: -65535},  # RS1
        {3: -36},
        {1: 9},
        {-1: 77},
        {-2: b""},
        {-2: b"\xff" * 32, -3: b"\xff" * 32},  # no point of the curve
        {-2: "text"},
        {3: None},
    ],
)
def test_a_key_that_could_never_prove_anything_is_not_enabled(
    authenticator: Authenticator, changed: dict[int, Any]
) -> None:
    answer = authenticator.create(OPTIONS, public_key={**cose_key(authenticator.key), **changed})
    assert why_refused(lambda: verify_new_passkey(answer, CREATION))


def test_what_is_too_large_is_not_read(authenticator: Authenticator) -> None:
    assert "characters" in why_refused(lambda: read_presented("x" * 50_000))
    assert "characters" in why_refused(lambda: verify_new_passkey("x" * 50_000, CREATION))
    authenticator.credential_id = b"i" * 1024
    assert "credential id" in why_refused(lambda: created(authenticator))


NONSENSE = ["", "[]", "{}", "null", '"', "{" * 5000, "[" * 20_000, '{"id": 1}', '{"response": []}', "\ud800"]


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused_and_raises_nothing_else(text: str) -> None:
    assert why_refused(lambda: read_presented(text))
    assert why_refused(lambda: verify_new_passkey(text, CREATION))


STEADY = Authenticator(ORIGIN, HOST, "EdDSA")  # whose answers have one size
NEW, ANSWER = STEADY.create(OPTIONS), STEADY.get(ASKED)
STEADY_PASSKEY = verify_new_passkey(NEW, CREATION)


def damaged(data: st.DataObject, text: str, names: tuple[str, ...]) -> tuple[str, bool]:
    """The answer with some octets of one member changed, or cut off; and whether it still is the same."""
    credential = json.loads(text)
    name = data.draw(st.sampled_from(names))
    whole = from_base64url(credential["response"][name])
    octets = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    octets = octets[: data.draw(st.integers(0, len(whole)))]
    credential["response"][name] = base64url(bytes(octets))
    return json.dumps(credential), octets == whole


@given(st.data())
def test_a_damaged_answer_is_refused_and_raises_nothing_else(data: st.DataObject) -> None:
    text, is_whole = damaged(data, ANSWER, ("authenticatorData", "clientDataJSON", "signature"))
    if is_whole:
        assert signed_in(STEADY_PASSKEY, text) == 1
    else:
        assert why_refused(lambda: signed_in(STEADY_PASSKEY, text))


@given(st.data())
def test_a_damaged_new_passkey_is_refused_or_is_another_key(data: st.DataObject) -> None:
    """Nothing is signed when a passkey is made without attestation; what it raises is a refusal in any case."""
    text, _ = damaged(data, NEW, ("attestationObject", "clientDataJSON"))
    try:
        passkey = verify_new_passkey(text, CREATION)
    except PasskeyRefused:
        return
    is_same = passkey.public_key == STEADY_PASSKEY.public_key
    assert is_same == (not _is_refused(lambda: signed_in(passkey, ANSWER)))


def _is_refused(work: Callable[[], object]) -> bool:
    try:
        work()
    except PasskeyRefused:
        return True
    return False
