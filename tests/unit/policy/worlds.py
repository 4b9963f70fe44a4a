"""Random worlds: policies in every layer, principals and requests, drawn from small pools so that they meet.

Everything is plain JSON in the shape of a case (see casefiles.py), so both judges can be asked about it.
"""

A, B = "111122223333", "444455556666"
RESOURCES = {
    "s3:GetObject": [
        "arn:aws:s3:::reports/2026.csv",
        "arn:aws:s3:::alice/notes.txt",
        "arn:aws:s3:::reports/*",
    ],
    "s3:PutObject": ["arn:aws:s3:::reports/2026.csv", "arn:aws:s3:::red/2026/q1.csv"],
    "s3:ListBucket": ["arn:aws:s3:::reports", "arn:aws:s3:::alice"],
    "sqs:SendMessage": [f"arn:aws:sqs:eu-west-1:{A}:jobs", f"arn:aws:sqs:us-east-1:{B}:jobs"],
    "kms:Decrypt": [f"arn:aws:kms:eu-west-1:{A}:key/1234abcd"],
    "iam:PutRolePolicy": [f"arn:aws:iam::{A}:role/builder", f"arn:aws:iam::{A}:role/aws-reserved/x/y"],
    "sts:AssumeRole": [f"arn:aws:iam::{A}:role/builder", f"arn:aws:iam::{B}:role/builder"],
    "sts:GetCallerIdentity": ["*"],
    "ec2:DescribeInstances": ["*"],
}
ACTION_PATTERNS = [
    *RESOURCES, "*", "*", "s3:*", "s3:Get*", "S3:getOBJECT", "s3:?utObject", "s3:*Object", "sqs:*", "kms:*",
    "iam:*Role*", "sts:Assume*", "ec2:Describe*", "*:*", "*:Get*", "*:Put*",
]  # fmt: skip
RESOURCE_PATTERNS = [
    *(resource for resources in RESOURCES.values() for resource in resources), "*", "*", "*",
    "arn:aws:s3:::reports/*", "arn:aws:s3:::re?orts/*.csv", "arn:aws:s3:::${aws:username}/*", "arn:aws:s3:::*/2*",
    "arn:aws:s3:::${aws:PrincipalTag/team}/2026/*", "arn:aws:s3:::${aws:username, 'reports'}*",
    "arn:aws:s3:::reports/${*}", "arn:aws:s3:::${aws:TagKeys}*", f"arn:aws:sqs:*:{A}:*", "arn:aws:sqs:eu-*:*:j?bs",
    "arn:aws:kms:*:*:key/*", "arn:aws:iam::*:role/*",
]  # fmt: skip
PRINCIPALS = [
    {"user": "alice"}, {"user": "alice"}, {"user": "bob", "id": "AIDABOBBOBBOBBOBB0001"},
    {"user": "alice", "account": B}, {"assumed-role": "builder", "session": "run-7"},
    {"assumed-role": "builder", "session": "run-8"}, {"assumed-role": "deployer", "session": "x", "account": B},
    {"federated-user": "fay", "by": "alice"}, {"root": A}, {"root": B}, {"service": "sns.amazonaws.com"},
    {"web-identity": "accounts.google.com", "subject": "7"}, "anonymous",
]  # fmt: skip
ELEMENTS = [
    "*", "*", {"AWS": "*"}, {"AWS": A}, {"AWS": f"arn:aws:iam::{A}:root"}, {"AWS": B},
    {"AWS": f"arn:aws:iam::{A}:user/alice"}, {"AWS": [f"arn:aws:iam::{A}:user/bob", f"arn:aws:iam::{B}:root"]},
    {"AWS": "AIDABOBBOBBOBBOBB0001"}, {"AWS": f"arn:aws:iam::{A}:role/builder"}, {"AWS": "AROAEXAMPLEROLE000001"},
    {"AWS": f"arn:aws:sts::{A}:assumed-role/builder/run-7"}, {"AWS": f"arn:aws:sts::{A}:federated-user/fay"},
    {"Service": "sns.amazonaws.com"}, {"Federated": "accounts.google.com"},
    {"AWS": f"arn:aws:iam::{A}:user/alice", "Service": ["sns.amazonaws.com", "events.amazonaws.com"]},
]  # fmt: skip
SPARED = [
    {"AWS": [f"arn:aws:iam::{A}:user/alice", f"arn:aws:iam::{A}:root"]}, {"AWS": A}, {"AWS": B},
    {"Service": "sns.amazonaws.com"},
    {"AWS": [f"arn:aws:iam::{A}:role/builder", f"arn:aws:sts::{A}:assumed-role/builder/run-7", A]},
]  # fmt: skip
STRINGS = ("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase")
PATTERNS = ("StringLike", "StringNotLike")
COMPARED = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
NUMBERS = tuple(f"Numeric{name}" for name in COMPARED)
DATES = tuple(f"Date{name}" for name in COMPARED)
ARNS = ("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike")
# key -> (operators, values that a policy may want, values that a request may have)
KEYS = {
    "aws:username": (
        STRINGS + PATTERNS,
        ["alice", "ALICE", "a*", "bob", "${aws:PrincipalTag/team}"],
        ["alice", "bob"],
    ),
    "aws:PrincipalTag/team": (
        STRINGS + PATTERNS,
        ["red", "Red", "r?d", "*", "${aws:username}", "${aws:username, 'red'}", "${*}", "${aws:TagKeys}x"],
        ["red", "blue", "*", "", "alice"],
    ),
    "aws:TagKeys": (STRINGS + PATTERNS, ["cost", "team", "c*", "Owner"], ["cost", "team", "owner", ""]),
    "s3:max-keys": (NUMBERS, ["10", "5.5", "-1", "ten"], ["10", "10.0", "7", "100", "few"]),
    "aws:CurrentTime": (
        DATES,
        ["2026-03-01T12:00:00Z", "2026-03-01", "1772366400", "2026-03-01T14:00:00+02:00"],
        ["2026-03-01T12:00:00Z", "2026-02-28T23:59:59Z", "1772366401", "soon"],
    ),
    "aws:MultiFactorAuthPresent": (("Bool",), ["true", "false", "perhaps"], ["true", "false", "yes"]),
    "example:Blob": (("BinaryEquals",), ["AAEC", "AAED"], ["AAEC", "!"]),
    "aws:SourceIp": (
        ("IpAddress", "NotIpAddress"),
        ["203.0.113.0/24", "203.0.113.7", "2001:db8::/32", "0.0.0.0/0", "nowhere"],
        ["203.0.113.7", "192.0.2.1", "2001:db8::1", "1.2.3"],
    ),
    "aws:SourceArn": (
        ARNS,
        [
            "arn:aws:sns:*:*:orders-?",
            f"arn:aws:sns:eu-west-1:{A}:orders-1",
            "arn:aws:sns:*:*:${aws:username}*",
        ],
        [f"arn:aws:sns:eu-west-1:{A}:orders-1", f"arn:aws:sns:eu-west-1:{B}:alice-7", "orders-1"],
    ),
}
MULTIVALUED = "aws:TagKeys"


def some(random, pool):
    """One entry of `pool`, or a short list of them."""
    return (
        random.choice(pool)
        if random.random() < 0.7
        else random.sample(pool, random.randint(1, min(3, len(pool))))
    )


def condition(random):
    key = random.choice(list(KEYS))
    operators, wanted, _ = KEYS[key]
    if random.random() < 0.1:
        return {"Null": {key: random.choice(["true", "false"])}}
    quantified = key == MULTIVALUED or random.random() < 0.15
    quantifier = random.choice(["ForAllValues:", "ForAnyValue:"]) if quantified else ""
    if_exists = "IfExists" if random.random() < 0.25 else ""
    return {f"{quantifier}{random.choice(operators)}{if_exists}": {key: some(random, wanted)}}


def conditions(random):
    found = {}
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        for operator, keys in condition(random).items():
            found.setdefault(operator, {}).update(keys)
    return found


def statement(random, *, names_principals=False):
    written = {"Effect": "Allow" if random.random() < 0.75 else "Deny"}
    written["NotAction" if random.random() < 0.1 else "Action"] = some(random, ACTION_PATTERNS)
    written["NotResource" if random.random() < 0.1 else "Resource"] = some(random, RESOURCE_PATTERNS)
    found = conditions(random)
    if found:
        written["Condition"] = found
    if names_principals and written["Effect"] == "Deny" and random.random() < 0.2:
        written["NotPrincipal"] = random.choice(SPARED)
    elif names_principals:
        written["Principal"] = random.choice(ELEMENTS)
    return written


def document(random, *, names_principals=False, versions=("2012-10-17",)):
    statements = [statement(random, names_principals=names_principals) for _ in range(random.randint(1, 3))]
    return {"Version": random.choice(versions), "Statement": statements}


def documents(random, most, **how):
    return [document(random, **how) for _ in range(random.randint(0, most))]


def resource_control_policies(random):
    """Allows nothing but everything, as Organizations demands; denies what it likes."""
    full = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    denies = [
        {**statement(random), "Effect": "Deny", "Principal": "*"} for _ in range(random.choice((0, 0, 1)))
    ]
    denies = [one for one in denies if "Action" in one]
    statements = [*([full] if random.random() < 0.9 else []), *denies]
    return [{"Version": "2012-10-17", "Statement": statements}] if statements else []


def full_access(random):
    return [{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]


def policies(random):
    """Documents in some of the layers; an identity layer always."""
    named = {"names_principals": True, "versions": ("2012-10-17", "2012-10-17", "2008-10-17")}
    found = {"identity": documents(random, 3)}
    for layer, chance in (("boundary", 0.3), ("session", 0.3)):
        if random.random() < chance:
            found[layer] = full_access(random) if random.random() < 0.4 else documents(random, 2)
    if random.random() < 0.6:
        found["resource"] = documents(random, 2, **named)
    if random.random() < 0.2:
        found["endpoint"] = documents(random, 2, **named)
    if random.random() < 0.25:
        found["scps"] = [
            full_access(random) + documents(random, 1) if random.random() < 0.7 else documents(random, 2)
            for _ in range(random.randint(1, 3))
        ]
    if random.random() < 0.2:
        found["rcps"] = [resource_control_policies(random) for _ in range(random.randint(1, 2))]
    return found


FLAGS = ["management-account", "service-linked-role", "resource-in-management-account"]


def flags(random):
    return [random.choice(FLAGS)] if random.random() < 0.1 else []


def request(random):
    action = random.choice(list(RESOURCES))
    context = {}
    for key, (_, _, values) in KEYS.items():
        if random.random() < 0.55:
            context[key] = random.choice(values)
            if key == MULTIVALUED:
                context[key] = random.sample(values, random.randint(0, 3))
    return {
        "principal": random.choice(PRINCIPALS),
        "action": action if random.random() < 0.9 else action.upper(),
        "resource": random.choice(RESOURCES[action]),
        "resource_account": A if random.random() < 0.8 else B,
        "context": context,
    }
