"""Random worlds: policies in every layer, principals and requests, drawn from small pools so that they meet.

Everything is plain JSON in the shape of a case (see casefiles.py), so both judges can be asked about it. A
world has a few callers of its own: its lists of NotPrincipal are drawn near their names, and half of its
requests are theirs.
"""

from callers import CALLERS, OIDC, SAML, A, B, spared

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
ELEMENTS = [
    "*", "*", {"AWS": "*"}, {"AWS": A}, {"AWS": f"arn:aws:iam::{A}:root"}, {"AWS": B},
    {"AWS": f"arn:aws:iam::{A}:user/alice"}, {"AWS": [f"arn:aws:iam::{A}:user/bob", f"arn:aws:iam::{B}:root"]},
    {"AWS": "AIDABOBBOBBOBBOBB0001"}, {"AWS": f"arn:aws:iam::{A}:role/builder"}, {"AWS": "AROAEXAMPLEROLE000001"},
    {"AWS": f"arn:aws:sts::{A}:assumed-role/builder/run-7"}, {"AWS": f"arn:aws:sts::{A}:federated-user/fay"},
    {"Service": "sns.amazonaws.com"}, {"Federated": "accounts.google.com"},
    {"AWS": f"arn:aws:iam::{A}:user/alice", "Service": ["sns.amazonaws.com", "events.amazonaws.com"]},
    {"Federated": SAML}, {"Federated": [OIDC, f"{SAML}-2"]},
    {"AWS": [f"arn:aws:iam::{A}:role/ci/tester", f"arn:aws:sts::{A}:federated-user/gil"]},
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
        [
            "203.0.113.0/24",
            "203.0.113.7",
            "2001:db8::/32",
            "0.0.0.0/0",
            "nowhere",
            "::/0",
            "203.0.113.9/24",
            "::ffff:203.0.113.0/120",
            "::ffff:203.0.113.7",
            "::ffff:192.0.0.0/104",
            "::FFFF:0:0/96",
            "::/96",
        ],
        [
            "203.0.113.7",
            "192.0.2.1",
            "2001:db8::1",
            "1.2.3",
            "::ffff:203.0.113.7",
            "::ffff:c000:201",
            "::203.0.113.7",
        ],
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


EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def some(random, pool):
    """One entry of `pool`, or a short list of them."""
    return (
        random.choice(pool)
        if random.random() < 0.7
        else random.sample(pool, random.randint(1, min(3, len(pool))))
    )


def condition(random):
    key = random.choice([*KEYS, "aws:SourceIp"])
    operators, wanted, _ = KEYS[key]
    if random.random() < 0.1:
        return {"Null": {key: random.choice(["true", "false"])}}
    quantified = key == MULTIVALUED or random.random() < 0.15
    quantifier = random.choice(["ForAllValues:", "ForAnyValue:"]) if quantified else ""
    if_exists = "IfExists" if random.random() < 0.25 else ""
    return {f"{quantifier}{random.choice(operators)}{if_exists}": {key: some(random, wanted)}}


def conditions(random):
    """The element Condition, or nothing."""
    found = {}
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        for operator, keys in condition(random).items():
            found.setdefault(operator, {}).update(keys)
    return {"Condition": found} if found else {}


def statement(random, *, denies=0.25):
    written = {"Effect": "Deny" if random.random() < denies else "Allow"}
    written["NotAction" if random.random() < 0.1 else "Action"] = some(random, ACTION_PATTERNS)
    written["NotResource" if random.random() < 0.1 else "Resource"] = some(random, RESOURCE_PATTERNS)
    return {**written, **conditions(random)}


def principals(random, effect, callers, *, allows_everyone_but=True):
    """Principal, or NotPrincipal: in most Denies, and now and then in an Allow, where it grants nothing."""
    chance = 0.65 if effect == "Deny" else 0.05 if allows_everyone_but else 0
    if random.random() < chance:
        return {"NotPrincipal": spared(random, callers)}
    return {"Principal": random.choice(ELEMENTS)}


def document(random):
    return {"Version": "2012-10-17", "Statement": [statement(random) for _ in range(random.randint(1, 3))]}


def documents(random, most):
    return [document(random) for _ in range(random.randint(0, most))]


def resource_statement(random, callers):
    """Of a resource or an endpoint. As AWS's examples do, a Deny to all but some often speaks of everything."""
    written = statement(random, denies=0.35)
    written.update(principals(random, written["Effect"], callers))
    if "NotPrincipal" in written and random.random() < 0.6:
        return {**EVERYTHING, "Effect": written["Effect"], "NotPrincipal": written["NotPrincipal"]}
    return written


def resource_document(random, callers):
    """Where it denies all but some, it often allows everyone else, so that the Deny decides."""
    statements = [resource_statement(random, callers) for _ in range(random.randint(1, 3))]
    if any("NotPrincipal" in one for one in statements) and random.random() < 0.6:
        statements.append({**EVERYTHING, "Principal": "*"})
    return {"Version": random.choice(("2012-10-17", "2012-10-17", "2008-10-17")), "Statement": statements}


def resource_documents(random, most, callers=CALLERS):
    return [resource_document(random, callers) for _ in range(random.randint(0, most))]


def trust_statement(random, callers):
    """It names no resource, and no action but those by which a role is assumed."""
    effect = "Allow" if random.random() < 0.6 else "Deny"
    named = principals(random, effect, callers, allows_everyone_but=False)
    action = some(random, ["sts:AssumeRole", "sts:AssumeRole", "sts:*", "sts:assumeROLE", "sts:TagSession"])
    return {"Effect": effect, "Action": action, **named, **conditions(random)}


def trust_document(random, callers):
    """The one policy of a role."""
    statements = [trust_statement(random, callers) for _ in range(random.randint(1, 3))]
    if random.random() < 0.5:
        statements.append({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"})
    return [{"Version": "2012-10-17", "Statement": statements}]


def resource_control_policies(random):
    """Allows nothing but everything, as Organizations demands; denies what it likes."""
    full = {**EVERYTHING, "Principal": "*"}
    denies = [
        {**statement(random), "Effect": "Deny", "Principal": "*"} for _ in range(random.choice((0, 0, 1)))
    ]
    denies = [one for one in denies if "Action" in one]
    statements = [*([full] if random.random() < 0.9 else []), *denies]
    return [{"Version": "2012-10-17", "Statement": statements}] if statements else []


def full_access():
    return [{"Version": "2012-10-17", "Statement": EVERYTHING}]


def policies(random, callers=CALLERS):
    """Documents in some of the layers; an identity layer always."""
    found = {"identity": full_access() if random.random() < 0.2 else documents(random, 3)}
    for layer, chance in (("boundary", 0.3), ("session", 0.3)):
        if random.random() < chance:
            found[layer] = full_access() if random.random() < 0.4 else documents(random, 2)
    if random.random() < 0.6:
        is_trust = random.random() < 0.35
        found["resource"] = (
            trust_document(random, callers) if is_trust else resource_documents(random, 2, callers)
        )
    if random.random() < 0.2:
        found["endpoint"] = resource_documents(random, 2, callers)
    if random.random() < 0.3:
        found["scps"] = [
            full_access() + documents(random, 1) if random.random() < 0.7 else documents(random, 2)
            for _ in range(random.randint(1, 3))
        ]
    if random.random() < 0.2:
        found["scopes"] = [
            full_access() if random.random() < 0.4 else documents(random, 2)
            for _ in range(random.randint(1, 3))
        ]
    if random.random() < 0.2:
        found["rcps"] = [resource_control_policies(random) for _ in range(random.randint(1, 2))]
    return found


FLAGS = ["management-account", "service-linked-role", "resource-in-management-account"]


def flags(random):
    return [random.choice(FLAGS)] if random.random() < 0.1 else []


def world(random):
    """Policies, flags, and the callers that the policies are near to."""
    callers = random.sample(CALLERS, 2)
    return {"policies": policies(random, callers), "flags": flags(random), "callers": callers}


def request(random, callers=CALLERS):
    """A request of one of `callers`, or as likely of anyone."""
    action = random.choice([*RESOURCES, "sts:AssumeRole", "sts:AssumeRole"])
    context = {}
    for key, (_, _, values) in KEYS.items():
        if random.random() < 0.55:
            context[key] = random.choice(values)
            if key == MULTIVALUED:
                context[key] = random.sample(values, random.randint(0, 3))
    return {
        "principal": random.choice(callers if random.random() < 0.5 else CALLERS),
        "action": action if random.random() < 0.9 else action.upper(),
        "resource": random.choice(RESOURCES[action]),
        "resource_account": random.choices([A, B, None], [0.75, 0.17, 0.08])[0],
        "context": context,
    }
