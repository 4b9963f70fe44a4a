"""Random pairs of policies, often alike, and random requests: the answers of the solver beside those of the engine.

`compare` asks the solver, then the engine: every example must be allowed by the new policy and not by the existing one;
where there is none, no request may contradict.
"""

import json
from contextlib import suppress
from copy import deepcopy
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.names.principal import (
    Anonymous,
    AssumedRole,
    FederatedUser,
    IamUser,
    Principal,
    Root,
    Service,
    WebIdentity,
    account_of,
)
from broker.policy import (
    NO_POLICIES,
    AccessRequest,
    Context,
    Layers,
    MalformedPolicy,
    Policy,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    compile_policies,
    decide,
    parse_policy,
)
from broker.policy.conditions import OPERATORS
from broker.policy.principals import names_of
from broker.policy.solver.callers import RepresentativeCaller
from broker.policy.solver.examining import ComparedPolicies, Examination, examine
from broker.policy.solver.keys import KeyCondition
from broker.policy.solver.publicness import PUBLIC_VALUES, public_values
from broker.policy.solver.questions import ExampleRequest, PolicyQuestion

OWN, OTHER, STRANGE = "111122223333", "444455556666", "999999999999"
ACTIONS = (
    *(
        "s3:GetObject",
        "s3:PutObject",
        "s3:Get*",
        "S3:get*",
        "s3:*",
        "s3:ListAllMyBuckets",
        "s3:List*",
        "s3:?etObject",
    ),
    *("*", "iam:PassRole", "iam:*", "*:*Object", "s3:GetObject*", "sqs:SendMessage"),
)
RESOURCES = (
    *("*", "arn:aws:s3:::a", "arn:aws:s3:::a/*", "arn:aws:s3:::a/b", "arn:aws:s3:::*/b", "arn:aws:s3:::a?b"),
    *("arn:aws:s3:::${aws:username}/*", "arn:aws:s3:::a/${aws:username}", "arn:aws:s3:::a/${aws:username}/*"),
    *("arn:aws:s3:::a/${*}", "arn:aws:sqs:*:*:q", "arn:aws:sqs:eu-*:111122223333:q*", "arn:aws:s3:*"),
    *("arn:aws:iam::111122223333:role/*", "arn:aws:sqs:*:1*3:*", "arn:aws:s3:::*"),
)
ASKED_ACTIONS = (
    *("s3:GetObject", "s3:PutObject", "s3:ListAllMyBuckets", "s3:ListBucket", "s3:SetObject", "iam:PassRole"),
    *("iam:GetUser", "sqs:SendMessage", "x:DoObject", "s3:GetObjectAcl"),
)
ASKED_RESOURCES = (
    *(
        "*",
        "arn:aws:s3:::a",
        "arn:aws:s3:::a/b",
        "arn:aws:s3:::a/*",
        "arn:aws:s3:::a/b/c",
        "arn:aws:s3:::c/b",
    ),
    *("arn:aws:s3:::axb", "arn:aws:s3:::bob/x", "arn:aws:sqs:eu-x:111122223333:q", "arn:aws:sqs:us:9:8:q"),
    *("arn:aws:iam::111122223333:role/r", "arn:aws:s3:::a/bob", "arn:aws:s3:::a/bob/x", "arn:x:y:z:1:w"),
)
# The values that policies compare keys with, and those that requests have: by key.
TEXTS = ("a", "b", "A", "bob", "a*", "*", "?", "true", "${aws:username}", "x/${aws:username}", "Straße", "")
HAD_TEXTS = ("a", "b", "A", "bob", "ab", "*", "", "true", "x/bob", "STRASSE", "5", "zz")
NUMBERS, HAD_NUMBERS = (
    ("5", "7.50", "5.0", "-1", "x"),
    ("4", "5", "6", "7.5", "8", "-1", "-2", "x", "", "5.00"),
)
DATES = ("2026-01-01T00:00:00Z", "2026-01-02", "1767225600", "x")
HAD_DATES = (
    "2025-12-31T23:59:59Z",
    "2026-01-01T00:00:00Z",
    "2026-01-01T12:00:00Z",
    "2027-01-01",
    "x",
    "99999999999999",
)
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "0.0.0.0/0", "x")
HAD_ADDRESSES = (
    "10.0.0.1",
    "10.1.2.3",
    "10.1.9.9",
    "11.0.0.1",
    "2001:db8::1",
    "2001:db9::1",
    "x",
    "::ffff:10.1.2.3",
)
BYTES, HAD_BYTES = ("YQ==", "Yg==", "?"), ("YQ==", "Yg==", "Yw==", "x", "")
BOOLEANS, HAD_BOOLEANS = ("true", "false", "True", "x"), ("true", "false", "TRUE", "x", "")
ARNS = (
    "arn:aws:iam::111122223333:role/*",
    "arn:aws:iam::*:user/bob",
    "arn:*",
    "x",
    "arn:aws:iam::111122223333:user/${aws:username}",
)
HAD_ARNS = (
    "arn:aws:iam::111122223333:role/r",
    "arn:aws:iam::1:user/bob",
    "arn:aws:s3:::a",
    "x",
    "arn:a:b:c:d:e:f",
)
VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "String": (TEXTS, HAD_TEXTS),
    "Numeric": (NUMBERS, HAD_NUMBERS),
    "Date": (DATES, HAD_DATES),
    "IpAddress": (NETWORKS, HAD_ADDRESSES),
    "NotIpAddress": (NETWORKS, HAD_ADDRESSES),
    "Binary": (BYTES, HAD_BYTES),
    "Bool": (BOOLEANS, HAD_BOOLEANS),
    "Arn": (ARNS, HAD_ARNS),
}
ANY_HAD = tuple(dict.fromkeys(value for _, had in VALUES.values() for value in had))
# Keys with one value, of which each has a usual family, then those that may have several.
KEYS = {
    "aws:username": "String",
    "aws:SourceIp": "IpAddress",
    "aws:CurrentTime": "Date",
    "aws:SecureTransport": "Bool",
    "aws:MultiFactorAuthAge": "Numeric",
    "aws:PrincipalArn": "Arn",
    "aws:SourceVpc": "String",
}
SEVERAL = ("aws:TagKeys", "custom:key")
PRINCIPALS = (
    *({"AWS": "*"}, "*", {"AWS": OWN}, {"AWS": f"arn:aws:iam::{OWN}:root"}, {"AWS": [OWN, OTHER]}),
    *(
        {"AWS": f"arn:aws:iam::{OWN}:user/bob"},
        {"AWS": f"arn:aws:iam::{OWN}:role/r"},
        {"AWS": "AROAROLEROLEROLEROLE"},
    ),
    *(
        {"AWS": f"arn:aws:sts::{OWN}:assumed-role/r/s"},
        {"AWS": "AIDAUSERUSERUSERUSER"},
        {"Service": "s3.amazonaws.com"},
    ),
    *(
        {"Federated": "accounts.google.com"},
        {"CanonicalUser": "c0ffee"},
        {"AWS": f"arn:aws:sts::{OWN}:federated-user/f"},
    ),
    *({"AWS": "AROAROLEROLEROLEROLE:s"}, {"Service": "*"}),
)
CALLERS: tuple[Principal, ...] = (
    Anonymous(),
    *(Root(account) for account in (OWN, OTHER, STRANGE)),
    *(IamUser(account, name, "AIDAOTHEROTHEROTHER") for account in (OWN, STRANGE) for name in ("bob", "eve")),
    IamUser(OWN, "eve", "AIDAUSERUSERUSERUSER"),
    *(
        AssumedRole(OWN, "r", role_id, name)
        for role_id in ("AROAROLEROLEROLEROLE", "AROAOTHER")
        for name in "st"
    ),
    AssumedRole(OTHER, "r", "AROAROLEROLEROLEROLE", "s"),
    *(FederatedUser(OWN, name) for name in ("f", "g")),
    *(Service(name) for name in ("s3.amazonaws.com", "ec2.amazonaws.com")),
    *(WebIdentity(name, "me") for name in ("accounts.google.com", "other.example")),
)
STRANGERS = (Anonymous(), Root(STRANGE), *(one for one in CALLERS if account_of(one) == STRANGE))
GRANTED_RESOURCES = ("arn:aws:s3:::a/b", "arn:aws:s3:::a/*", "arn:aws:s3:::a", "arn:aws:sqs:us:9:q", "*")
_SOURCE = Source(SourceKind.NONE, "policy")
_EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


class Pair(msgspec.Struct, frozen=True):
    """Two policies of one kind: what the new one allows beyond the existing one is asked."""

    new: Policy
    existing: Policy


def random_pair(random: Random, kind: PolicyKind) -> Pair:
    """Drawn again where IAM would not store one of the two."""
    while True:
        statements = [random_statement(random, kind) for _ in range(random.randint(1, 3))]
        others = deepcopy(statements)
        for _ in range(random.randint(0, 3)):
            others = changed(random, others, kind)
        pair = [statements, others]
        random.shuffle(pair)
        new, existing = (document(one, random) for one in pair)
        with suppress(MalformedPolicy):
            return Pair(parse_policy(new, kind), parse_policy(existing, kind))


def document(statements: list[dict[str, Any]], random: Random) -> str:
    return json.dumps(
        {"Version": random.choice(("2012-10-17",) * 9 + ("2008-10-17",)), "Statement": statements}
    )


def random_statement(random: Random, kind: PolicyKind) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": random.choice(("Allow", "Allow", "Deny"))}
    statement[random.choice(("Action",) * 5 + ("NotAction",))] = some(random, ACTIONS)
    statement[random.choice(("Resource",) * 5 + ("NotResource",))] = some(random, RESOURCES)
    if kind is not PolicyKind.IDENTITY:
        statement[random.choice(("Principal",) * 5 + ("NotPrincipal",))] = random.choice(PRINCIPALS)
    if random.random() < 0.6:
        statement["Condition"] = random_conditions(random)
    return statement


def random_conditions(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(random.randint(1, 2)):
        key = random.choice((*KEYS, *SEVERAL, *SEVERAL))
        family = KEYS.get(key, "String")
        name = random.choice([one for one in OPERATORS if one.startswith(family)])
        if random.random() < 0.1:
            name = random.choice(list(OPERATORS))
        values = next(had for start, (had, _) in VALUES.items() if name.startswith(start))
        operator = random.choice(("", "", "", "ForAllValues:", "ForAnyValue:")) + name
        operator += random.choice(("", "", "IfExists"))
        if random.random() < 0.1:
            operator, values = "Null", ("true", "false")
        found.setdefault(operator, {})[key] = some(random, values)
    return found


def some(random: Random, values: tuple[str, ...]) -> list[str]:
    return random.sample(values, random.choice((1, 1, 1, 2, 3)) if len(values) > 2 else 1)


def changed(random: Random, statements: list[dict[str, Any]], kind: PolicyKind) -> list[dict[str, Any]]:
    """With one change: a statement more or less, or another element in one."""
    statements = deepcopy(statements)
    one, other = random.choice(statements), random_statement(random, kind)
    choice = random.randrange(8)
    if choice == 0:
        return [*statements, other]
    if choice == 1 and len(statements) > 1:
        statements.remove(one)
        return statements
    if choice > 5 and one.get("Condition"):
        return respelt(random, statements, one)
    pairs = (
        ("Action", "NotAction"),
        ("Resource", "NotResource"),
        ("Principal", "NotPrincipal"),
        ("Condition",),
    )
    names = random.choice(pairs)
    for name in names:
        one.pop(name, None)
    one |= {name: other[name] for name in names if name in other}
    return statements


def respelt(random: Random, statements: list[dict[str, Any]], one: dict[str, Any]) -> list[dict[str, Any]]:
    """With another quantifier of one condition, with or without IfExists, or with fewer values."""
    operator = random.choice(list(one["Condition"]))
    keys = one["Condition"].pop(operator)
    name = operator.rpartition(":")[2].removesuffix("IfExists")
    quantifier = random.choice(("", "ForAllValues:", "ForAnyValue:"))
    suffix = random.choice(("", "IfExists")) if name != "Null" else ""
    if random.random() < 0.3:
        keys = {key: values[:1] for key, values in keys.items()}
        one["Condition"][operator] = keys
    else:
        one["Condition"][f"{quantifier}{name}{suffix}"] = keys
    return statements


def random_request(random: Random, kind: PolicyKind) -> ExampleRequest:
    values: dict[str, tuple[str, ...]] = {}
    for key, family in KEYS.items():
        if random.random() < 0.6:
            had = VALUES[family][1] if random.random() < 0.9 else ANY_HAD
            values[key.lower()] = (random.choice(had),)
    for key in SEVERAL:
        if random.random() < 0.6:
            values[key.lower()] = tuple(random.choices(HAD_TEXTS, k=random.choice((1, 1, 2, 3))))
    caller = None
    if kind is not PolicyKind.IDENTITY:
        principal = random.choice(CALLERS)
        caller = RepresentativeCaller(principal, names_of(principal), False)
    return ExampleRequest(random.choice(ASKED_ACTIONS), random.choice(ASKED_RESOURCES), caller, values)


def compiled(policy: Policy) -> PolicySet:
    return compile_policies([(_SOURCE, policy)])


def everything() -> PolicySet:
    text = json.dumps({"Version": "2012-10-17", "Statement": _EVERYTHING})
    return compiled(parse_policy(text, PolicyKind.IDENTITY))


def is_allowed(policies: PolicySet, request: ExampleRequest) -> bool:
    """By the decision of a whole request, whose other side allows everything."""
    if request.caller is None:
        user = IamUser(OWN, "somebody", "AIDASOMEBODYSOMEBODY")
        asked = AccessRequest(user, request.action, request.resource, OWN, Context(request.values))
        return decide(asked, Layers(policies)).allowed
    principal, names = request.caller.principal, request.caller.names
    by, by_id = (*names.entity, "", "")[:2] if isinstance(principal, FederatedUser) else ("", "")
    asked = AccessRequest(
        principal,
        request.action,
        request.resource,
        None,
        Context(request.values),
        federated_by=by,
        federated_by_id=by_id,
        canonical_user_id=names.canonical_user,
    )
    allowed = everything()
    identity = allowed if account_of(principal) is not None else NO_POLICIES
    boundary = allowed if names.has_boundary else None
    session = allowed if isinstance(principal, FederatedUser) else None
    return decide(asked, Layers(identity, boundary, session, policies)).allowed


def compare(seed: int, kind: PolicyKind, requests: int) -> tuple[Pair, Examination]:
    """Raises AssertionError where the solver and the engine contradict one another."""
    random = Random(seed)
    pair = random_pair(random, kind)
    found = examine(PolicyQuestion(pair.new, pair.existing, is_resource=kind is not PolicyKind.IDENTITY))
    new, existing = compiled(pair.new), compiled(pair.existing)
    for example in found.examples:
        if example.request is not None:
            assert is_allowed(new, example.request), (seed, pair, example)
            assert not is_allowed(existing, example.request), (seed, pair, example)
    if found.is_impossible:
        for _ in range(requests):
            request = random_request(random, kind)
            is_new = is_allowed(new, request) and not is_allowed(existing, request)
            assert not is_new, (seed, pair, request)
    return pair, found


def compare_granted(seed: int, kind: PolicyKind, requests: int) -> Examination:
    """The same of access that may not be granted, to some actions and resources."""
    random = Random(seed)
    policy = random_pair(random, kind).new
    actions = tuple(action.lower() for action in some(random, ACTIONS)) if random.random() < 0.8 else ()
    resources = tuple(some(random, GRANTED_RESOURCES)) if not actions or random.random() < 0.5 else ()
    question = PolicyQuestion(
        policy, actions=actions, resources=resources, is_resource=kind is not PolicyKind.IDENTITY
    )
    found, policies = examine(question), compiled(policy)
    asked = ComparedPolicies(question)
    for example in found.examples:
        assert example.request is None or is_allowed(policies, example.request), (seed, question, example)
    for _ in range(requests if found.is_impossible else 0):
        request = random_request(random, kind)
        assert not (asked.is_example(request) and is_allowed(policies, request)), (seed, question, request)
    return found


def compare_public(seed: int, requests: int) -> Examination:
    """The same of access by anybody: strangers, whose keys have no value that the policy names."""
    random = Random(seed)
    policy = random_pair(random, PolicyKind.RESOURCE).new
    excluded = public_values(policy, knows_variables=policy.version != "2008-10-17")
    question = PolicyQuestion(
        policy, is_resource=True, is_public=True, is_excluded=excluded, known=dict(PUBLIC_VALUES)
    )
    found, policies = examine(question), compiled(policy)
    conditions = [
        KeyCondition(one, False, policy.version != "2008-10-17")
        for statement in policy.statements
        for one in statement.conditions
        if not one.operator.endswith("Null")
    ]
    for example in found.examples:
        assert example.request is None or is_allowed(policies, example.request), (seed, policy, example)
    for _ in range(requests if found.is_impossible else 0):
        request = random_request(random, PolicyKind.RESOURCE)
        assert request.caller is not None
        stranger = random.choice(STRANGERS)
        request = replace(
            request, caller=replace(request.caller, principal=stranger, names=names_of(stranger))
        )
        named = any(excluded(one, value) for one in conditions for value in request.values.get(one.key, ()))
        assert named or not is_allowed(policies, request), (seed, policy, request)
    return found
