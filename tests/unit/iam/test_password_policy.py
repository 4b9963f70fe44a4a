"""The account's password policy: its defaults, what is not named, and what is not there."""

from broker.protocol.shapes import iam as shapes
from tests.unit.iam.conftest import ACCOUNT, Iam


async def test_without_a_policy_there_is_none_to_show_or_to_delete(iam: Iam) -> None:
    assert await iam.refused("GetAccountPasswordPolicy") == (
        "NoSuchEntity",
        f"The Password Policy with domain name {ACCOUNT} cannot be found.",
    )
    assert await iam.refused("DeleteAccountPasswordPolicy") == (
        "NoSuchEntity",
        "The account policy with name PasswordPolicy cannot be found.",
    )


async def test_what_an_update_does_not_name_has_its_default_again(iam: Iam) -> None:
    whole = shapes.UpdateAccountPasswordPolicyRequest(
        minimum_password_length=14,
        require_symbols=True,
        require_numbers=True,
        require_uppercase_characters=True,
        require_lowercase_characters=True,
        allow_users_to_change_password=True,
        max_password_age=90,
        password_reuse_prevention=24,
        hard_expiry=True,
    )
    await iam(whole)
    assert (await iam("GetAccountPasswordPolicy")).password_policy == shapes.PasswordPolicy(
        minimum_password_length=14,
        require_symbols=True,
        require_numbers=True,
        require_uppercase_characters=True,
        require_lowercase_characters=True,
        allow_users_to_change_password=True,
        expire_passwords=True,
        max_password_age=90,
        password_reuse_prevention=24,
        hard_expiry=True,
    )
    await iam(shapes.UpdateAccountPasswordPolicyRequest())
    assert (await iam("GetAccountPasswordPolicy")).password_policy == shapes.PasswordPolicy(
        minimum_password_length=6,
        require_symbols=False,
        require_numbers=False,
        require_uppercase_characters=False,
        require_lowercase_characters=False,
        allow_users_to_change_password=False,
        expire_passwords=False,
    )
    await iam(shapes.UpdateAccountPasswordPolicyRequest(hard_expiry=False))
    assert (await iam("GetAccountPasswordPolicy")).password_policy.hard_expiry is False
    await iam("DeleteAccountPasswordPolicy")
    assert (await iam.refused("GetAccountPasswordPolicy"))[0] == "NoSuchEntity"
