"""Identity providers that many organizations share, and the condition that a role's trust in one needs.

The issuer of such a provider is the same for all of its tenants: only a claim says whose token it is. A new trust
policy that does not judge the claim is refused, as by AWS (IAM User Guide, "Identity-provider controls for shared OIDC
providers", which has the table). AWS's sentence is known to us for Amazon Cognito only; the other is ours.
"""

from collections.abc import Iterator

from broker.policy.conditions import spell
from broker.policy.elements import Condition, Effect, MalformedPolicy, Policy, Principals, Statement

_SUBJECT, _AUDIENCE = "sub", "aud"
_COGNITO = "cognito-identity.amazonaws.com"
_TURBONOMIC = (
    "oidc.op1.openshiftapps.com/2c51blsaqa9gkjt0o9rt11mle8mmropu",
    "oidc.op1.openshiftapps.com/2f785sojlpb85i7402pk3qogugim5nfb",
    "rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7",
    "rh-oidc.s3.us-east-1.amazonaws.com/23e3sd27sju1hoou6ohfs68vbno607tr",
    "rh-oidc.s3.us-east-1.amazonaws.com/23ne21h005qjl3n33d8dui5dlrmv2tmg",
    "rh-oidc.s3.us-east-1.amazonaws.com/24jrf12m5dj7ljlfb4ta2frhrcoadm26",
)

# The claim that names the tenant, by issuer without its scheme.
_CLAIMS: dict[str, str] = {
    _COGNITO: _AUDIENCE,
    "agent.buildkite.com": _SUBJECT,
    "api.pulumi.com/oidc": _AUDIENCE,
    "app.terraform.io": _SUBJECT,
    "gitlab.com": _SUBJECT,
    "oidc-configuration.audit-log.githubusercontent.com": _SUBJECT,
    "oidc.codefresh.io": _SUBJECT,
    "oidc.vercel.com": _AUDIENCE,
    "proidc.upbound.io": _SUBJECT,
    "sandboxes.cloud": _AUDIENCE,
    "scalr.io": _SUBJECT,
    "studio.datachain.ai/api": _SUBJECT,
    "token.actions.githubusercontent.com": _SUBJECT,
    "tokens.cloud.shisho.dev": _SUBJECT,
    "vstoken.actions.githubusercontent.com": _SUBJECT,
    **dict.fromkeys(_TURBONOMIC, _SUBJECT),
}
TENANT_KEYS: dict[str, str] = {
    **{issuer: f"{issuer}:{claim}" for issuer, claim in _CLAIMS.items()},
    # Microsoft Sentinel: the name of the session is the workspace.
    "sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d": "sts:RoleSessionName",
}

_POSITIVE = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike"})
_NOBODY = Principals()


def check_tenants(policy: Policy) -> None:
    """Raises MalformedPolicy for a statement that trusts all tenants of a shared issuer."""
    for statement in policy.statements:
        if statement.effect is Effect.ALLOW:
            for issuer in _shared_issuers(statement):
                if not any(_limits(condition, TENANT_KEYS[issuer]) for condition in statement.conditions):
                    raise _refusal(statement, issuer)


def _shared_issuers(statement: Statement) -> Iterator[str]:
    for name in (statement.principals or _NOBODY).federated:
        issuer = name.partition(":oidc-provider/")[2] or name
        if issuer in TENANT_KEYS:
            yield issuer


def _limits(condition: Condition, key: str) -> bool:
    """Whether the condition names values of `key`, none of which is wildcards alone."""
    spelling = spell(condition.operator)
    if spelling is None or spelling.name not in _POSITIVE or condition.key.lower() != key.lower():
        return False
    return bool(condition.values) and all(value.strip("*?") for value in condition.values)


def _refusal(statement: Statement, issuer: str) -> MalformedPolicy:
    fault = statement.fault(
        f"it needs a condition on {TENANT_KEYS[issuer]}, or every tenant of {issuer} is trusted"
    )
    if issuer == _COGNITO:
        return MalformedPolicy("A condition block must be present for the Cognito provider", fault)
    return MalformedPolicy(
        f"A condition on {TENANT_KEYS[issuer]} must be present for the shared provider {issuer}", fault
    )
