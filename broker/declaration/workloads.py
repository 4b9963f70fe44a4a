"""Trust anchors and profiles of IAM Roles Anywhere.

Their ids are made of their names, so that files can name the ARNs, where the file does not say them.
"""

import re
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from broker.access.gather import find_managed_policy
from broker.credentials.mint import LONGEST_ROLE_SESSION
from broker.declaration.attempt import Attempt
from broker.declaration.declared import (
    DeclaredAccount,
    DeclaredTrustAnchor,
    DeclaredWorkloadProfile,
    Document,
    value_or,
)
from broker.declaration.declared_ids import declared_id
from broker.declaration.documents import stored_text
from broker.declaration.revocation_lists import settle_revocation_lists
from broker.declaration.source import DeclarationError
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.roles_anywhere.profiles import DEFAULT_MAPPINGS
from broker.roles_anywhere.trust_anchors import BUNDLE, REPOSITORY
from broker.storage.store import REVOCATION_LISTS, ROLES, TRUST_ANCHORS, WORKLOAD_PROFILES
from broker.storage.workload_records import TrustAnchor, WorkloadProfile

SHORTEST_SESSION = 900  # seconds
LONGEST_POLICY = 2048  # characters

_is_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_is_region = re.compile(r"[a-z]{2}(?:-[a-z0-9]+){1,4}", re.ASCII).fullmatch


async def settle_workloads(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    for name, anchor in wanted.trust_anchors.items():
        await _settle_anchor(attempt, account, name, anchor)
    for name, profile in wanted.workload_profiles.items():
        await _settle_profile(attempt, account, name, profile)


async def prune_workloads(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    for profile in await attempt.store.scan(WORKLOAD_PROFILES, account):
        if not _is_declared(account, "profile", profile, wanted.workload_profiles):
            attempt.store.delete(WORKLOAD_PROFILES, account, profile.id)
            attempt.note(account, "broker:DeleteWorkloadProfile", "-", f"workload profile {profile.name}")
    for anchor in await attempt.store.scan(TRUST_ANCHORS, account):
        if not _is_declared(account, "trust-anchor", anchor, wanted.trust_anchors):
            for one in anchor.crl_ids:
                attempt.store.delete(REVOCATION_LISTS, account, one)
            attempt.store.delete(TRUST_ANCHORS, account, anchor.id)
            attempt.note(account, "broker:DeleteTrustAnchor", "-", f"trust anchor {anchor.name}")


def _is_declared(account: str, kind: str, record: TrustAnchor | WorkloadProfile, wanted: Any) -> bool:
    named = wanted.get(record.name)
    return named is not None and record.id == _id_of(account, kind, record.name, named)


def _id_of(account: str, kind: str, name: str, wanted: DeclaredTrustAnchor | DeclaredWorkloadProfile) -> str:
    return wanted.id or declared_id(account, wanted.region, kind, name)


async def _settle_anchor(attempt: Attempt, account: str, name: str, wanted: DeclaredTrustAnchor) -> None:
    for fault in _faults_of_anchor(wanted):
        raise DeclarationError(f"{wanted.where}: {fault}")
    anchor_id = _id_of(account, "trust-anchor", name, wanted)
    current = await attempt.store.find(TRUST_ANCHORS, account, anchor_id)
    after = TrustAnchor(
        account_id=account,
        region=wanted.region,
        id=anchor_id,
        name=name,
        enabled=wanted.enabled,
        created_at=current.created_at if current else attempt.now,
        updated_at=current.updated_at if current else attempt.now,
        tags=value_or(wanted.tags, current.tags if current else {}),
        alias=current.alias if current else "",
        source_type=wanted.type,
        certificates=wanted.certificates.text,
        follows_distribution_points=wanted.follow_distribution_points,
        notices=current.notices if current else (),
        crl_ids=current.crl_ids if current else (),
    )
    after = await settle_revocation_lists(attempt, after, wanted)
    if current != after:
        after = replace(after, updated_at=attempt.now)
        attempt.put(
            account, TRUST_ANCHORS, after, "~" if current else "+", f"trust anchor {name}: {after.arn}"
        )


def _faults_of_anchor(wanted: DeclaredTrustAnchor) -> Iterator[str]:
    yield from _faults_of_region(wanted.region)
    yield from _faults_of_id(wanted.id)
    if wanted.type not in (BUNDLE, REPOSITORY):
        yield f"type is {BUNDLE} or {REPOSITORY}"
        return
    # Imported with the first anchor: it takes megabytes.
    from broker.assertions.certificate_paths import parse_anchors

    try:
        parse_anchors(wanted.certificates.text, wanted.type == REPOSITORY)
    except ValueError as error:
        yield f"certificates: {error}"


async def _settle_profile(attempt: Attempt, account: str, name: str, wanted: DeclaredWorkloadProfile) -> None:
    async for fault in _faults_of_profile(attempt, account, wanted):
        raise DeclarationError(f"{wanted.where}: {fault}")
    profile_id = _id_of(account, "profile", name, wanted)
    current = await attempt.store.find(WORKLOAD_PROFILES, account, profile_id)
    roles = [await attempt.store.find(ROLES, account, role) for role in wanted.roles]
    policy = wanted.session_policy
    after = WorkloadProfile(
        account_id=account,
        region=wanted.region,
        id=profile_id,
        name=name,
        enabled=wanted.enabled,
        created_at=current.created_at if current else attempt.now,
        updated_at=current.updated_at if current else attempt.now,
        tags=value_or(wanted.tags, current.tags if current else {}),
        alias=current.alias if current else "",
        role_arns=tuple(role.arn for role in roles if role is not None),
        duration_seconds=wanted.duration_seconds,
        session_policy=stored_text(policy, current.session_policy if current else None)
        if isinstance(policy, Document)
        else None,
        managed_policy_arns=wanted.managed_policies,
        requires_instance_properties=wanted.require_instance_properties,
        accepts_session_name=wanted.accept_role_session_name,
        attribute_mappings=value_or(
            wanted.attribute_mappings, current.attribute_mappings if current else DEFAULT_MAPPINGS
        ),
    )
    if current != after:
        text = f"workload profile {name}: {after.arn}"
        after = replace(after, updated_at=attempt.now)
        attempt.put(account, WORKLOAD_PROFILES, after, "~" if current else "+", text)


async def _faults_of_profile(attempt: Attempt, account: str, wanted: DeclaredWorkloadProfile) -> Any:
    for fault in (*_faults_of_region(wanted.region), *_faults_of_id(wanted.id)):
        yield fault
    if isinstance(wanted.attribute_mappings, dict):
        for fault in _faults_of_mappings(wanted.attribute_mappings):
            yield fault
    if not SHORTEST_SESSION <= wanted.duration_seconds <= LONGEST_ROLE_SESSION:
        yield f"duration_seconds is from {SHORTEST_SESSION} to {LONGEST_ROLE_SESSION}"
    for name in wanted.roles:
        if await attempt.store.find(ROLES, account, name) is None:
            yield f"roles: the account has no role {name!r}"
    for arn in wanted.managed_policies:
        if await find_managed_policy(attempt.store, account, arn) is None:
            yield f"managed_policies: {arn} does not exist"
    if isinstance(wanted.session_policy, Document):
        for fault in _faults_of_policy(wanted.session_policy.text):
            yield fault


def _faults_of_region(region: str) -> Iterator[str]:
    if not _is_region(region):
        yield f"{region!r} is no region"


def _faults_of_id(text: str) -> Iterator[str]:
    if text and not _is_uuid(text):
        yield f"id: {text!r} is no UUID in lower case"


def _faults_of_mappings(mappings: dict[str, tuple[str, ...]]) -> Iterator[str]:
    # Imported with the first mapping: it takes megabytes.
    from broker.assertions.certificate_attributes import canonical_specifier

    for field, specifiers in mappings.items():
        if field not in DEFAULT_MAPPINGS:
            yield f"attribute_mappings: {field!r} is none of {', '.join(DEFAULT_MAPPINGS)}"
            return
        for one in specifiers:
            if canonical_specifier(field, one) != one:
                yield f"attribute_mappings: {one!r} is no specifier of {field}, as the API shows them"


def _faults_of_policy(text: str) -> Iterator[str]:
    if len(text) > LONGEST_POLICY:
        yield f"session_policy has at most {LONGEST_POLICY} characters"
    try:
        parse_policy(text, PolicyKind.SESSION)
    except MalformedPolicy as error:
        yield f"session_policy: {error.message}"
