"""The organization, and what its API keeps for a while. Frozen, append-only with defaults, times in epoch seconds."""

from broker.storage.records import Record


class OrganizationPolicy(Record, frozen=True, kw_only=True):
    """A service or resource control policy of the organization, by its id; `type` is AWS's name of it."""

    name: str
    type: str
    content: str
    description: str = ""
    tags: dict[str, str] = {}


class OrganizationalUnit(Record, frozen=True, kw_only=True):
    """A root, a unit, or an account of an organization: its parent's id, and the ids of the policies attached to it.

    Earlier versions stored the documents of policies here, by name: `broker.access.organization` reads them as
    policies of the organization. `name` is that of a root or a unit; the account's is in its own record.
    """

    parent: str | None
    service_control_policies: dict[str, str] = {}
    resource_control_policies: dict[str, str] = {}
    policies: tuple[str, ...] = ()
    name: str = ""
    tags: dict[str, str] = {}
    joined_at: int = 0
    is_invited: bool = False


class Organization(Record, frozen=True, kw_only=True):
    """The organization, at most one; in the global partition. `units` are roots and OUs by id, `accounts` by id.

    `delegated_administrators` are services and the moment of their delegation, by account; `trusted_services` the
    moment at which access was enabled, by service. A closed account may do nothing, whatever else is written here.
    """

    organization_id: str
    management_account_id: str
    delegated_iam_administrator_id: str | None = None
    units: dict[str, OrganizationalUnit] = {}
    accounts: dict[str, OrganizationalUnit] = {}
    features: tuple[str, ...] = ()
    policies: dict[str, OrganizationPolicy] = {}
    trusted_services: dict[str, int] = {}
    delegated_administrators: dict[str, dict[str, int]] = {}
    closed_accounts: dict[str, int] = {}
    resource_policy: str | None = None
    resource_policy_id: str | None = None
    resource_policy_tags: dict[str, str] = {}


class Handshake(Record, frozen=True, kw_only=True):
    """An invitation of an account into the organization, by its id; `state` is the last one that an operation set.

    `party_type` and `party_id` are what the invitation named; `account_id` is the account that this means.
    """

    handshake_id: str
    organization_id: str
    management_account_id: str
    account_id: str
    party_type: str
    party_id: str
    state: str
    requested_at: int
    expires_at: int
    notes: str | None = None
    tags: dict[str, str] = {}


class AccountCreation(Record, frozen=True, kw_only=True):
    """What became of a CreateAccount, by the id of the request; kept for ninety days."""

    request_id: str
    organization_id: str
    account_name: str
    requested_at: int
    account_id: str | None = None
    failure_reason: str | None = None
