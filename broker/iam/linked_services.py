"""AWS's services that have service-linked roles: `service_linked_roles.json`, read when first needed.

A row: service principal, name of the role, name of its managed policy, whether a custom suffix is allowed. 124 of the
role names are those that AWS's managed policies name. The others, and which services take a suffix, are from memory of
the services' guides and were not looked up one by one.
"""

from functools import cache
from importlib.resources import files

import msgspec

from broker.names.arn import AWS_ACCOUNT, iam_arn

PATH = "/aws-service-role/"


class LinkedService(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A service, and the role that it has in each account that uses it."""

    service: str
    role_name: str
    policy_name: str
    takes_suffix: bool

    @property
    def policy_arn(self) -> str:
        return iam_arn(AWS_ACCOUNT, f"policy{PATH}{self.policy_name}")

    def role_named(self, custom_suffix: str | None) -> str:
        return self.role_name if custom_suffix is None else f"{self.role_name}_{custom_suffix}"


def find_linked_service(service: str) -> LinkedService | None:
    """The row of a service principal; these are case-sensitive."""
    return _by_service().get(service)


@cache
def _by_service() -> dict[str, LinkedService]:
    text = files("broker.iam").joinpath("service_linked_roles.json").read_bytes()
    rows = msgspec.json.decode(text, type=list[LinkedService])
    return {row.service: row for row in rows}
