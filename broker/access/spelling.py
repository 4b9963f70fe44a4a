"""The spelling of condition keys, for the reasons of a denial: the engine has them in lower case only.

The global keys are in a table ("AWS global condition context keys"); keys of tags and of the operation are taken from
the caller and the resource. Any other key is lower-case.
"""

from collections.abc import Mapping

from broker.access.caller import Caller
from broker.access.resource import Resource

_GLOBAL = """
    aws:AssumedRoot aws:CurrentTime aws:EpochTime aws:FederatedProvider aws:MultiFactorAuthAge
    aws:MultiFactorAuthPresent aws:PrincipalAccount aws:PrincipalArn aws:PrincipalIsAWSService aws:PrincipalOrgID
    aws:PrincipalOrgMasterAccountId aws:PrincipalOrgPaths aws:PrincipalServiceName
    aws:PrincipalServiceNamesList aws:PrincipalType
    aws:Referer aws:RequestedRegion aws:ResourceAccount aws:ResourceOrgID aws:ResourceOrgPaths aws:SecureTransport
    aws:SourceAccount aws:SourceArn aws:SourceIdentity aws:SourceIp aws:SourceOrgID aws:SourceOrgPaths
    aws:TokenIssueTime aws:UserAgent aws:ViaAWSService ec2:RoleDelivery ec2:SourceInstanceARN
"""
_SPELLED = {key.lower(): key for key in _GLOBAL.split()}


def spelled_keys(caller: Caller, resource: Resource) -> Mapping[str, str]:
    """Lower-case key -> the key as AWS spells it; keys of tags as they were set."""
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
