"""From `aws iam get-account-authorization-details`: the entities of an AWS account."""

from collections.abc import Iterable
from typing import Any

from broker.access.aws_managed import find_aws_managed
from broker.declaration.imported import Imported, NoExport, Values, document_text, json_object, present
from broker.names.arn import parse_arn

_KINDS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
# Roles that AWS makes and keeps: they come again with the service that needs them.
_RESERVED = ("/aws-service-role/", "/aws-reserved/", "/service-role/aws-reserved/")


def import_aws(text: str, account_id: str = "") -> Imported:
    """`account_id` is the account's here, where it is to be another than in AWS. Raises NoExport."""
    export = json_object(text, "the export")
    missing = [kind for kind in _KINDS if not isinstance(export.get(kind), list)]
    if missing:
        raise NoExport(
            f"there is no list {missing[0]}: this is the output of `aws iam get-account-authorization-details`"
        )
    if export.get("IsTruncated"):
        raise NoExport("it is the first page only: call the operation without --no-paginate")
    found = _AwsAccount(export, account_id)
    return Imported({"accounts": {found.account_id: found.declared()}}, {}, tuple(found.no_counterpart))


class _AwsAccount:
    """The account of an export; what it has that cannot be declared is collected on the way."""

    def __init__(self, export: Values, account_id: str) -> None:
        self._export = export
        self._text_id = _account_of(export)
        self.account_id = account_id or self._text_id
        self.no_counterpart: list[str] = []

    def declared(self) -> Values:
        customer = [one for one in self._export["Policies"] if not one["Arn"].startswith("arn:aws:iam::aws:")]
        roles = [role for role in self._export["RoleDetailList"] if self._is_declarable(role)]
        return present(
            policies={one["PolicyName"]: self._policy(one) for one in customer},
            groups={one["GroupName"]: self._group(one) for one in self._export["GroupDetailList"]},
            users={one["UserName"]: self._user(one) for one in self._export["UserDetailList"]},
            roles={one["RoleName"]: self._role(one) for one in roles},
            instance_profiles={
                profile["InstanceProfileName"]: present(path=_path(profile), role=role["RoleName"])
                for role in roles
                for profile in role.get("InstanceProfileList", [])
            },
        )

    def _is_declarable(self, role: Values) -> bool:
        if not role["Path"].startswith(_RESERVED):
            return True
        self.no_counterpart.append(
            f"role {role['RoleName']}: a service's own; create it again where it is needed"
        )
        return False

    def _policy(self, policy: Values) -> Values:
        versions = policy.get("PolicyVersionList", [])
        default = next((one for one in versions if one.get("IsDefaultVersion")), None)
        if default is None:
            raise NoExport(f"policy {policy['PolicyName']} has no default version")
        if len(versions) > 1:
            self.no_counterpart.append(f"policy {policy['PolicyName']}: {len(versions) - 1} older versions")
        described = present(path=_path(policy), description=policy.get("Description"))
        return {**described, "document": self._document(default["Document"])}

    def _group(self, group: Values) -> Values:
        return present(path=_path(group), **self._permissions(group, "GroupPolicyList"))

    def _user(self, user: Values) -> Values:
        return present(
            path=_path(user),
            tags=_tags(user),
            permissions_boundary=self._boundary(user),
            groups=user.get("GroupList"),
            **self._permissions(user, "UserPolicyList"),
        )

    def _role(self, role: Values) -> Values:
        described = present(
            path=_path(role),
            description=role.get("Description"),
            max_session_duration=role.get("MaxSessionDuration"),
            tags=_tags(role),
            permissions_boundary=self._boundary(role),
            **self._permissions(role, "RolePolicyList"),
        )
        return {**described, "trust_policy": self._document(role["AssumeRolePolicyDocument"])}

    def _permissions(self, entity: Values, inline: str) -> Values:
        policies = {
            one["PolicyName"]: self._document(one["PolicyDocument"]) for one in entity.get(inline, [])
        }
        attached = [one["PolicyArn"] for one in entity.get("AttachedManagedPolicies", [])]
        return {
            "inline_policies": policies,
            "attached_policies": list(self._references(attached, entity["Arn"])),
        }

    def _references(self, arns: Iterable[str], of: str) -> Iterable[str]:
        for arn in arns:
            reference = self._reference(arn)
            if reference:
                yield reference
            else:
                self.no_counterpart.append(f"{of}: {arn} is no policy of AWS that the broker knows")

    def _reference(self, arn: str) -> str:
        """A policy of the account by its name, AWS's by its ARN where it is known; else ""."""
        if parse_arn(arn).account != "aws":
            return arn.rpartition("/")[2]
        return arn if find_aws_managed(arn) is not None else ""

    def _boundary(self, entity: Values) -> str | None:
        arn = entity.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        if arn is None:
            return None
        reference = self._reference(arn)
        if not reference:
            # Without its boundary the entity would be allowed more than in AWS.
            raise NoExport(f"{entity['Arn']}: its boundary {arn} is no policy of AWS that the broker knows")
        return reference

    def _document(self, document: Any) -> str:
        text = document_text(document)
        return text if self.account_id == self._text_id else text.replace(self._text_id, self.account_id)


def _account_of(export: Values) -> str:
    for kind in _KINDS:
        for one in export[kind]:
            account = parse_arn(one["Arn"]).account
            if account != "aws":
                return account
    raise NoExport("the account is empty")


def _path(entity: Values) -> str | None:
    return None if entity.get("Path", "/") == "/" else str(entity["Path"])


def _tags(entity: Values) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in entity.get("Tags", [])}
