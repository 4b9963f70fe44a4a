"""Condition keys as they are spelled, for the reasons of a denial: whatever judges compares them in lower case.

The global keys stand in a table ("AWS global condition context keys"); what an operation fills and how tags are called
is still known where they come from. A key that is in none of them was lower-case from the start.
"""

from collections.abc import Mapping

from broker.access.caller import Caller
from broker.access.resource import Resource

_GLOBAL = """
    aws:AssumedRoot aws:CurrentTime aws:EpochTime aws:FederatedProvider aws:MultiFactorAuthAge
    aws:MultiFactorAuthPresent aws:PrincipalAccount aws:PrincipalArn aws:PrincipalIsAWSService aws:PrincipalOrgID
    aws:PrincipalOrgMasterAccountId aws:PrincipalOrgPaths aws:PrincipalType aws:RequestedRegion aws:ResourceAccount
    aws:ResourceOrgID aws:ResourceOrgPaths aws:SecureTransport aws:SourceIdentity aws:SourceIp aws:TokenIssueTime
    aws:UserAgent aws:ViaAWSService ec2:RoleDelivery ec2:SourceInstanceARN
"""
_SPELLED = {key.lower(): key for key in _GLOBAL.split()}


def spelled_keys(caller: Caller, resource: Resource) -> Mapping[str, str]:
    """Lower-case key -> the key as AWS spells it, tags as whoever set them did."""
    spelled = dict(_SPELLED)
    for prefix, tags in (
        ("aws:PrincipalTag/", caller.tags),
        ("aws:ResourceTag/", resource.tags),
        ("iam:ResourceTag/", resource.tags),
    ):
        for tag in tags:
            key = prefix + tag
            spelled[key.lower()] = key
    for key in resource.keys:
        spelled[key.lower()] = key
    return spelled
