"""Identity pools of Cognito, and the identities in them.

Frozen, append-only with defaults, times in whole epoch seconds. A pool is in its account's partition. Identities are
in the partition that the first digits of their id name, which are those of the pool's id: so an identity is found by
its id alone, as clients name it, and all identities of a pool are in one partition.
"""

from hashlib import sha256

from broker.storage.records import Record

_SHARED_DIGITS = 8

# In a token of GetOpenIdToken: which users of identity stores its logins are.
STORE_USERS_CLAIM = "urn:x-aws:store_users"


class CognitoLogin(Record, frozen=True, kw_only=True):
    """An app client of a user pool; `provider_name` is the user pool's issuer without its scheme."""

    provider_name: str
    client_id: str


class ClaimRule(Record, frozen=True, kw_only=True):
    """The role of those whose claim matches: `match_type` is Equals, Contains, StartsWith or NotEqual."""

    claim: str
    match_type: str
    value: str
    role_arn: str


class ClaimRoles(Record, frozen=True, kw_only=True):
    """How the role of a provider's people is chosen: `kind` is Token or Rules.

    `is_denied_without`: who gets no role by it is refused, instead of getting the role of everyone authenticated.
    """

    kind: str
    is_denied_without: bool = True
    rules: tuple[ClaimRule, ...] = ()


class ClaimTags(Record, frozen=True, kw_only=True):
    """Which claims become session tags: tag -> claim. `use_defaults`: those that AWS has chosen."""

    use_defaults: bool = False
    claims: dict[str, str] = {}


class IdentityPoolRecord(Record, frozen=True, kw_only=True):
    """`login_providers` are application ids by provider. `roles`: authenticated, unauthenticated -> ARN.
    `developer_provider` is what the app's own server calls itself, "" where it vouches for nobody.

    The keys of `role_mappings` and `principal_tags` are those of `broker.identity_pools.providers`.
    """

    account_id: str
    region: str
    pool_id: str
    pool_name: str
    allow_unauthenticated: bool = False
    login_providers: dict[str, str] = {}
    open_id_connect_provider_arns: tuple[str, ...] = ()
    cognito_logins: tuple[CognitoLogin, ...] = ()
    roles: dict[str, str] = {}
    role_mappings: dict[str, ClaimRoles] = {}
    principal_tags: dict[str, ClaimTags] = {}
    tags: dict[str, str] = {}
    created_at: int = 0
    developer_provider: str = ""
    allow_classic_flow: bool = False

    @property
    def arn(self) -> str:
        return identity_pool_arn(self.region, self.account_id, self.pool_id)


class IdentityPoolOwner(Record, frozen=True, kw_only=True):
    """Whose pool it is; the pool itself is in the account's partition, and says whether it still exists."""

    pool_id: str
    account_id: str


class PoolIdentity(Record, frozen=True, kw_only=True):
    """One of an app's people, or a guest: `logins` are subjects by provider, none of a guest.

    `is_disabled`: its last login was unlinked or merged into another identity, so that nobody can prove to be it any
    more. `further_subjects`: users of the developer provider who are the identity beside that of `logins`.
    """

    identity_id: str
    pool_id: str
    account_id: str
    logins: dict[str, str] = {}
    is_disabled: bool = False
    created_at: int
    modified_at: int
    further_subjects: dict[str, tuple[str, ...]] = {}


class LinkedLogin(Record, frozen=True, kw_only=True):
    """Which identity of a pool a provider's subject is."""

    key: str
    identity_id: str


class IdentityCount(Record, frozen=True, kw_only=True):
    """How many identities a pool has."""

    pool_id: str
    identities: int


def identity_pool_arn(region: str, account_id: str, pool_id: str) -> str:
    return f"arn:aws:cognito-identity:{region}:{account_id}:identitypool/{pool_id}"


def identity_shard(unverified_id: str) -> str:
    """The digits that the id of a pool shares with those of its identities; "" for what is no id."""
    return unverified_id.partition(":")[2][:_SHARED_DIGITS]


def login_key(pool_id: str, provider: str, subject: str) -> str:
    """Neither ids of pools nor names of providers have spaces."""
    return f"{pool_id}/{sha256(f'{pool_id} {provider} {subject}'.encode()).hexdigest()}"
