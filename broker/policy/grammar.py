"""What AWS checks in a policy of the right shape, with AWS's messages and in AWS's order.

The messages were measured against IAM; tests/unit/policy/test_document.py says where.
"""

import re
from collections.abc import Collection

from broker.names.arn import PARTITION, is_account_id
from broker.policy.elements import (
    Effect,
    MalformedPolicy,
    Policy,
    PolicyKind,
    Principals,
    Statement,
    quoted,
)
from broker.policy.operands import is_storable_date
from broker.policy.service_principals import service_fault

_NO_PRINCIPALS = Principals()
WRONG_KIND = "The provided policy document does not meet the requirements of the specified policy type."
LEGACY = "The policy failed legacy parsing"
NO_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
NO_PROVIDER = "Federated principals must be valid domain names or SAML metadata ARNs"
NO_REGION: dict[str, str] = {
    "iam": "IAM resource {resource} cannot contain region information.",
    "s3": "Resource {resource} can not contain region information.",
}
IAM_PATHS = (
    "user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, "
    "saml-provider/, oidc-provider/, report/, access-report/"
)
# Resources that IAM's authorization reference has gained since that message was written.
_NEWER_IAM_PATHS = ("root", "delegation-request/", "context-provider/", "template/", "role-template/")
# S3's own ARNs with a region: access points, batch jobs, dashboards.
_S3_WITH_REGION = ("accesspoint", "job/", "storage-lens", "access-grants", "async-request", "*")
_IAM_STARTS = (*IAM_PATHS.split(", "), *_NEWER_IAM_PATHS)
_NOT_IN_VENDOR = re.compile(r"[^a-zA-Z0-9\-.]")
# Twelve digits, a pattern of them, one of AWS's own names (`aws`, `aws-marketplace`), or empty.
_RESOURCE_ACCOUNT = re.compile(r"[0-9]{12}|[0-9*?]*[*?][0-9*?]*|[a-z][a-z-]*|")
_SID = re.compile(r"[0-9A-Za-z]*")
_SERVICE_NAME = re.compile(r"[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)+")
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,124}|AROA[A-Z0-9]{12,124}:[\w+=,.@-]{2,64}", re.ASCII)
_PRINCIPAL_ARN = re.compile(
    rf"arn:{PARTITION}:(?:iam::[0-9]{{12}}:(?:root|(?:user|role)/[\x21-\x29\x2b-\x3e\x40-\x7e]+)"
    rf"|sts::[0-9]{{12}}:(?:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+))",
    re.ASCII,
)
_PROVIDER = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:(?:saml|oidc)-provider/[^*?]+|[a-z0-9.-]+\.[a-z]+")

# The same for new policies: the ARN of a provider in this partition, or the domain name of one built into AWS.
_NEW_PROVIDER = re.compile(
    rf"arn:{PARTITION}:iam::[0-9]{{12}}:(?:saml-provider/[\w.-]{{1,128}}"
    r"|oidc-provider/[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*(?::[0-9]{1,5})?(?:/[\x21-\x29\x2b-\x3e\x40-\x7e]*)?)"
    r"|(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]+",
    re.ASCII,
)


def check_legacy(policy: Policy) -> None:
    """What IAM's older parser refuses: malformed ARNs and dates."""
    for statement in policy.statements:
        for resource in _resources(statement):
            if not _is_legacy_resource(resource):
                raise MalformedPolicy(LEGACY, statement.fault(f"{quoted(resource)} is no whole ARN"))
        for condition in statement.conditions:
            if "Date" in condition.operator and not all(map(_is_legacy_date, condition.values)):
                fault = f"{condition.operator} on {quoted(condition.key)} has a value that is no date"
                raise MalformedPolicy(LEGACY, statement.fault(fault))


def _is_legacy_date(value: str) -> bool:
    return "${" in value or is_storable_date(value)


def _is_legacy_resource(resource: str) -> bool:
    """The older parser reads only ARNs of this partition, and refuses those with missing parts."""
    parts = resource.split(":", 5)
    if len(parts) < 4 or parts[1] != PARTITION:
        return True
    return bool(parts[2]) and (len(parts) == 6 or resource.endswith("*")) and bool(parts[-1])


def check_accounts(policy: Policy) -> None:
    """What the older parser refuses as well: impossible accounts, and variables instead of one.

    "You can't use a variable to replace parts of the ARN before the fifth colon" (Policy variables).
    """
    for statement in policy.statements:
        for resource in _resources(statement):
            parts = resource.split(":", 5)
            is_looked_at = len(parts) == 6 and parts[1] == PARTITION
            if is_looked_at and _RESOURCE_ACCOUNT.fullmatch(parts[4]) is None:
                raise MalformedPolicy(LEGACY, statement.fault(f"{quoted(resource)} names no account"))


def check_sids(policy: Policy) -> None:
    sids = [statement.sid for statement in policy.statements if statement.sid]
    if not sids:
        return
    if len(set(sids)) != len(sids):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.")
    if not all(_SID.fullmatch(sid) for sid in sids):
        raise MalformedPolicy(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular "
            "expression [0-9A-Za-z]*"
        )


def check_resources(policy: Policy) -> None:
    for statement in policy.statements:
        for resource in _resources(statement):
            _check_resource(resource)


def _resources(statement: Statement) -> tuple[str, ...]:
    return (statement.resources or ()) + (statement.not_resources or ())


def _check_resource(resource: str) -> None:
    if resource == "*":
        return
    parts = resource.split(":", 5)
    if len(parts) < 2:
        raise MalformedPolicy(f'Resource {resource} must be in ARN format or "*".')
    if parts[1] not in (PARTITION, "*"):
        named = ":".join(["arn", *parts[1:], *["*"] * (6 - len(parts))])
        raise MalformedPolicy(f'Partition "{parts[1]}" is not valid for resource "{named}".')
    if parts[0] != "arn":
        raise MalformedPolicy(f'Resource {resource} must be in ARN format or "*".')
    if len(parts) < 3 or "*" in parts[2] or "?" in parts[2]:
        message = "Resource vendor must be fully qualified and cannot contain regexes."
        raise MalformedPolicy(message, f"the resource {quoted(resource)}")
    if len(parts) == 6:
        _check_service_resource(resource, service=parts[2], region=parts[3], path=parts[5])


def _check_service_resource(resource: str, *, service: str, region: str, path: str) -> None:
    if service in NO_REGION and region not in ("", "*"):
        if service == "s3" and path.startswith(_S3_WITH_REGION):
            return
        raise MalformedPolicy(NO_REGION[service].format(resource=resource))
    is_open = any(wild in path.partition("/")[0] for wild in ("*", "?", "${"))
    if service == "iam" and not is_open and not path.startswith(_IAM_STARTS):
        raise MalformedPolicy(f'IAM resource path must either be "*" or start with {IAM_PATHS}.')


def check_actions(policy: Policy) -> None:
    for statement in policy.statements:
        check_vendors(statement)
        for action in (statement.actions or ()) + (statement.not_actions or ()):
            _check_action(statement, action)


def check_vendors(statement: Statement) -> None:
    """IAM asks for the vendor of an action before it misses a Resource."""
    for action in (statement.actions or ()) + (statement.not_actions or ()):
        if ":" not in action and action != "*":
            fault = statement.fault(f"the action {quoted(action)} names no service")
            raise MalformedPolicy(NO_VENDOR, fault)


def _check_action(statement: Statement, action: str) -> None:
    vendor, *rest = action.split(":")
    if len(rest) > 1:
        fault = statement.fault(f"the action {quoted(action)}")
        raise MalformedPolicy("Actions/Condition can contain only one colon.", fault)
    if vendor != "*" and _NOT_IN_VENDOR.search(vendor):
        raise MalformedPolicy(
            f"Vendor {vendor} is not valid", statement.fault(f"the action {quoted(action)}")
        )


def check_trust(policy: Policy) -> None:
    """Role trust policies have a separate validator in IAM."""
    for statement in policy.statements:
        if statement.principals is None and statement.not_principals is None:
            raise MalformedPolicy("Missing required field Principal")
        if statement.not_principals is not None and statement.effect is Effect.ALLOW:
            raise MalformedPolicy("Allow with NotPrincipal is not allowed.")
        if not statement.actions:
            missing = statement.not_actions is None
            raise MalformedPolicy(
                "Missing required field Action" if missing else "Has prohibited field NotAction"
            )
        _check_trust_actions(statement, statement.actions)
        _check_trust_principals(statement.principals or statement.not_principals or _NO_PRINCIPALS)
    check_sids(policy)
    check_legacy(policy)


def check_new_trust(policy: Policy, own_services: Collection[str]) -> None:
    """IAM User Guide, "... NotPrincipal": a role trust policy takes none. Old ones are evaluated as stored.

    Nor does IAM take "Principal": "*" (its answer, as aws-cdk's issue 5732 has it).
    """
    for statement in policy.statements:
        if statement.not_principals is not None:
            fault = "write a Principal and a condition on aws:PrincipalArn"
            raise MalformedPolicy("Has prohibited field NotPrincipal", statement.fault(fault))
        if statement.principals == Principals(everyone=True):
            fault = 'AssumeRolepolicy contained an invalid principal: "STAR":"*".'
            raise MalformedPolicy(fault, statement.fault('everyone is written {"AWS": "*"}'))
        for name in (statement.principals or _NO_PRINCIPALS).federated:
            if _NEW_PROVIDER.fullmatch(name) is None:
                raise MalformedPolicy(NO_PROVIDER, statement.fault(f"the principal {quoted(name)}"))
    check_services(policy, own_services)


def check_services(policy: Policy, own_services: Collection[str]) -> None:
    """Refuses names that cannot be a service's; see `broker.policy.service_principals`."""
    for statement in policy.statements:
        for principals in (statement.principals, statement.not_principals):
            for name in (principals or _NO_PRINCIPALS).service:
                fault = "" if name == "*" else service_fault(name, own_services)
                if fault:
                    raise _invalid_principal("SERVICE", name, statement.fault(fault))


def _check_trust_actions(statement: Statement, actions: tuple[str, ...]) -> None:
    check_vendors(statement)
    for action in actions:
        _check_action(statement, action)
        if action.partition(":")[0].lower() != "sts":
            fault = statement.fault(f"the action {quoted(action)}")
            raise MalformedPolicy("AssumeRole policy may only specify STS AssumeRole actions.", fault)


def _check_trust_principals(principals: Principals) -> None:
    for name in principals.aws:
        if not _is_aws_principal(name):
            raise _invalid_principal("AWS", name)
    for name in principals.service:
        if _SERVICE_NAME.fullmatch(name) is None:
            raise _invalid_principal("SERVICE", name)
    for name in principals.federated:
        if _PROVIDER.fullmatch(name) is None:
            raise MalformedPolicy(NO_PROVIDER)
    for name in principals.canonical_user:
        raise _invalid_principal("CANONICAL_USER", name)


def _invalid_principal(kind: str, name: str, fault: str = "") -> MalformedPolicy:
    return MalformedPolicy(f'Invalid principal in policy: "{kind}":"{name}"', fault)


def _is_aws_principal(name: str) -> bool:
    if name == "*" or is_account_id(name):
        return True
    return bool(_PRINCIPAL_ARN.fullmatch(name) or _UNIQUE_ID.fullmatch(name))


def check_control_policy(policy: Policy) -> None:
    """Organizations user guide, "RCP syntax": everyone as principal, and no Allow but RCPFullAWSAccess's."""
    if policy.kind is not PolicyKind.RCP:
        return
    for statement in policy.statements:
        everyone = statement.principals is not None and statement.principals.everyone
        if not everyone or statement.actions is None:
            fault = 'everyone is the principal ("*") of each statement, which has an Action'
            raise MalformedPolicy(WRONG_KIND, statement.fault(fault))
        full = statement.actions == ("*",) and statement.resources == ("*",) and not statement.conditions
        if statement.effect is Effect.ALLOW and not full:
            fault = "a resource control policy denies; it allows nothing but everything"
            raise MalformedPolicy(WRONG_KIND, statement.fault(fault))


def check_new_control_policy(policy: Policy) -> None:
    """ "RCP syntax": of one's own, it names the services of its actions, and no principal beside everyone."""
    for statement in policy.statements:
        if not _is_everyone(statement.principals or _NO_PRINCIPALS):
            fault = 'everyone ("*") is the only principal of a statement'
            raise MalformedPolicy(WRONG_KIND, statement.fault(fault))
        if statement.effect is Effect.DENY and "*" in (statement.actions or ()):
            fault = 'the action "*" names no service'
            raise MalformedPolicy(WRONG_KIND, statement.fault(fault))


def _is_everyone(principals: Principals) -> bool:
    """`"*"` or `{"AWS": "*"}`, and nothing else."""
    others = (*principals.service, *principals.federated, *principals.canonical_user)
    return principals.everyone and not others and not set(principals.aws) - {"*"}
