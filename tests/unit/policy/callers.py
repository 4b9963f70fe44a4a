"""The callers of the random worlds, and lists of principals drawn near their names for NotPrincipal.

A list is drawn as a writer of policies would err: the complete names of a caller, the same with one of them
left out, with a sibling's in its place, by unique id instead of by ARN. Callers are spelled as in the cases.
"""

from casefiles import federated_by, plain_principal, principal

A, B = "111122223333", "444455556666"
SAML, OIDC = f"arn:aws:iam::{A}:saml-provider/corp", f"arn:aws:iam::{A}:oidc-provider/ci.example.com"
CALLERS = [
    {"user": "alice"}, {"user": "alice"}, {"user": "alice", "id": "AIDAALICEMADEAGAIN001"},
    {"user": "bob", "id": "AIDABOBBOBBOBBOBB0001"}, {"user": "bob", "id": "AIDABOBOFASTAFF000001", "path": "/staff/"},
    {"user": "alice", "account": B, "id": "AIDAALICEOFB000000001"},
    {"assumed-role": "builder", "session": "run-7"}, {"assumed-role": "builder", "session": "run-8"},
    {"assumed-role": "builder", "session": "run-7", "id": "AROABUILDERAGAIN00001"},
    {"assumed-role": "tester", "session": "run-7", "id": "AROATESTERTESTER00001", "path": "/ci/"},
    {"assumed-role": "deployer", "session": "go", "account": B, "id": "AROADEPLOYEROFB000001"},
    {"federated-user": "fay", "by": "alice"}, {"federated-user": "fay"}, {"federated-user": "gil", "by": "alice"},
    {"federated-user": "gil", "by": "bob"}, {"root": A}, {"root": B},
    {"service": "sns.amazonaws.com"}, {"service": "events.amazonaws.com"},
    {"web-identity": "accounts.google.com", "subject": "7"}, {"web-identity": OIDC, "subject": "7"},
    {"saml": SAML, "subject": "7"}, {"saml": f"{SAML}-2", "subject": "7"}, "anonymous", "anonymous",
]  # fmt: skip
TYPES = {"service": "Service", "web-identity": "Federated", "saml-subject": "Federated"}


def names(caller):
    """Each name of a caller as (type, its spellings): its account, its role or maker, its own."""
    one = plain_principal(principal(caller), federated_by(caller))
    account, own = one["account"], [one["arn"], one["unique_id"]]
    if one["kind"] in TYPES:
        return [(TYPES[one["kind"]], own[:1])]
    found = [("AWS", [account, f"arn:aws:iam::{account}:root"])] if account else []
    if one["role_arn"]:
        found.append(("AWS", [name for name in (one["role_arn"], one["role_id"]) if name]))
    if one["kind"] in ("user", "assumed-role", "federated-user"):
        found.append(("AWS", own[:1] if one["kind"] == "federated-user" else own))
    return found


def names_listed(random, callers):
    """Names of one of `callers`, complete or with one of the writer's errors."""
    full = names(random.choice(callers))
    how = random.choice(("complete", "complete", "one left out", "only the first", "a sibling's last"))
    if how == "one left out" and full:
        full.pop(random.randrange(len(full)))
    if how == "only the first":
        full = full[:1]
    if how == "a sibling's last":
        full = [*full[:-1], *names(random.choice(CALLERS))[-1:]]
    return [(kind, spellings[0 if random.random() < 0.6 else -1]) for kind, spellings in full]


def spared(random, callers):
    """An element for NotPrincipal, drawn near the names of `callers`: a list of some, or now and then `*`."""
    if random.random() < 0.06:
        return random.choice(["*", {"AWS": "*"}, {"AWS": ["*", B]}])
    element = {}
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        for kind, name in names_listed(random, callers):
            element.setdefault(kind, []).append(name)
    if not element:
        return {"AWS": random.choice([A, B])}
    return {kind: listed if len(listed) > 1 else listed[0] for kind, listed in element.items()}
