"""Trust policies that are ready to copy: for a provider, what a role's policy says, narrowed to one tenant.

A public provider vouches for everybody who has an account there, so a policy has to name what is one's own: the
repository, the workspace, the group. The claims are those of the providers' documentation; `config/federation.md` has
a chapter for each.
"""

import json
import re

import msgspec

_SAML_AUDIENCE = "https://signin.aws.amazon.com/saml"


class _Tenant(msgspec.Struct, frozen=True):
    """A row: issuers by a regular expression, and the claims that say whose a token is, with an example each.

    `wildcards`: the examples are patterns.
    """

    issuer: str
    claims: dict[str, str]
    wildcards: bool = False


_TENANTS = (
    _Tenant(
        r"token\.actions\.githubusercontent\.com.*",
        {"sub": "repo:ORGANIZATION/REPOSITORY:ref:refs/heads/main"},
    ),
    _Tenant(r"gitlab\..*", {"sub": "project_path:GROUP/PROJECT:ref_type:branch:ref:main"}),
    _Tenant(
        r"app\.terraform\.io",
        {"sub": "organization:ORGANIZATION:project:PROJECT:workspace:*"},
        wildcards=True,
    ),
    _Tenant(
        r"agent\.buildkite\.com", {"sub": "organization:ORGANIZATION:pipeline:PIPELINE:*"}, wildcards=True
    ),
    _Tenant(r"login\.microsoftonline\.com/.*", {"tid": "TENANT-ID", "oid": "OBJECT-ID"}),
    _Tenant(r"sts\.windows\.net/.*", {"tid": "TENANT-ID", "oid": "OBJECT-ID"}),
    _Tenant(r".*kubernetes.*", {"sub": "system:serviceaccount:NAMESPACE:NAME"}),
    _Tenant(r"oidc\.eks\..*", {"sub": "system:serviceaccount:NAMESPACE:NAME"}),
)
_OTHER = _Tenant(".*", {"sub": "SUBJECT"})


def openid_trust_policy(provider_arn: str, client_id: str) -> str:
    """`client_id` is "" where the provider has none yet."""
    name = provider_arn.partition(":oidc-provider/")[2]
    tenant = next((one for one in _TENANTS if re.fullmatch(one.issuer, name)), _OTHER)
    claims = {f"{name}:{claim}": _filled(name, claim, example) for claim, example in tenant.claims.items()}
    audience = {f"{name}:aud": client_id or "CLIENT-ID"}
    if tenant.wildcards:
        conditions = {"StringEquals": audience, "StringLike": claims}
    else:
        conditions = {"StringEquals": {**audience, **claims}}
    return _document(provider_arn, "sts:AssumeRoleWithWebIdentity", conditions)


def saml_trust_policy(provider_arn: str) -> str:
    """Who may take the role the provider says, by its Role attribute; the recipient has to be ours."""
    conditions = {"StringEquals": {"SAML:aud": _SAML_AUDIENCE}}
    return _document(provider_arn, "sts:AssumeRoleWithSAML", conditions)


def _filled(name: str, claim: str, example: str) -> str:
    """The tenant that the issuer's own name says, where it does."""
    parts = name.split("/")
    return parts[1] if claim == "tid" and len(parts) > 1 and parts[1] else example


def _document(provider_arn: str, action: str, conditions: dict[str, dict[str, str]]) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider_arn},
        "Action": action,
        "Condition": conditions,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)
