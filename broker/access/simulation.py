"""Who would ask, and about what: the parts of a question that nobody asks in earnest.

Both simulators use them, the IAM operations and `broker policy simulate`. They gather with the gate's gatherer and ask
its engine; made up is only the caller. Never decides.
"""

from broker.access.caller import Caller
from broker.access.library import PolicyLibrary
from broker.access.trust import compiled_trust_policy, find_role
from broker.names.arn import is_account_id, parse_arn
from broker.names.principal import AssumedRole
from broker.policy import PolicyKind, PolicySet
from broker.storage.records import Role
from broker.storage.store import Transaction

# What a role session is called that was never assumed.
SESSION_NAME = "simulation"


def role_caller(role: Role, now: float, session_name: str = SESSION_NAME) -> Caller:
    """A session of the role that was assumed just now, without MFA, tags or session policies."""
    who = AssumedRole(role.account_id, role.role_name, role.role_id, session_name, role.path)
    return Caller(principal=who, account=role.account_id, role=role, tags=role.tags, token_issued_at=int(now))


def owner_of(resource: str, given: str | None, account: str) -> str:
    """Whose the resource is: as its ARN says, else as `given`, else the caller's `account`."""
    try:
        owner = parse_arn(resource).account
    except ValueError:
        owner = ""
    return owner if is_account_id(owner) else given or account


def kind_of_resource_policy(action: str) -> PolicyKind:
    """What a resource policy has to be that speaks about `action`: STS acts on roles, which have trust policies."""
    return PolicyKind.TRUST if action.lower().startswith("sts:") else PolicyKind.RESOURCE


async def find_trust_policy(store: Transaction, library: PolicyLibrary, role_arn: str) -> PolicySet | None:
    """The trust policy of the role, as AssumeRole is judged by it; None where no role bears this ARN."""
    role = await find_role(store, role_arn)
    return None if role is None else compiled_trust_policy(library, role)
