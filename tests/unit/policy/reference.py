"""A naive judge, written straight from AWS's documentation: slow, obvious, sharing nothing with broker/policy.

It works on plain dicts and lists, as the case files hold them. A request is
`{"principal", "action", "resource", "resource_account", "context"}`; its principal
`{"kind", "account", "arn", "unique_id", "role_arn", "role_id"}` (`role_arn` of a federated user: the user behind
it; `resource_account`: None where the owner is unknown). Layers are lists of documents by name:
`identity`, `boundary`, `session`, `resource`, `endpoint` (None where no such policy applies), `scps`,
`rcps` and `scopes` (a list of documents per level), and `flags`.

The pages obeyed stand above each part; all are of the IAM User Guide unless said otherwise.
"""

from reference_matching import action_matches, as_list, conditions_hold, plain_glob, resource_matches

ALLOWED, IMPLICIT, EXPLICIT = "allowed", "implicitly-denied", "explicitly-denied"


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
    is_root = principal["kind"] == "root"  # its ARN means the whole account
    if entry == "*" or (entry in (principal["arn"], principal["unique_id"]) and not is_root):
        return "itself"
    if entry in (principal["role_arn"], principal["role_id"]):
        return "role"
    account = principal["account"]
    return "account" if account and entry in (account, f"arn:aws:iam::{account}:root") else None


def grant(statement, request):
    principal = request["principal"]
    if "NotPrincipal" in statement:
        # "Using it with "Effect":"Allow" is not supported": there it grants nothing.
        denies = statement["Effect"] == "Deny" and not is_spared(statement["NotPrincipal"], request)
        return "itself" if denies else None
    return naming(statement["Principal"], principal) if "Principal" in statement else "itself"


def has_boundary(request):
    """Boundaries are attached to users and roles ("Permissions boundaries for IAM entities"), so to no outsider."""
    return request["boundary"] is not None and request["principal"]["kind"] not in OUTSIDE_EVERY_ACCOUNT


def is_spared(element, request):
    """Whether a Deny leaves out the caller, because the NotPrincipal `element` lists all of its names.

    IAM User Guide, "AWS JSON policy elements: NotPrincipal": the Deny reaches every principal that is not
    listed. AWS "might validate the account first and then the user", of a session "the account first, then
    the role, and then the assumed-role user": each of these is a principal that the Deny reaches if it is not
    listed itself, and "might" is read as "does", which is the safe reading. It "will always deny any IAM
    principal that has a permissions boundary policy attached", whatever is listed.
    """
    principal = request["principal"]
    if has_boundary(request):
        return False
    if element == "*" or "*" in as_list(element.get("AWS", [])):
        return True
    if principal["kind"] == "anonymous":
        return False
    listed = {kind: set(as_list(names)) for kind, names in element.items()}
    return all(listed.get(kind, set()) & names for kind, names in names_to_list(principal))


def names_to_list(principal):
    """What a NotPrincipal must list to spare the principal: (type, spellings), of which one is enough, for each."""
    own = {principal["arn"], principal["unique_id"]}
    account = ("AWS", {principal["account"], f"arn:aws:iam::{principal['account']}:root"})
    role = ("AWS", {principal["role_arn"], principal["role_id"]})
    # The page does not say whether the user behind GetFederationToken counts; issue 10 demands it, as of a role.
    maker = [("AWS", {principal["role_arn"]})] if principal["role_arn"] else []
    return {
        "root": [account],
        "user": [account, ("AWS", own)],
        "assumed-role": [account, role, ("AWS", own)],
        "federated-user": [account, *maker, ("AWS", {principal["arn"]})],
        "service": [("Service", {principal["arn"]})],
        "web-identity": [("Federated", {principal["arn"]})],
        "saml-subject": [("Federated", {principal["arn"]})],
    }[principal["kind"]]


# --- Statements and documents ---


def matching(documents, effect, request):
    """The statements of `effect` that apply to the request, as (sid, what it grants)."""
    context = request["context"]
    found = []
    for document in documents or []:
        version = document.get("Version", "2008-10-17")
        for statement in as_list(document["Statement"]):
            how = grant(statement, request)
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
    """The lists of documents that must all allow the request: SCPs, scope down policies, RCPs, endpoint."""
    flags = layers.get("flags", ())
    linked = "service-linked-role" in flags
    guards = []
    # "SCPs affect only IAM users and roles that are managed by accounts that are part of the organization"
    # (Organizations User Guide, "Service control policies"): who has no account is not limited by them.
    outside = principal["kind"] in OUTSIDE_EVERY_ACCOUNT
    if not outside and not linked and "management-account" not in flags:
        guards += layers.get("scps", [])
    # "The permissions ... are determined by the intersection" ("Permissions for GetScopedCredentials").
    guards += layers.get("scopes", [])
    if not linked and "resource-in-management-account" not in flags:
        guards += layers.get("rcps", [])
    return guards if layers.get("endpoint") is None else [*guards, layers["endpoint"]]


def decide(request, layers):
    """`allowed`, `implicitly-denied` or `explicitly-denied`."""
    context = {key.lower(): as_list(value) for key, value in request["context"].items()}
    request = {**request, "context": context, "boundary": layers.get("boundary")}
    action, principal = request["action"].lower(), request["principal"]
    if action in ALWAYS_ALLOWED:
        return EXPLICIT if principal["kind"] == "anonymous" else ALLOWED  # who has proven nothing is nobody
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
    # An owner that is not known (None) is not the caller's own account.
    if principal["account"] != request["resource_account"]:
        return identity and limits and bool(grants)
    if "itself" in grants or ("role" in grants and limits):
        return True
    return identity and limits and (bool(grants) or not needs_resource_policy)
