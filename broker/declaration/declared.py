"""What may be declared, as frozen structs. UNSET: the file does not have the key, so the property is not changed.

A list or mapping is complete: what the store has and the list does not is removed. `where` is the location (file, line,
keys) for error messages; it is not a key of the file.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from broker.storage import records

WHERE = "where"


class Document(msgspec.Struct, frozen=True):
    """The JSON text of a policy, written inline, as a text, or as `file: PATH`."""

    text: str
    where: str


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping of the file."""

    where: str


class FixedKey(Declared, frozen=True, kw_only=True):
    """An access key with a known secret, which is in a file or in an environment variable."""

    access_key_id: str
    secret_file: str | UnsetType = UNSET
    secret_variable: str | UnsetType = UNSET


class DeclaredGroup(Declared, frozen=True, kw_only=True):
    path: str | UnsetType = UNSET
    inline_policies: dict[str, Document] | UnsetType = UNSET
    attached_policies: tuple[str, ...] | UnsetType = UNSET


class DeclaredUser(Declared, frozen=True, kw_only=True):
    path: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    permissions_boundary: str | UnsetType | None = UNSET
    groups: tuple[str, ...] | UnsetType = UNSET
    inline_policies: dict[str, Document] | UnsetType = UNSET
    attached_policies: tuple[str, ...] | UnsetType = UNSET
    # A number: that many are created, and their secrets shown once. A list: exactly these keys, with known secrets.
    access_keys: int | tuple[FixedKey, ...] = 0
    # "generate": made and shown once, where there is none. None: there is none.
    console_password: str | UnsetType | None = UNSET


class DeclaredRole(Declared, frozen=True, kw_only=True):
    trust_policy: Document
    path: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    max_session_duration: int | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    permissions_boundary: str | UnsetType | None = UNSET
    inline_policies: dict[str, Document] | UnsetType = UNSET
    attached_policies: tuple[str, ...] | UnsetType = UNSET


class DeclaredPolicy(Declared, frozen=True, kw_only=True):
    document: Document
    path: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class DeclaredInstanceProfile(Declared, frozen=True, kw_only=True):
    path: str | UnsetType = UNSET
    role: str | UnsetType | None = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class DeclaredTemplateParameter(Declared, frozen=True, kw_only=True):
    """A value that the caller of AcquireRole supplies; without a default it has to be supplied."""

    type: str = "String"
    description: str | None = None
    required: bool = True
    default: str | None = None


class DeclaredRoleTemplate(Declared, frozen=True, kw_only=True):
    """What AcquireRole makes a role of; `@{name}` in its texts and documents is the place of a parameter."""

    role_name: str
    trust_policy: Document
    description: str | None = None
    enabled: bool = True
    role_path: str = "/"
    role_description: str | None = None
    max_session_duration: int = 3600
    tags: dict[str, str] = {}
    permissions_boundary: str | None = None
    inline_policies: dict[str, Document] = {}
    attached_policies: tuple[str, ...] = ()
    parameters: dict[str, DeclaredTemplateParameter] = {}


class DeclaredForeignResource(Declared, frozen=True, kw_only=True):
    """A resource of another service, which the account owns. None: it has no resource policy."""

    policy: Document | UnsetType | None = UNSET


NO_DOCUMENT = Document("", "")


class DeclaredTokenReview(Declared, frozen=True, kw_only=True):
    """The API server of a cluster, which is asked about each token; `token_file` is on the broker's machine."""

    server: str
    certificate_authority: Document = NO_DOCUMENT
    token_file: str = ""


class DeclaredAssociation(Declared, frozen=True, kw_only=True):
    """The role, by its name, of the pods of a service account.

    `id` and `external_id` are those that are known elsewhere already; without them they are made of the names.
    """

    role: str
    id: str = ""
    target_role_arn: str = ""
    external_id: str = ""
    disable_session_tags: bool = False
    policy: Document | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class DeclaredCluster(Declared, frozen=True, kw_only=True):
    """A cluster of Kubernetes whose service account tokens are accepted; its keys, or where they are fetched from."""

    issuer: str
    keys: Document = NO_DOCUMENT
    keys_url: str = ""
    region: str = "us-east-1"
    node_tag: str = ""
    session_seconds: int = 21_600
    token_review: DeclaredTokenReview | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    associations: dict[str, DeclaredAssociation] | UnsetType = UNSET


class DeclaredRevocationList(Declared, frozen=True, kw_only=True):
    """A certificate revocation list, in PEM."""

    content: Document
    id: str = ""
    enabled: bool = True


class DeclaredTrustAnchor(Declared, frozen=True, kw_only=True):
    """Whose certificates prove workloads (IAM Roles Anywhere), in PEM. Without an `id`, it is made of the name."""

    certificates: Document
    id: str = ""
    type: str = "CERTIFICATE_BUNDLE"
    region: str = "us-east-1"
    enabled: bool = True
    follow_distribution_points: bool = False
    tags: dict[str, str] | UnsetType = UNSET
    revocation_lists: dict[str, DeclaredRevocationList] | UnsetType = UNSET


class DeclaredWorkloadProfile(Declared, frozen=True, kw_only=True):
    """Which roles workloads may take, by their names, and within which session policies (IAM Roles Anywhere)."""

    roles: tuple[str, ...]
    id: str = ""
    region: str = "us-east-1"
    enabled: bool = True
    duration_seconds: int = 3600
    session_policy: Document | UnsetType = UNSET
    managed_policies: tuple[str, ...] = ()
    require_instance_properties: bool = False
    accept_role_session_name: bool = False
    tags: dict[str, str] | UnsetType = UNSET
    attribute_mappings: dict[str, tuple[str, ...]] | UnsetType = UNSET


class DeclaredOpenIdConnectProvider(Declared, frozen=True, kw_only=True):
    """By its name, which is its issuer without the scheme; `url` is for an issuer that is not https."""

    url: str | UnsetType = UNSET
    client_ids: tuple[str, ...] | UnsetType = UNSET
    thumbprints: tuple[str, ...] | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class DeclaredSamlProvider(Declared, frozen=True, kw_only=True):
    """`metadata` is the provider's XML."""

    metadata: Document
    tags: dict[str, str] | UnsetType = UNSET


class DeclaredUserPoolClient(Declared, frozen=True, kw_only=True):
    """An app client of a user pool of Cognito."""

    provider_name: str
    client_id: str


class DeclaredClaimRule(Declared, frozen=True, kw_only=True):
    """`match_type` is Equals, NotEqual, StartsWith or Contains. `role` is a role's name or ARN."""

    claim: str
    match_type: str
    value: str
    role: str


class DeclaredRoleMapping(Declared, frozen=True, kw_only=True):
    """How the role of a provider's people is chosen: `type` is Token or Rules."""

    type: str
    ambiguous_role_resolution: str = "Deny"
    rules: tuple[DeclaredClaimRule, ...] = ()


class DeclaredPrincipalTags(Declared, frozen=True, kw_only=True):
    """Which claims become session tags: AWS's defaults, or a tag's name -> a claim's."""

    use_defaults: bool = False
    claims: dict[str, str] = {}


class DeclaredIdentityPool(Declared, frozen=True, kw_only=True):
    """A pool of Cognito. `name` and `id` are those that it has elsewhere; without them, both are made of the key.

    OpenID Connect providers are those of the account, by name or ARN; mappings and tags have the names of providers.
    """

    name: str = ""
    id: str = ""
    region: str = "us-east-1"
    allow_unauthenticated: bool | UnsetType = UNSET
    allow_classic_flow: bool | UnsetType = UNSET
    developer_provider: str | UnsetType = UNSET
    open_id_connect_providers: tuple[str, ...] | UnsetType = UNSET
    login_providers: dict[str, str] | UnsetType = UNSET
    user_pool_clients: tuple[DeclaredUserPoolClient, ...] | UnsetType = UNSET
    roles: dict[str, str] | UnsetType = UNSET
    role_mappings: dict[str, DeclaredRoleMapping] | UnsetType = UNSET
    principal_tags: dict[str, DeclaredPrincipalTags] | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class DeclaredIdentityStore(Declared, frozen=True, kw_only=True):
    """The list of a provider's people, which the provider pushes. `bearer_tokens`: that many exist at least."""

    id: str = ""
    match_by: str | UnsetType = UNSET
    claim: str | UnsetType = UNSET
    bearer_tokens: int = 0


class DeclaredAccount(Declared, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    alias: str | UnsetType | None = UNSET
    policies: dict[str, DeclaredPolicy] = {}
    groups: dict[str, DeclaredGroup] = {}
    users: dict[str, DeclaredUser] = {}
    roles: dict[str, DeclaredRole] = {}
    instance_profiles: dict[str, DeclaredInstanceProfile] = {}
    role_templates: dict[str, DeclaredRoleTemplate] = {}
    foreign_resources: dict[str, DeclaredForeignResource] = {}
    clusters: dict[str, DeclaredCluster] = {}
    trust_anchors: dict[str, DeclaredTrustAnchor] = {}
    workload_profiles: dict[str, DeclaredWorkloadProfile] = {}
    # Not even pruned where the file does not have the key, as files of older versions: people depend on them.
    open_id_connect_providers: dict[str, DeclaredOpenIdConnectProvider] | UnsetType = UNSET
    saml_providers: dict[str, DeclaredSamlProvider] | UnsetType = UNSET
    identity_pools: dict[str, DeclaredIdentityPool] | UnsetType = UNSET
    identity_stores: dict[str, DeclaredIdentityStore] | UnsetType = UNSET


class DeclaredOrganizationalUnit(Declared, frozen=True, kw_only=True):
    """A root, a unit or an account in the organization's tree; a root has no parent.

    `name` is for roots and units, `closed` for accounts: whether the account may do nothing.
    """

    parent: str | None = None
    service_control_policies: dict[str, Document] | UnsetType = UNSET
    resource_control_policies: dict[str, Document] | UnsetType = UNSET
    name: str | UnsetType = UNSET
    closed: bool | UnsetType = UNSET


class DeclaredOrganization(Declared, frozen=True, kw_only=True):
    organization_id: str
    management_account_id: str
    delegated_iam_administrator_id: str | UnsetType | None = UNSET
    features: tuple[str, ...] | UnsetType = UNSET
    units: dict[str, DeclaredOrganizationalUnit] = {}
    accounts: dict[str, DeclaredOrganizationalUnit] = {}


def _instance_fields() -> list[tuple[str, Any, Any]]:
    """The fields of the record, so that a field added to the record can be declared at once; user data as text."""
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(records.Instance):
        if field.name == "instance_id":
            continue
        kind = str | None if field.name == "user_data" else field.type
        fields.append((field.name, kind | UnsetType, UNSET))
    return fields


DeclaredInstance: Any = msgspec.defstruct(
    "DeclaredInstance", _instance_fields(), bases=(Declared,), frozen=True, kw_only=True, module=__name__
)


class Declaration(Declared, frozen=True, kw_only=True):
    """The whole file."""

    accounts: dict[str, DeclaredAccount] = {}
    instances: dict[str, DeclaredInstance] = {}
    organization: DeclaredOrganization | UnsetType = UNSET


def is_set(value: Any) -> bool:
    return not isinstance(value, UnsetType)


def value_or(value: Any, default: Any) -> Any:
    """`value`, or `default` where it is UNSET."""
    return default if isinstance(value, UnsetType) else value
