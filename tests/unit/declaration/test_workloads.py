"""Trust anchors and profiles that a file declares."""

import json
from typing import Any

import pytest

from broker.declaration.declared_ids import declared_id
from broker.declaration.source import DeclarationError
from broker.storage.store import TRUST_ANCHORS, WORKLOAD_PROFILES
from tests.workload_certificates import authority, workload

A = "111111111111"
ROOT = authority().pem
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "rolesanywhere.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
    },
}
ANCHOR_ID = declared_id(A, "us-east-1", "trust-anchor", "machines")
PROFILE_ID = declared_id(A, "us-east-1", "profile", "build")


def declared(anchor: dict[str, Any] | None = None, profile: dict[str, Any] | None = None) -> str:
    account = {
        "roles": {"build": {"trust_policy": TRUST}},
        "trust_anchors": {"machines": {"certificates": ROOT, **(anchor or {})}},
        "workload_profiles": {"build": {"roles": ["build"], **(profile or {})}},
    }
    return json.dumps({"accounts": {A: account}})


async def test_anchor_and_profile_are_written_changed_and_left_alone(declare: Any) -> None:
    await declare(declared())
    anchor = await declare.find(TRUST_ANCHORS, A, ANCHOR_ID)
    profile = await declare.find(WORKLOAD_PROFILES, A, PROFILE_ID)
    assert (anchor.enabled, anchor.certificates) == (True, ROOT)
    assert profile.role_arns == (f"arn:aws:iam::{A}:role/build",)
    await declare(declared({"enabled": False}, {"duration_seconds": 900}))
    changed = await declare.find(TRUST_ANCHORS, A, ANCHOR_ID)
    assert (changed.enabled, changed.created_at) == (False, anchor.created_at)
    assert (await declare.find(WORKLOAD_PROFILES, A, PROFILE_ID)).duration_seconds == 900


async def test_what_the_file_no_longer_has_is_pruned(declare: Any) -> None:
    await declare(declared())
    await declare(json.dumps({"accounts": {A: {"roles": {"build": {"trust_policy": TRUST}}}}}), prune=True)
    assert await declare.find(TRUST_ANCHORS, A, ANCHOR_ID) is None
    assert await declare.find(WORKLOAD_PROFILES, A, PROFILE_ID) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (declared({"certificates": workload(None).pem}), "basic constraints without CA"),
        (declared({"region": "somewhere else"}), "no region"),
        (declared({"type": "AWS_ACM_PCA"}), "type is CERTIFICATE_BUNDLE"),
        (declared(profile={"roles": ["other"]}), "no role 'other'"),
        (declared(profile={"duration_seconds": 60}), "duration_seconds is from 900"),
        (declared(profile={"session_policy": {"Statement": 1}}), "session_policy"),
        (declared(profile={"managed_policies": ["arn:aws:iam::aws:policy/None"]}), "does not exist"),
    ],
)
async def test_a_fault_is_said_and_changes_nothing(declare: Any, text: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        await declare(text)
    assert await declare.find(TRUST_ANCHORS, A, ANCHOR_ID) is None
