"""The checks of an assertion, one by one, to show why it is refused: the same proofs and the same gate as in a request.

For operators, and those who may ask: what a client reads says little, on purpose. Nothing is minted.
"""

import msgspec

from broker.access.caller import Caller
from broker.assertions.checks import Check, Checks
from broker.errors import Refusal
from broker.operation import Absent, Call, Prepared
from broker.policy import Decision, denial_sentences, resource_conditions
from broker.protocol.shapes import sts as shapes
from broker.sts.access_token_identity import refuse_any_application
from broker.sts.asserted_roles import AssertedRole, proven_role
from broker.sts.assume_role_with_ldap_identity import prove_ldap
from broker.sts.assume_role_with_saml import prove_saml, role_for_saml_subject
from broker.sts.assume_role_with_web_identity import prove_web_identity, role_for_web_identity

# What can be examined: of a client certificate the handshake is a part, which is over.
ExaminedRequest = (
    shapes.AssumeRoleWithWebIdentityRequest
    | shapes.AssumeRoleWithSAMLRequest
    | shapes.AssumeRoleWithLDAPIdentityRequest
)


class Examined(msgspec.Struct, frozen=True):
    """The checks in their order. `refusal` is the client's error, empty where `session_arn` would be assumed."""

    checks: tuple[Check, ...]
    refusal: str = ""
    session_arn: str = ""


async def examine(call: Call, request: ExaminedRequest) -> Examined:
    """What STS would say to the request now. Who asks, the call's caller, does not count.

    What is written to the call's transaction is for the caller to throw away.
    """
    checks = Checks()
    try:
        proven = msgspec.structs.replace(call, caller=await _prove(call, request, checks))
        prepared = await _prepare(proven, request)
    except Refusal as refusal:
        return Examined(tuple(checks.made), f"{refusal.code}: {refusal.message}")
    action = f"sts:{type(request).__name__.removesuffix('Request')}"
    refusal_text = await _judge(proven, prepared, action, checks)
    if refusal_text or isinstance(prepared, Absent):
        return Examined(tuple(checks.made), refusal_text)
    return Examined(tuple(checks.made), session_arn=prepared.found.session.arn)


async def _prove(call: Call, request: ExaminedRequest, checks: Checks) -> Caller:
    match request:
        case shapes.AssumeRoleWithWebIdentityRequest():
            return await prove_web_identity(call.federation, call.store, call.now, request, checks)
        case shapes.AssumeRoleWithSAMLRequest():
            return await prove_saml(call.federation, call.store, call.now, request, checks)
        case shapes.AssumeRoleWithLDAPIdentityRequest():
            return await prove_ldap(call.federation, call.store, call.facts, request, checks)


async def _prepare(call: Call, request: ExaminedRequest) -> Prepared[AssertedRole] | Absent:
    match request:
        case shapes.AssumeRoleWithWebIdentityRequest():
            return await role_for_web_identity(call, request)
        case shapes.AssumeRoleWithSAMLRequest():
            return await role_for_saml_subject(call, request)
        case shapes.AssumeRoleWithLDAPIdentityRequest():
            return await proven_role(call, request)


async def _judge(call: Call, prepared: Prepared[AssertedRole] | Absent, action: str, checks: Checks) -> str:
    """Ask the gate for every permission that the request would need; the first refusal, as the client would get it."""
    _note(
        checks,
        "role",
        not isinstance(prepared, Absent),
        found=prepared.resource.arn,
        wanted="a role of this broker",
    )
    for needed in (action, *_extra_actions(call.caller, prepared)):
        decision = await call.gate.decide(call.store, call.caller, call.facts, needed, prepared.resource)
        if needed == action:
            _note_conditions(decision, checks)
        sentence = "" if decision.allowed else denial_sentences(decision.request, decision)[0]
        exact = "allowed" if decision.allowed else denial_sentences(decision.request, decision)[1]
        _note(
            checks,
            f"permission {needed}",
            decision.allowed,
            found=exact,
            wanted="allowed by the trust policy",
        )
        if sentence:
            return f"AccessDenied: {sentence}"
        if needed == action and (refusal := await refuse_any_application(call, prepared.resource, checks)):
            return f"{refusal.code}: {refusal.message}"
    return ""


def _extra_actions(caller: Caller, prepared: Prepared[AssertedRole] | Absent) -> list[str]:
    """Tags and a source identity need separate permissions."""
    assert caller.asserted is not None, "the proof of a flow made this caller"
    has_tags = isinstance(prepared, Prepared) and bool(prepared.found.session_tags.tags)
    extras = ["sts:TagSession"] if has_tags else []
    return [*extras, "sts:SetSourceIdentity"] if caller.asserted.attributes.source_identity else extras


def _note_conditions(decision: Decision, checks: Checks) -> None:
    for judged in resource_conditions(decision.request, decision.layers):
        had = "no such key" if judged.actual is None else ", ".join(judged.actual)
        name = f"condition {judged.operator} {judged.key}"
        _note(checks, name, judged.holds, found=had, wanted=" or ".join(judged.expected))


def _note(checks: Checks, name: str, passed: bool, *, found: str, wanted: str) -> None:
    """A failed condition is not the end of the checks: another statement may allow."""
    checks.made.append(Check(name, passed, found, wanted))
