"""AWS's own policies, changed at random: whatever the text is, validation answers, and its findings are in the text."""

import json
import random
from time import process_time
from typing import Any

from broker.access.aws_managed import all_aws_managed
from broker.policy.validation import ValidatedAs, validate_policy

MUTATIONS = 400
ODD = (
    None, True, 0, 1.5, "", "*", "?", ":", "::::::", "a:b:c", "s3:*", "*:Get", "arn", "arn:aws", "arn:*:*:*:*:*",
    "arn:aws:iam::1:role/*", "${", "${}", "${*}", "${aws:username", "${aws:username, 'x}", "2012-10-17", "10.0.0.0/8",
    "arn:aws:kms:*", "repo:*", "é\x00", [], {}, [[]], [None], {"": ""}, {"AWS": "*"}, {"Null": {"aws:TagKeys": []}},
)  # fmt: skip
KEYS = (
    "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition", "Effect", "Sid",
    "StringLike", "StringNotLikeIfExists", "ForAnyValue:StringLike", "ForAllValues:Null", "Bool", "IpAddress",
    "DateLessThan", "NumericLessThan", "ArnLike", "aws:userid", "aws:PrincipalOrgID", "aws:VpceOrgID", "s3:prefix",
    "aws:ResourceTag/", "aws:SourceIp", "dynamodb:Attributes", "kms:", ":", "", "Service", "Federated",
    "token.actions.githubusercontent.com:sub", "s3:x-amz-server-side-encryption-aws-kms-key-id",
)  # fmt: skip


def holders(value: Any) -> list[Any]:
    """All objects and lists with something in them, at any depth."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) and value else []
    return own + [found for child in children for found in holders(child)]


def mutated(document: Any, chance: random.Random) -> str:
    """The document with up to three changes of its values, and at times one of its text."""
    for _ in range(chance.randint(1, 3)):
        found = holders(document)
        if not found:
            break
        holder = chance.choice(found)
        at = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if chance.random() < 0.4 and isinstance(holder, dict):
            holder[chance.choice(KEYS)] = holder.pop(at)
        elif chance.random() < 0.2:
            del holder[at]
        else:
            holder[at] = chance.choice((*ODD, [holder[at], chance.choice(ODD)]))
    text = json.dumps(document)
    at = chance.randrange(len(text))
    return text if chance.random() < 0.8 else text[:at] + chance.choice('"{}[]:,\\x*') + text[at + 1 :]


def test_a_mutated_policy_never_makes_validation_raise() -> None:
    chance = random.Random(20_180)
    policies = [policy.document for policy in all_aws_managed()]
    kinds = list(ValidatedAs)
    slowest = 0.0
    for number in range(MUTATIONS):
        text = mutated(json.loads(chance.choice(policies)), chance)
        started = process_time()
        found = validate_policy(text, kinds[number % len(kinds)], as_aws=chance.random() < 0.5)
        slowest = max(slowest, process_time() - started)
        for one in found:
            start, end = one.location.start.offset, one.location.end.offset
            assert 0 <= start <= end <= len(text)
    assert slowest < 2
