"""Decisions per second of the policy engine, on one core, beside cedarpy in the same run.

A role's session is decided through all layers: its identity policies (1 to 1,000 statements), a boundary, a session
policy, SCPs on two levels and the resource's policy. Of the requests four fifths are allowed by some statement,
drawn evenly from all of them; one fifth is denied. CPU seconds are counted. Rounds go through all cells in turn, so
that other load on the machine affects a round and not a cell; the best round of each cell is printed.

cedarpy gets the identity statements alone, as Cedar policies parsed once, and the same requests.
"""

import argparse
import gc
import json
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from broker.names.principal import AssumedRole
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

ACCOUNT = "111122223333"
SIZES = (1, 10, 100, 1000)
STATEMENTS_PER_POLICY = 20
REQUESTS = 2_000
CALLER = AssumedRole(ACCOUNT, "payments-service", "AROAEXAMPLEROLE000001", "i-0abc12345678def00", "/prod/")

# service -> (actions, a resource's ARN; {} is filled with a name)
SERVICES: dict[str, tuple[list[str], str]] = {
    "s3": (
        ["GetObject", "PutObject", "DeleteObject", "GetObjectTagging"],
        "arn:aws:s3:::{}/data/part.parquet",
    ),
    "dynamodb": (
        ["GetItem", "PutItem", "Query", "BatchGetItem"],
        "arn:aws:dynamodb:eu-west-1:111122223333:table/{}",
    ),
    "sqs": (["SendMessage", "ReceiveMessage", "DeleteMessage"], "arn:aws:sqs:eu-west-1:111122223333:{}"),
    "sns": (["Publish", "Subscribe", "GetTopicAttributes"], "arn:aws:sns:eu-west-1:111122223333:{}"),
    "lambda": (["InvokeFunction", "GetFunction"], "arn:aws:lambda:eu-west-1:111122223333:function:{}"),
    "logs": (
        ["CreateLogStream", "PutLogEvents"],
        "arn:aws:logs:eu-west-1:111122223333:log-group:/app/{}:log-stream:a",
    ),
    "secretsmanager": (
        ["GetSecretValue", "DescribeSecret"],
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:{}",
    ),
    "kinesis": (
        ["PutRecord", "GetRecords", "DescribeStream"],
        "arn:aws:kinesis:eu-west-1:111122223333:stream/{}",
    ),
    "ecr": (["BatchGetImage", "PutImage"], "arn:aws:ecr:eu-west-1:111122223333:repository/{}"),
    "states": (
        ["StartExecution", "DescribeStateMachine"],
        "arn:aws:states:eu-west-1:111122223333:stateMachine:{}",
    ),
}
CONTEXT = {
    "aws:PrincipalArn": CALLER.role_arn,
    "aws:PrincipalTag/team": "payments",
    "aws:SourceIp": "10.20.30.40",
    "aws:SecureTransport": "true",
    "aws:RequestedRegion": "eu-west-1",
    "aws:PrincipalOrgID": "o-example",
    "aws:userid": CALLER.user_id,
    "aws:CurrentTime": "2026-11-21T12:00:00Z",
    "aws:EpochTime": "1795262400",
    "aws:PrincipalAccount": ACCOUNT,
    "aws:UserAgent": "aws-sdk-python",
}
CONDITIONS = {
    "StringEquals": {"aws:PrincipalTag/team": ["payments", "billing"]},
    "Bool": {"aws:SecureTransport": "true"},
}


def statements(random: Random, count: int, with_conditions: bool) -> list[dict[str, Any]]:
    """Typical statements: some actions of one service on one or two resources; one of twenty denies."""
    made = []
    for number in range(count):
        service = list(SERVICES)[number % len(SERVICES)]
        actions, arn = SERVICES[service]
        chosen = [f"{service}:{action}" for action in random.sample(actions, random.randint(1, len(actions)))]
        name = f"{random.choice(['orders', 'ledger', 'audit'])}-{number}"
        resources = [arn.format(one) for one in (name, f"{name}-archive")[: random.randint(1, 2)]]
        if number % 4 == 3:
            resources = [arn.partition("{}")[0] + name + "*"]
        made.append(
            {
                "Sid": f"Statement{number}",
                "Effect": "Deny" if number % 20 == 19 else "Allow",
                "Action": chosen,
                "Resource": resources,
                **({"Condition": CONDITIONS} if with_conditions else {}),
            }
        )
    return made


def documents(written: list[dict[str, Any]]) -> list[str]:
    """The statements as policies of twenty."""
    return [
        json.dumps({"Version": "2012-10-17", "Statement": written[start : start + STATEMENTS_PER_POLICY]})
        for start in range(0, len(written), STATEMENTS_PER_POLICY)
    ]


def compiled(texts: list[str], kind: PolicyKind) -> PolicySet:
    return compile_policies(
        (Source(SourceKind.NONE, f"{kind.value}-{number}"), parse_policy(text, kind))
        for number, text in enumerate(texts)
    )


def all_layers(identity: PolicySet) -> Layers:
    """`identity` with all other layers: a boundary, a session policy, SCPs of two levels, a resource policy."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    services = {**everything, "Action": [f"{service}:*" for service in SERVICES]}
    no_iam = {**everything, "Effect": "Deny", "Action": ["iam:*", "organizations:*"]}
    regions = {
        "Effect": "Deny",
        "NotAction": ["iam:*", "sts:*"],
        "Resource": "*",
        "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}},
    }
    insecure = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    reader = {**everything, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/reader"}}
    return Layers(
        identity=identity,
        boundary=compiled(documents([services, no_iam]), PolicyKind.BOUNDARY),
        session=compiled(documents([services]), PolicyKind.SESSION),
        resource=compiled(documents([insecure, reader]), PolicyKind.RESOURCE),
        scps=(
            compiled(documents([everything, regions]), PolicyKind.SCP),
            compiled(documents([everything]), PolicyKind.SCP),
        ),
    )


def requests(random: Random, written: list[dict[str, Any]]) -> list[AccessRequest]:
    """Four fifths of the requests are allowed by a statement; one fifth is for resources that no statement names."""
    allowing = [statement for statement in written if statement["Effect"] == "Allow"]
    made = []
    for number in range(REQUESTS):
        statement = random.choice(allowing)
        resource = random.choice(statement["Resource"]).replace("*", "-2026")
        if number % 5 == 4:
            resource = (
                resource.replace("orders", "other").replace("ledger", "other").replace("audit", "other")
            )
        action = random.choice(statement["Action"])
        made.append(AccessRequest(CALLER, action, resource, ACCOUNT, Context(CONTEXT)))
    return made


def seconds_per_call(call: Callable[[Any], object], arguments: Sequence[Any], rounds: int) -> float:
    """CPU seconds of one call: the best round over all `arguments`, after one round to warm up."""
    for argument in arguments:
        call(argument)
    best = float("inf")
    gc.disable()
    for _ in range(rounds):
        began = time.process_time()
        for argument in arguments:
            call(argument)
        best = min(best, time.process_time() - began)
    gc.enable()
    return best / len(arguments)


def asking(count: int, with_conditions: bool) -> Callable[[], object]:
    """Decides all requests once, one after the other."""
    random = Random(count)
    written = statements(random, count, with_conditions)
    layers = all_layers(compiled(documents(written), PolicyKind.IDENTITY))
    asked = requests(random, written)
    share = sum(decide(request, layers).allowed for request in asked) / len(asked)
    assert 0.7 < share < 0.9, f"a cell that allows {share:.0%} says little"

    def ask() -> None:
        for request in asked:
            decide(request, layers)

    return ask


def speeds(cells: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Decisions per second of each cell: the best of `rounds`, all cells in turn."""
    best = [float("inf")] * len(cells)
    gc.disable()
    for _ in range(rounds):
        for number, cell in enumerate(cells):
            began = time.process_time()
            cell()
            best[number] = min(best[number], time.process_time() - began)
    gc.enable()
    return [REQUESTS / spent for spent in best]


def cedar_policies(written: list[dict[str, Any]], with_conditions: bool) -> str:
    """The same statements in Cedar; a resource pattern becomes a `like` on the resource's ARN."""
    made = []
    for statement in written:
        effect = "permit" if statement["Effect"] == "Allow" else "forbid"
        actions = ", ".join(f'Action::"{action}"' for action in statement["Action"])
        tests = " || ".join(
            f'context.resource like "{arn}"' if "*" in arn else f'resource == Resource::"{arn}"'
            for arn in statement["Resource"]
        )
        when = f"({tests})"
        if with_conditions:
            when += ' && ["payments", "billing"].contains(context.team) && context.secure'
        made.append(f"{effect}(principal, action in [{actions}], resource) when {{ {when} }};")
    return "\n".join(made)


def asking_cedar(count: int, with_conditions: bool) -> Callable[[], object]:
    """The same requests, decided by cedarpy; its decisions must be the engine's."""
    import cedarpy

    random = Random(count)
    written = statements(random, count, with_conditions)
    identity = compiled(documents(written), PolicyKind.IDENTITY)
    policies = cedarpy.PolicySet.from_str(cedar_policies(written, with_conditions))
    entities = cedarpy.Entities.from_json_str("[]")
    asked = []
    for request in requests(random, written):
        question = {
            "principal": {"type": "Role", "id": CALLER.arn},
            "action": {"type": "Action", "id": request.action},
            "resource": {"type": "Resource", "id": request.resource},
            "context": {"resource": request.resource, "team": "payments", "secure": True},
        }
        asked.append(question)
        if len(asked) <= 50:
            theirs = cedarpy.is_authorized(question, policies, entities).allowed
            assert theirs == decide(request, Layers(identity)).allowed, question

    def ask() -> None:
        for question in asked:
            cedarpy.is_authorized(question, policies, entities)

    return ask


def measure_compiling(count: int, with_conditions: bool, rounds: int) -> tuple[float, float, float]:
    """Milliseconds to parse and to compile `count` statements; megabytes that they occupy after use."""
    texts = documents(statements(Random(count), count, with_conditions))

    def parse() -> list[tuple[Source, Any]]:
        return [(Source(SourceKind.NONE, "p"), parse_policy(text, PolicyKind.IDENTITY)) for text in texts]

    parsing = seconds_per_call(lambda _: parse(), [None], rounds)
    compiling = seconds_per_call(compile_policies, [parse()], rounds)
    random = Random(count)
    asked = requests(random, statements(random, count, with_conditions))
    layers = all_layers(compiled(documents([]), PolicyKind.IDENTITY))
    gc.collect()
    tracemalloc.start()
    identity = compiled(texts, PolicyKind.IDENTITY)
    layers = Layers(identity, layers.boundary, layers.session, layers.resource, layers.scps)
    for request in asked:
        decide(request, layers)
    gc.collect()
    occupied = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return parsing * 1e3, compiling * 1e3, occupied / 2**20


def measure_denials(count: int, with_conditions: bool, rounds: int) -> float:
    """Microseconds of a denial with its full reasons."""
    random = Random(count)
    written = statements(random, count, with_conditions)
    layers = all_layers(compiled(documents(written), PolicyKind.IDENTITY))
    denied = [request for request in requests(random, written) if not decide(request, layers).allowed]
    return 1e6 * seconds_per_call(lambda request: decide(request, layers).explain(), denied, rounds)


def print_speeds(rounds: int) -> None:
    found = speeds([asking(count, conditions) for count in SIZES for conditions in (False, True)], rounds)
    print(f"{'statements':>10} {'plain /s':>12} {'two conditions /s':>18}")
    for number, count in enumerate(SIZES):
        print(f"{count:>10,} {found[2 * number]:>12,.0f} {found[2 * number + 1]:>18,.0f}")
    print(f"{'1000 : 1':>10} {found[-2] / found[0]:>12.2f} {found[-1] / found[1]:>18.2f}\n")


def print_peer() -> None:
    ours = [asking(1000, conditions) for conditions in (False, True)]
    theirs = [asking_cedar(1000, conditions) for conditions in (False, True)]
    plain, conditioned, peer_plain, peer_conditioned = speeds([*ours, *theirs], 1)
    print(f"{'at 1,000':>10} {'plain /s':>12} {'two conditions /s':>18}")
    print(f"{'engine':>10} {plain:>12,.0f} {conditioned:>18,.0f}")
    print(f"{'cedarpy':>10} {peer_plain:>12,.0f} {peer_conditioned:>18,.0f}")
    print(f"{'ratio':>10} {plain / peer_plain:>12,.0f} {conditioned / peer_conditioned:>18,.0f}\n")


def print_costs(rounds: int) -> None:
    print(f"{'1,000 statements':>18} {'parse ms':>9} {'compile ms':>11} {'memory MB':>10}")
    for name, with_conditions in (("plain", False), ("two conditions", True)):
        parsing, compiling, megabytes = measure_compiling(1000, with_conditions, rounds)
        print(f"{name:>18} {parsing:>9.1f} {compiling:>11.1f} {megabytes:>10.2f}")
    print()
    for name, with_conditions in (("plain", False), ("two conditions", True)):
        spent = measure_denials(100, with_conditions, rounds)
        print(f"a denial with full reasons at 100 statements, {name}: {spent:.1f} us")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each measurement, the best counts")
    parser.add_argument("--no-peer", action="store_true", help="leave cedarpy out")
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}; CPU seconds on one core\n")
    print_speeds(chosen.rounds)
    if not chosen.no_peer:
        print_peer()
    print_costs(chosen.rounds)


if __name__ == "__main__":
    main()
