"""A naive judge, written straight from AWS's documentation: slow, obvious, sharing nothing with broker/policy.

It works on plain dicts and lists, as the case files hold them. A request is
`{"principal", "action", "resource", "resource_account", "context"}`; its principal
`{"kind", "account", "arn", "unique_id", "role_arn", "role_id"}`. Layers are lists of documents by name:
`identity`, `boundary`, `session`, `resource`, `endpoint` (None where no such policy applies), `scps` and
`rcps` (a list of documents per level), and `flags`.

The pages obeyed stand above each part; all are of the IAM User Guide unless said otherwise.
"""

import base64
import ipaddress
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache

ALLOWED, IMPLICIT, EXPLICIT = "allowed", "implicitly-denied", "explicitly-denied"


def as_list(value):
    return value if isinstance(value, list) else [value]


# --- Truth of three values: True, False, and None for what cannot be evaluated ---


def either(results):
    results = list(results)
    return True if True in results else None if None in results else False


def every(results):
    results = list(results)
    return False if False in results else None if None in results else True


def opposite(result):
    return None if result is None else not result


# --- Variables: "IAM policy elements: Variables and tags" ---

VARIABLE = re.compile(r"\$\{([^}]*)\}")
SPECIAL = {"*": "*", "?": "?", "$": "$"}


def value_of_variable(inside, context):
    """The text that `${inside}` stands for, or None: "the value is effectively null"."""
    if inside in SPECIAL:
        return SPECIAL[inside]
    key, comma, default = inside.partition(",")
    values = context.get(key.strip().lower())
    if values is not None and len(values) == 1:
        return values[0]
    return default.strip()[1:-1] if comma else None


def pieces(text, context, version):
    """`text` as (piece, literal) pairs: what a variable gave is literal, it never acts as a wildcard."""
    if version != "2012-10-17":
        return [(text, False)]
    found, position = [], 0
    for match in VARIABLE.finditer(text):
        value = value_of_variable(match.group(1), context)
        if value is None:
            return None
        found += [(text[position : match.start()], False), (value, True)]
        position = match.end()
    return [*found, (text[position:], False)]


def plain_text(text, context, version):
    found = pieces(text, context, version)
    return None if found is None else "".join(piece for piece, _ in found)


# --- Patterns: "IAM JSON policy elements: Action", "... Resource" ---


MANY, ONE = "any characters", "any character"


def tokens(found):
    """Characters and wildcards, one by one, from (piece, literal) pairs."""
    wild = {"*": MANY, "?": ONE}
    return tuple(one if literal else wild.get(one, one) for piece, literal in found for one in piece)


@lru_cache(maxsize=200_000)
def glob(wanted, text):
    """Follows every place of `text` that can have been reached after each token; never backtracks."""
    places = {0}
    for token in wanted:
        if not places:
            return False
        if token is MANY:
            places = set(range(min(places), len(text) + 1))
        else:
            places = {place + 1 for place in places if place < len(text) and token in (ONE, text[place])}
    return len(text) in places


def plain_glob(pattern, text):
    return glob(tokens([(pattern, False)]), text)


def arn_like(pattern, arn, context, version):
    """Each of the six parts is checked separately; variables stand in the last one only."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", 5), arn.split(":", 5)
    if len(wanted) != 6 or len(given) != 6:
        return False
    found = pieces(wanted[5], context, version)
    return (
        found is not None
        and all(plain_glob(one, other) for one, other in zip(wanted[:5], given[:5], strict=True))
        and glob(tokens(found), given[5])
    )


def action_matches(statement, action):
    patterns = as_list(statement.get("Action", statement.get("NotAction")))
    return any(plain_glob(pattern.lower(), action.lower()) for pattern in patterns) == ("Action" in statement)


def resource_matches(statement, resource, context, version):
    """A statement without either element (a trust policy) speaks of the resource that it is attached to."""
    if "Resource" not in statement and "NotResource" not in statement:
        return True
    patterns = as_list(statement.get("Resource", statement.get("NotResource")))
    found = any(arn_like(pattern, resource, context, version) for pattern in patterns)
    return found == ("Resource" in statement)


# --- Operators: "IAM JSON policy elements: Condition operators" ---


def number(text):
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


W3C_FORMS = (
    "%Y",
    "%Y-%m",
    "%Y-%m-%d",
    *(f"%Y-%m-%dT{time}%z" for time in ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f")),
)


def moment(text):
    """Seconds since 1970, from epoch seconds or a W3C form of ISO 8601."""
    if number(text) is not None and not re.fullmatch(r"\d{4}", text):
        return number(text)
    for form in (
        "%Y",
        "%Y-%m",
        "%Y-%m-%d",
        "%Y-%m-%dT%H:%M%z",
        "%Y-%m-%dT%H:%M:%S%z",
        "%Y-%m-%dT%H:%M:%S.%f%z",
    ):
        try:
            found = datetime.strptime(text, form)
        except ValueError:
            continue
        return Decimal(str((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()))
    return None


def truth(text):
    return {"true": True, "false": False}.get(text.lower())


def octets(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def compared(read, compare):
    def matches(wanted, given):
        one, other = read(given), read(wanted)
        return None if one is None or other is None else compare(one, other)

    return matches


def in_range(wanted, given):
    try:
        network, address = ipaddress.ip_network(wanted, strict=False), ipaddress.ip_address(given)
    except ValueError:
        return None
    return address in network


COMPARISONS = {
    "Equals": lambda one, other: one == other,
    "LessThan": lambda one, other: one < other,
    "LessThanEquals": lambda one, other: one <= other,
    "GreaterThan": lambda one, other: one > other,
    "GreaterThanEquals": lambda one, other: one >= other,
}
OPERATORS = {
    "Bool": compared(truth, COMPARISONS["Equals"]),
    "BinaryEquals": compared(octets, COMPARISONS["Equals"]),
    "IpAddress": in_range,
    **{f"Numeric{name}": compared(number, compare) for name, compare in COMPARISONS.items()},
    **{f"Date{name}": compared(moment, compare) for name, compare in COMPARISONS.items()},
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def one_value_matches(operator, wanted, given, context, version):
    """A value of the policy against a value of the request; only String and Arn operators know variables."""
    if operator in OPERATORS:
        return OPERATORS[operator](wanted, given)
    if operator in ("ArnEquals", "ArnLike"):
        return arn_like(wanted, given, context, version)
    if operator == "StringLike":
        found = pieces(wanted, context, version)
        return found is not None and glob(tokens(found), given)
    text = plain_text(wanted, context, version)
    if operator == "StringEqualsIgnoreCase":
        return text is not None and text.lower() == given.lower()
    return text == given


def condition_holds(operator, key, wanted, context, version):
    """One operator on one key: True, False, or None where it cannot be evaluated."""
    given = context.get(key.lower())
    quantifier, _, operator = operator.rpartition(":")
    if operator == "Null":
        return either(None if truth(value) is None else truth(value) == (not given) for value in wanted)
    if_exists, operator = operator.endswith("IfExists"), operator.removesuffix("IfExists")
    negated, operator = operator in NEGATED, NEGATED.get(operator, operator)
    if not given:
        return if_exists or quantifier == "ForAllValues" or (negated and quantifier != "ForAnyValue")
    if quantifier and given == [""]:  # "a null data set, such as an empty string"
        return quantifier == "ForAllValues"
    if not quantifier and len(given) > 1:  # "you must use" a set operator
        return None

    def holds(value):
        found = either(one_value_matches(operator, one, value, context, version) for one in wanted)
        return opposite(found) if negated else found

    results = [holds(value) for value in given]
    return every(results) if quantifier == "ForAllValues" else either(results)


def conditions_hold(statement, context, version):
    """All operators and all keys are joined by AND, the values of a key by OR (by NOR where negated)."""
    return every(
        condition_holds(operator, key, [str(value) for value in as_list(wanted)], context, version)
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


# --- Principals: "AWS JSON policy elements: Principal", "... NotPrincipal" ---


def naming(element, principal):
    """How `element` names the principal: "itself", "role", "account", or None where it does not."""
    if element == "*":
        return "itself"
    found = {how_aws_names(entry, principal) for entry in as_list(element.get("AWS", []))}
    if principal["kind"] == "service" and principal["arn"] in as_list(element.get("Service", [])):
        found.add("itself")
    if principal["kind"] in ("web-identity", "saml-subject") and principal["arn"] in as_list(
        element.get("Federated", [])
    ):
        found.add("itself")
    return next((how for how in ("itself", "role", "account") if how in found), None)


def how_aws_names(entry, principal):
    if entry in ("*", principal["arn"], principal["unique_id"]):
        return "itself"
    if entry in (principal["role_arn"], principal["role_id"]):
        return "role"
    account = principal["account"]
    return "account" if account and entry in (account, f"arn:aws:iam::{account}:root") else None


def standing(statement, principal):
    if "NotPrincipal" in statement:
        denies = statement["Effect"] == "Deny"  # "we strongly recommend that you do not use" it otherwise
        return "itself" if denies and not is_spared(statement["NotPrincipal"], principal) else None
    return naming(statement["Principal"], principal) if "Principal" in statement else "itself"


def is_spared(element, principal):
    """A principal of an account needs its account listed, and all of its own names where any is narrower."""
    if not principal["account"] or element == "*":
        return naming(element, principal) is not None
    listed, account = as_list(element.get("AWS", [])), principal["account"]
    narrower = [entry for entry in listed if f"::{account}:" in entry and not entry.endswith(":root")]
    needed = [name for name in (principal["role_arn"], principal["arn"]) if name]
    has_account = account in listed or f"arn:aws:iam::{account}:root" in listed
    return has_account and (not narrower or all(name in listed for name in needed))


# --- Statements and documents ---


def matching(documents, effect, request):
    """The statements of `effect` that speak of the request, as (sid, standing of the grant)."""
    context = {
        key.lower(): [value] if isinstance(value, str) else value for key, value in request["context"].items()
    }
    found = []
    for document in documents or []:
        version = document.get("Version", "2008-10-17")
        for statement in as_list(document["Statement"]):
            how = standing(statement, request["principal"])
            if statement["Effect"] != effect or not how or not action_matches(statement, request["action"]):
                continue
            if not resource_matches(statement, request["resource"], context, version):
                continue
            holds = conditions_hold(statement, context, version)
            if holds or (holds is None and effect == "Deny"):
                found.append((statement.get("Sid", ""), how))
    return found


# --- Combination: "Policy evaluation logic", "Cross-account policy evaluation logic" ---

# "How can I control...": these need no permission and no policy can refuse them (STS API reference).
ALWAYS_ALLOWED = {"sts:getcalleridentity", "sts:getsessiontoken"}
# Role trust policies and KMS key policies "must explicitly allow access" in the same account too.
RESOURCE_POLICY_NEEDED = ("sts:assumerole", "sts:tagsession", "sts:setsourceidentity", "kms:")
# "AWS managed policies", "Service-linked roles", and the reserved roles of IAM Identity Center: AWS's own.
UNCHANGEABLE = {
    (
        "createpolicyversion",
        "deletepolicy",
        "deletepolicyversion",
        "setdefaultpolicyversion",
    ): "arn:aws:iam::aws:*",
    (
        "attachrolepolicy",
        "deleterole",
        "putrolepermissionsboundary",
        "putrolepolicy",
        "updateassumerolepolicy",
    ): "arn:aws:iam::*:role/aws-*/*",
}
OUTSIDE_EVERY_ACCOUNT = ("service", "web-identity", "saml-subject", "anonymous")


def applicable(layers, principal):
    """The lists of documents that guard the request, each of which must allow it: SCPs, RCPs, endpoint."""
    flags = layers.get("flags", ())
    linked = "service-linked-role" in flags
    guards = []
    if principal["account"] and not linked and "management-account" not in flags:
        guards += layers.get("scps", [])
    if not linked and "resource-in-management-account" not in flags:
        guards += layers.get("rcps", [])
    return guards if layers.get("endpoint") is None else [*guards, layers["endpoint"]]


def decide(request, layers):
    """`allowed`, `implicitly-denied` or `explicitly-denied`."""
    action, principal = request["action"].lower(), request["principal"]
    if action in ALWAYS_ALLOWED:
        return IMPLICIT if principal["kind"] == "anonymous" else ALLOWED
    if is_unchangeable(action, request["resource"]):
        return EXPLICIT
    guards = applicable(layers, principal)
    own = [layers.get(name) for name in ("identity", "boundary", "session", "resource")]
    if any(matching(documents, "Deny", request) for documents in [*guards, *own]):
        return EXPLICIT
    if not all(matching(documents, "Allow", request) for documents in guards):
        return IMPLICIT
    return ALLOWED if is_granted(request, layers) else IMPLICIT


def is_unchangeable(action, resource):
    service, _, name = action.partition(":")
    return service == "iam" and any(
        name in names and plain_glob(pattern, resource) for names, pattern in UNCHANGEABLE.items()
    )


def is_granted(request, layers):
    action, principal = request["action"].lower(), request["principal"]
    grants = {how for _, how in matching(layers.get("resource"), "Allow", request)}
    if principal["kind"] in OUTSIDE_EVERY_ACCOUNT:
        return bool(grants)
    is_root = principal["kind"] == "root"
    identity = is_root or bool(matching(layers["identity"], "Allow", request))
    limits = all(
        matching(layers[name], "Allow", request)
        for name in ("boundary", "session")
        if layers.get(name) is not None
    )
    if principal["kind"] == "federated-user" and layers.get("session") is None:
        limits = False  # GetFederationToken: without a session policy the session has no permissions
    needs_resource_policy = action.startswith(RESOURCE_POLICY_NEEDED)
    if principal["account"] != request["resource_account"]:
        return identity and limits and bool(grants)
    if "itself" in grants or ("role" in grants and limits):
        return True
    return identity and limits and (bool(grants) or not needs_resource_policy)
