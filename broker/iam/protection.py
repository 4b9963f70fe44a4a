"""What an account has but may not change, or use as it likes: roles of AWS's services, policies of root tasks.

Nobody changes the policies that AWS keeps, or creates a role under a reserved path: that is the engine's rule
(`broker.policy`, its table of services).
"""

from typing import Any

from broker.access.aws_managed import is_task_policy
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
    """Raises PolicyNotAttachable for a policy that AWS keeps for AssumeRoot; `noun` is user, group or role."""
    if is_task_policy(arn):
        raise Refusal("PolicyNotAttachable", f"Cannot attach AWS reserved policy to an IAM {noun}.")
