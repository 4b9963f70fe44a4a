"""Reads tests/cases/policy/**.json. A file of decisions holds

    page        the documentation page that its cases come from; a case's `why` overrides it
    statements  statements by name; a policy may be written as that name, which is then its Sid
    common      what its cases share; a case overrides it key by key, `context` and `policies` entry by entry
    cases       sentence, principal, action, resource, resource_account, context, policies, decision, ...

`policies` has a list of policies per layer (`identity`, `boundary`, `session`, `resource`, `endpoint`), and a
list of such lists per level for `scps`, `rcps` and `scopes`. A policy is a whole document, one statement, or a name.
`statement` is short for a single identity policy of one statement, laid over `common`'s; null takes an element
away. `principal` is `{"user": "alice"}`, `{"assumed-role": "deployer", "session": "build"}`,
`{"root": "111122223333"}`, `{"federated-user": "bob"}`, `{"web-identity": provider, "subject": s}`,
`{"saml": provider, "subject": s}`, `{"service": "ec2.amazonaws.com"}` or `"anonymous"`; `account`, `path` and
`id` may be added, and `by` for the user behind a federated one. `resource_account` is null where the owner of
the resource is unknown. `flags` name the exemptions of Layers.
`decision` is `allowed`, `implicitly-denied`, `explicitly-denied`, or `denied` for either; `deciding` lists Sids
that are among those which decide (none at all, if empty); `layer` is the layer that stops a denied request.

A file of documents holds `page` and `documents`: sentence, kind (a PolicyKind, or `managed`), document (an
object, or text), and `refusal`, AWS's message, or `accepted`.
"""

import json
from pathlib import Path

from broker.names.arn import iam_arn
from broker.names.principal import (
    Anonymous,
    AssumedRole,
    FederatedUser,
    IamUser,
    Root,
    SamlSubject,
    Service,
    WebIdentity,
    account_of,
)
from broker.policy import (
    AccessRequest,
    Context,
    Layers,
    PolicyKind,
    Source,
    SourceKind,
    compile_policies,
    parse_policy,
)

FOLDER = Path(__file__).parents[2] / "cases" / "policy"
ACCOUNT = "111122223333"
KINDS = {
    "identity": PolicyKind.IDENTITY,
    "boundary": PolicyKind.BOUNDARY,
    "session": PolicyKind.SESSION,
    "resource": PolicyKind.RESOURCE,
    "endpoint": PolicyKind.ENDPOINT,
    "scps": PolicyKind.SCP,
    "rcps": PolicyKind.RCP,
    "scopes": PolicyKind.SESSION,
}
LEVELLED = ("scps", "rcps", "scopes")


def case_files(key):
    """(path, content) of each case file that has a list under `key`."""
    for path in sorted(FOLDER.rglob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if key in content:
            yield path.relative_to(FOLDER).as_posix(), content


def decision_cases():
    """Every decision case, written out in full."""
    return [
        {"file": name, **written_out(case, content)}
        for name, content in case_files("cases")
        for case in content["cases"]
    ]


def document_cases():
    return [
        {"file": name, "why": content["page"], **case}
        for name, content in case_files("documents")
        for case in content["documents"]
    ]


def written_out(case, content):
    """`case` with what its file shares laid under it."""
    common = content.get("common", {})
    full = {"why": content["page"], "resource_account": ACCOUNT, "flags": [], **common, **case}
    full["context"] = {**common.get("context", {}), **case.get("context", {})}
    policies = {**common.get("policies", {}), **case.get("policies", {})}
    if "statement" in case or ("statement" in full and "policies" not in case):
        statement = {**common.get("statement", {}), **case.get("statement", {})}
        statement = {element: value for element, value in statement.items() if value is not None}
        policies["identity"] = [document_of_statement(statement)]
    named = content.get("statements", {})
    full["policies"] = {layer: spelled(value, layer, named) for layer, value in policies.items()}
    return full


def spelled(value, layer, named):
    if layer in LEVELLED:
        return [[document(policy, named) for policy in level] for level in value]
    return None if value is None else [document(policy, named) for policy in value]


def document(policy, named):
    """A whole document from a policy as a case writes it."""
    if isinstance(policy, str):
        return document_of_statement({"Sid": policy, **named[policy]})
    return policy if "Statement" in policy else document_of_statement(policy)


def document_of_statement(statement):
    return {"Version": "2012-10-17", "Statement": [statement]}


def principal(written):
    """The principal that a case's compact spelling stands for."""
    if written == "anonymous":
        return Anonymous()
    if "root" in written:
        return Root(written["root"])
    if "service" in written:
        return Service(written["service"])
    if "web-identity" in written:
        return WebIdentity(written["web-identity"], written["subject"])
    if "saml" in written:
        return SamlSubject(written["saml"], written["subject"])
    account, path = written.get("account", ACCOUNT), written.get("path", "/")
    if "user" in written:
        return IamUser(account, written["user"], written.get("id", "AIDAEXAMPLEUSER000001"), path)
    if "federated-user" in written:
        return FederatedUser(account, written["federated-user"])
    role_id = written.get("id", "AROAEXAMPLEROLE000001")
    return AssumedRole(account, written["assumed-role"], role_id, written["session"], path)


def federated_by(written):
    """The ARN of the user who made a federated user's session."""
    if "by" not in written:
        return ""
    return iam_arn(written.get("account", ACCOUNT), f"user/{written['by']}")


def engine_question(case):
    """The case as the engine is asked it."""
    return engine_request(case), engine_layers(case["policies"], case["flags"])


def engine_request(case):
    return AccessRequest(
        principal(case["principal"]),
        case["action"],
        case["resource"],
        case["resource_account"],
        Context(case["context"]),
        federated_by=federated_by(case["principal"]),
    )


def engine_layers(policies, flags=()):
    """Layers of compiled policies, from documents by layer."""
    compiled = {
        layer: tuple(policy_set(level, layer) for level in value)
        if layer in LEVELLED
        else None
        if value is None
        else policy_set(value, layer)
        for layer, value in policies.items()
    }
    compiled.setdefault("identity", policy_set([], "identity"))
    return Layers(
        **compiled,
        is_management_account="management-account" in flags,
        is_service_linked_role="service-linked-role" in flags,
        is_resource_in_management_account="resource-in-management-account" in flags,
    )


def policy_set(documents, layer):
    return compile_policies(
        (source(layer, number), parse_policy(json.dumps(one), kind_of(layer, one)))
        for number, one in enumerate(documents)
    )


def source(layer, number):
    kind = SourceKind.RESOURCE if layer == "resource" else SourceKind.NONE
    return Source(kind=kind, name=f"{layer}-{number}")


def kind_of(layer, written):
    """A trust policy has no Resource; every other resource policy of the cases has one."""
    statements = written["Statement"] if isinstance(written["Statement"], list) else [written["Statement"]]
    if layer == "resource" and all("Resource" not in one and "NotResource" not in one for one in statements):
        return PolicyKind.TRUST
    return KINDS[layer]


def reference_question(case):
    """The case as the reference judge is asked it: plain dicts."""
    request = {name: case[name] for name in ("action", "resource", "resource_account", "context")}
    request["principal"] = plain_principal(principal(case["principal"]), federated_by(case["principal"]))
    return request, {"identity": [], **case["policies"], "flags": case["flags"]}


def plain_principal(one, made_by=""):
    """`made_by` is the user behind a federated session: it stands to the session as a role does to its own."""
    is_role = isinstance(one, AssumedRole)
    return {
        "kind": type(one).__struct_config__.tag,
        "account": account_of(one),
        "arn": one.arn,
        "unique_id": one.user_id,
        "role_arn": one.role_arn if is_role else made_by or None,
        "role_id": one.role_id if is_role else None,
    }
