"""Compiled documents: shared by text, distinguished by name, bounded by weight."""

import asyncio
import json

import pytest

from broker.access.library import PolicyLibrary
from broker.errors import Refusal
from broker.names.principal import IamUser
from broker.policy import (
    AccessRequest,
    Context,
    Layers,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    compile_policies,
    decide,
    parse_policy,
)


def text(name="x"):
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def source(name):
    return Source(SourceKind.ROLE, name, f"arn:aws:iam::111122223333:role/{name}")


def compiled(name="x"):
    return compile_policies([(source(name), parse_policy(text(name), PolicyKind.IDENTITY))])


def test_two_roles_with_the_same_text_share_what_is_compiled():
    library = PolicyLibrary()
    first = library.compiled(source("first"), text(), PolicyKind.IDENTITY)
    second = library.compiled(source("second"), text(), PolicyKind.IDENTITY)
    assert first.shared_parts == second.shared_parts


def test_the_reasons_of_a_decision_name_the_policy_of_the_one_who_was_judged():
    library = PolicyLibrary()
    library.compiled(source("first"), text(), PolicyKind.IDENTITY)
    layers = Layers(identity=library.compiled(source("second"), text(), PolicyKind.IDENTITY))
    user = IamUser("111122223333", "alice", "AIDA1")
    decision = decide(
        AccessRequest(user, "s3:GetObject", "arn:aws:s3:::x/k", "111122223333", Context()), layers
    )
    assert decision.allowed
    assert [match.source.name for match in decision.deciding] == ["second"]


def test_the_same_text_as_a_policy_of_another_kind_is_read_by_that_kinds_rules():
    library = PolicyLibrary()
    library.compiled(source("first"), text(), PolicyKind.IDENTITY)
    with pytest.raises(Refusal) as refused:
        library.compiled(source("first"), text(), PolicyKind.TRUST)
    assert refused.value.code == "ServiceUnavailable"


def test_compiled_documents_never_weigh_more_than_the_limit_and_one_in_use_stays():
    library = PolicyLibrary(limit=20_000)

    def shared(number):
        return library.shared(source("first"), text(str(number)), PolicyKind.IDENTITY)

    in_use, once = shared(0), shared(1)
    for number in range(2, 100):
        shared(number)
        assert shared(0) is in_use
        assert library.cache.weight <= 20_000
    assert shared(1) is not once


def test_policies_that_many_values_hold_weigh_once():
    library = PolicyLibrary()
    one, other = (library.shared(source("first"), text(name), PolicyKind.IDENTITY) for name in "ab")
    weight = library.cache.weight
    for number in range(10):
        library.cache.put(number, PolicySet.union(one.attributed_to(source(str(number))), other), 100)
    assert library.cache.weight == weight + 10 * 100


async def test_others_have_their_turn_while_many_policies_are_compiled():
    library, turns = PolicyLibrary(), 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    for _ in range(2):
        for number in range(50):
            await library.compiled_in_turn(source("it"), text(str(number)), PolicyKind.IDENTITY)
    running.cancel()
    assert 49 <= turns <= 52, "one for each that is compiled, and none for what is there already"
