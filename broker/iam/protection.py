"""Entities that an account has but may not change or use freely: roles of AWS's services, policies of root tasks.

That AWS's managed policies cannot be changed, and no role created under a reserved path, are rules of the policy engine
(`broker.policy`, its table of services).
"""

from typing import Any

from broker.access.aws_managed import is_service_linked_policy, is_task_policy
from broker.errors import Refusal
from broker.storage.records import Role

SINGLE_SIGN_ON_PATH = "/aws-reserved/"
RESERVED_PATHS = ("/aws-service-role/", SINGLE_SIGN_ON_PATH)


def require_modifiable(record: Any, reserved: tuple[str, ...] = RESERVED_PATHS) -> None:
    """Raises UnmodifiableEntity for a role under a reserved path; other entities, and none at all, pass."""
    if isinstance(record, Role) and record.path.startswith(reserved):
        raise Refusal(
            "UnmodifiableEntity",
            f"Cannot perform the operation on the protected role '{record.role_name}' - "
            "this role is only modifiable by AWS",
        )


def require_attachable(arn: str, noun: str) -> None:
    """Raises PolicyNotAttachable for a policy that AWS reserves for AssumeRoot or for the roles of its services.

    `noun` is user, group or role.
    """
    if is_task_policy(arn):
        raise Refusal("PolicyNotAttachable", f"Cannot attach AWS reserved policy to an IAM {noun}.")
    if is_service_linked_policy(arn):
        customer = "Customer Role" if noun == "role" else noun.capitalize()
        raise Refusal("PolicyNotAttachable", f"Cannot attach a Service Role Policy to a {customer}.")
