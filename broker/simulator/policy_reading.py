"""Queries about the content of policies: which condition keys they read, to which services they give access."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

from broker.access.caller import Caller
from broker.access.gather import Gatherer
from broker.operation import Call, Prepared, no_resource, operation
from broker.paging import page
from broker.policy import Policy, Source, SourceKind, context_keys, service_grants
from broker.protocol.shapes import iam as shapes
from broker.simulator.inputs import parsed_policies
from broker.simulator.service_reference import service_namespaces
from broker.simulator.subjects import found_source, invalid_input

_MANAGED = (SourceKind.AWS_MANAGED, SourceKind.USER_MANAGED)


@operation("iam:GetContextKeysForCustomPolicy", prepare=no_resource)
async def get_context_keys_for_custom_policy(
    call: Call, request: shapes.GetContextKeysForCustomPolicyRequest, prepared: Prepared[None]
) -> shapes.GetContextKeysForPolicyResponse:
    return _keys_of([policy async for _, policy in parsed_policies(request.policy_input_list)])


@operation("iam:GetContextKeysForPrincipalPolicy", prepare=found_source("policy_source_arn"))
async def get_context_keys_for_principal_policy(
    call: Call, request: shapes.GetContextKeysForPrincipalPolicyRequest, prepared: Prepared[Caller]
) -> shapes.GetContextKeysForPolicyResponse:
    """The boundary's keys are included, since SimulatePrincipalPolicy evaluates the boundary, too."""
    source = prepared.found
    layers = await Gatherer(call.gate.library).layers_of(call.store, source, call.account)
    added = [policy async for _, policy in parsed_policies(request.policy_input_list)]
    boundary = () if layers.boundary is None else layers.boundary.policies
    return _keys_of([*_documents(layers.identity.policies), *added, *_documents(boundary)])


def _documents(policies: Iterable[tuple[Source, Policy]]) -> Iterator[Policy]:
    return (policy for _, policy in policies)


def _keys_of(policies: Iterable[Policy]) -> shapes.GetContextKeysForPolicyResponse:
    return shapes.GetContextKeysForPolicyResponse(context_key_names=tuple(context_keys(policies)))


@operation("iam:ListPoliciesGrantingServiceAccess", prepare=found_source("arn"))
async def list_policies_granting_service_access(
    call: Call, request: shapes.ListPoliciesGrantingServiceAccessRequest, prepared: Prepared[Caller]
) -> shapes.ListPoliciesGrantingServiceAccessResponse:
    namespaces = tuple(dict.fromkeys(request.service_namespaces))
    unknown = [namespace for namespace in namespaces if namespace not in service_namespaces()]
    if unknown:
        raise invalid_input(f"Invalid service namespace: [{', '.join(unknown)}]")
    source = prepared.found
    layers = await Gatherer(call.gate.library).layers_of(call.store, source, call.account)
    attached = [
        (source, service_grants(policy)) for source, policy in sorted(layers.identity.policies, key=_order)
    ]
    chosen = page(enumerate(namespaces), lambda one: f"{one[0]:03}", request.marker, None)
    entries = []
    for _, namespace in chosen.items:
        entries.append(_entry(namespace, attached))
        await asyncio.sleep(0)  # up to a hundred services, each compared with a hundred policies
    return shapes.ListPoliciesGrantingServiceAccessResponse(
        policies_granting_service_access=tuple(entries),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


def _order(attached: tuple[Source, Policy]) -> tuple[bool, str, str]:
    """Managed policies first, each kind by name."""
    source, _ = attached
    return source.kind not in _MANAGED, source.name.lower(), source.arn


def _entry(
    namespace: str, attached: Iterable[tuple[Source, Callable[[str], bool]]]
) -> shapes.ListPoliciesGrantingServiceAccessEntry:
    granting = dict.fromkeys(source for source, grants in attached if grants(namespace))
    return shapes.ListPoliciesGrantingServiceAccessEntry(
        service_namespace=namespace, policies=tuple(_policy_shape(source) for source in granting)
    )


def _policy_shape(source: Source) -> shapes.PolicyGrantingServiceAccess:
    if source.kind in _MANAGED:
        return shapes.PolicyGrantingServiceAccess(
            policy_name=source.name, policy_type="MANAGED", policy_arn=source.arn
        )
    return shapes.PolicyGrantingServiceAccess(
        policy_name=source.name,
        policy_type="INLINE",
        entity_type=source.kind.value.upper(),
        entity_name=source.arn.rpartition("/")[2],
    )
