"""Where the permissions of a user, group or role come from: its managed and inline policies, with their forms."""

from typing import Any
from urllib.parse import quote

import msgspec

from broker.names.arn import parse_arn
from broker.portal.console.frame import console_path
from broker.portal.console.lists import policy_path
from broker.portal.console.operations import OperationForm, attempt
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit


class PolicyHolder(msgspec.Struct, frozen=True):
    """Who has the policies: `noun` is User, Group or Role, as in the names of operations and of members."""

    noun: str
    name: str
    account_id: str

    @property
    def named(self) -> dict[str, str]:
        """The member of a request that names it."""
        return {f"{self.noun}Name": self.name}

    @property
    def path(self) -> str:
        return f"{console_path(self.account_id)}/{self.noun.lower()}s/{quote(self.name)}"


class Permissions(msgspec.Struct, frozen=True):
    """Each member is an answer or a Refusal. `paths` is where the page of each attached policy is, by its ARN."""

    attached: Any
    inline: Any
    attachable: Any
    paths: dict[str, str]


async def find_permissions(portal: Portal, visit: Visit, holder: PolicyHolder) -> Permissions:
    attached = await attempt(portal, visit, f"ListAttached{holder.noun}Policies", holder.named)
    inline = await attempt(portal, visit, f"List{holder.noun}Policies", holder.named)
    attachable = await attempt(portal, visit, "ListPolicies", {"Scope": "Local", "MaxItems": "200"})
    paths = {
        one.policy_arn: policy_path(one.policy_arn, parse_arn(one.policy_arn).account)
        for one in getattr(attached, "attached_policies", ())
    }
    return Permissions(attached, inline, attachable, paths)


def permission_forms(holder: PolicyHolder) -> dict[str, OperationForm]:
    noun = holder.noun
    operations = (f"Attach{noun}Policy", f"Detach{noun}Policy", f"Delete{noun}Policy")
    return {operation: OperationForm(lambda _answer: holder.path) for operation in operations}
