"""What both simulators share: the IAM operations and `broker policy simulate`.

They gather policies and ask the engine as the gate does; only the caller is made up. Never decides.
"""

from broker.access.caller import Caller
from broker.access.library import PolicyLibrary
from broker.access.trust import compiled_trust_policy, find_role
from broker.names.arn import is_account_id, parse_arn
from broker.names.principal import AssumedRole
from broker.policy import PolicyKind, PolicySet
from broker.storage.records import Role
from broker.storage.store import Transaction

# The name of a simulated role session.
SESSION_NAME = "simulation"


def role_caller(role: Role, now: float, session_name: str = SESSION_NAME) -> Caller:
    """A session of the role that was assumed just now, without MFA, tags or session policies."""
    who = AssumedRole(role.account_id, role.role_name, role.role_id, session_name, role.path)
    return Caller(principal=who, account=role.account_id, role=role, tags=role.tags, token_issued_at=int(now))


def owner_of(resource: str, stated_owner: str | None, account: str) -> str:
    """The account that owns the resource: that of its ARN, else `stated_owner`, else the caller's `account`."""
    try:
        owner = parse_arn(resource).account
    except ValueError:
        owner = ""
    return owner if is_account_id(owner) else stated_owner or account


def kind_of_resource_policy(action: str) -> PolicyKind:
    """The kind of resource policy that applies to `action`: STS acts on roles, which have trust policies."""
    return PolicyKind.TRUST if action.lower().startswith("sts:") else PolicyKind.RESOURCE


async def find_trust_policy(store: Transaction, library: PolicyLibrary, role_arn: str) -> PolicySet | None:
    """The trust policy that AssumeRole of the role is judged by; None where no role has this ARN."""
    role = await find_role(store, role_arn)
    return None if role is None else compiled_trust_policy(library, role)
