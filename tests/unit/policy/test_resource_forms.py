"""Forms of the ARNs that an action is judged on."""

import pytest

from broker.policy import is_in_reference, needs_permission, resource_forms, spelled

USER = "arn:aws:iam::${Account}:user/${UserNameWithPath}"
ROLE = "arn:aws:iam::${Account}:role/${RoleNameWithPath}"


@pytest.mark.parametrize(
    ("action", "recorded", "forms"),
    [
        ("iam:GetUser", [("AWS::IAM::User", "ann")], (USER,)),
        ("iam:GetUser", [], (USER,)),
        ("iam:ListUsers", [], ("*",)),
        ("iam:SimulatePrincipalPolicy", [("", "arn:aws:iam::111122223333:role/x")], (ROLE,)),
        (
            "iam:SimulatePrincipalPolicy",
            [],
            ("arn:aws:iam::${Account}:group/${GroupNameWithPath}", ROLE, USER),
        ),
        (
            "iam:PutRolePolicy",
            [("AWS::IAM::Policy", "in"), ("AWS::IAM::Role", "x")],
            (ROLE,),
        ),
        (
            "iam:DeleteVirtualMFADevice",
            [("AWS::IAM::MFADevice", "arn:aws:iam::111122223333:mfa/phone")],
            ("arn:aws:iam::${Account}:mfa/${MfaTokenIdWithPath}",),
        ),
        (
            "iam:GetOpenIDConnectProvider",
            [("AWS::IAM::OIDCProvider", "x")],
            ("arn:aws:iam::${Account}:oidc-provider/${OidcProviderName}",),
        ),
        ("s3:GetObject", [("", "arn:aws:s3:::reports/a/b")], ("arn:aws:s3:::${BucketName}/${ObjectName}",)),
        ("s3:ListBucket", [("", "arn:aws:s3:::reports")], ("arn:aws:s3:::${BucketName}",)),
        ("broker:EvaluateAccess", [], ("*",)),
        ("nonsense:Do", [("", "arn:aws:iam::111122223333:role/x")], ("*",)),
    ],
)
def test_the_forms_are_of_the_types_that_were_named(
    action: str, recorded: list[tuple[str, str]], forms: tuple[str, ...]
) -> None:
    assert resource_forms(action, recorded) == forms


def test_actions_are_spelled_as_the_reference_does() -> None:
    assert spelled("IAM:getuser") == "iam:GetUser"
    assert spelled("broker:EvaluateAccess") == "broker:EvaluateAccess"
    assert is_in_reference("iam:GETUSER")
    assert not is_in_reference("iam:Nothing")


def test_what_everybody_may_do_needs_no_permission() -> None:
    assert not needs_permission("sts:GetCallerIdentity")
    assert needs_permission("sts:AssumeRole")
    assert needs_permission("iam:CreateRole")
