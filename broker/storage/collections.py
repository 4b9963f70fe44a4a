"""The collections: the kinds of records that there are, one line each.

Those of the people of applications and of identity providers are in `people_collections.py`.
"""

from typing import Any

from broker.storage.analyzer_records import Analyzer, AnalyzerFinding, analyzer_key, finding_key
from broker.storage.collection import Collection, single_key
from broker.storage.credential_records import (
    ServerCertificate,
    ServiceSpecificCredentials,
    SigningCertificates,
    SshPublicKeys,
)
from broker.storage.delegation_records import DelegationRequestRecord
from broker.storage.derived_records import (
    AccountCounts,
    PolicyUse,
    RecordReference,
    counted,
    of_group,
    of_instance_profile,
    of_mfa_device,
    of_policy,
    of_role,
    of_user,
    policy_key,
    reference_key,
)
from broker.storage.engine import (
    CONTAINERS_PARTITION,
    DELEGATION_PARTITION,
    GLOBAL,
    ORGANIZATIONS_PARTITION,
    RESOURCES_PARTITION,
    ROLE_INDEX_PARTITION,
    SERVING_PARTITION,
    TRAIL_ACCOUNTS_PARTITION,
    deliveries_partition,
    generations_partition,
    portal_partition,
    replay_partition,
    sessions_partition,
    sign_in_partition,
    subjects_partition,
    trusting_partition,
    usage_partition,
)
from broker.storage.generation_records import PolicyGenerationJob
from broker.storage.instance_records import InstanceBinding
from broker.storage.organization_records import AccountCreation, Handshake, Organization
from broker.storage.passkey_records import Passkey, PasskeyUse, passkey_key
from broker.storage.password_records import AccustomedAddress, FailedAttempts, LoginProfile, PasswordPolicy
from broker.storage.pod_identity_records import (
    AssociationId,
    Cluster,
    PodIdentityAssociation,
    association_key,
)
from broker.storage.portal_records import PortalPreferences, PortalSession
from broker.storage.records import (
    AccessKey,
    Account,
    AccountSettings,
    Container,
    ForeignAccessKey,
    Group,
    Instance,
    InstanceProfile,
    IssuerAccount,
    ManagedPolicy,
    Once,
    OpenIdConnectProvider,
    RenamedUser,
    Role,
    SamlProvider,
    SamlRequestKeys,
    Serving,
    SigningIdentity,
    TokenIssuer,
    Usage,
    User,
    VirtualMfaDevice,
)
from broker.storage.resource_records import ForeignResource, ResourceOwner
from broker.storage.role_index_records import IndexedAccount, RoleIndex, TrustingRole
from broker.storage.session_records import ListedSessions, Revocations, UnlistedSessions
from broker.storage.sso_records import AuthorizationCode, DeviceAuthorization, LoginSession, SsoSession
from broker.storage.task_records import CredentialReport, LastAccessedJob, ServiceLinkedRoleDeletion
from broker.storage.template_records import RoleTemplate
from broker.storage.trail_records import (
    DeliveredLog,
    DigestChain,
    DigestKeys,
    Trail,
    TrailAccount,
    TrailProgress,
    chain_key,
    delivered_log_key,
    progress_key,
    trail_key,
)
from broker.storage.workload_records import (
    ImportedRevocationList,
    TrustAnchor,
    WorkloadProfile,
    WorkloadSubject,
)


def global_partition(account: str) -> str:
    return GLOBAL


def delegation_partition(account: str) -> str:
    return DELEGATION_PARTITION


def organizations_partition(account: str) -> str:
    return ORGANIZATIONS_PARTITION


def containers_partition(account: str) -> str:
    """A partition of its own: containers change often, and must not change the global partition's revision."""
    return CONTAINERS_PARTITION


def serving_partition(account: str) -> str:
    """A partition of its own: it changes at each start of a broker, and only commands read it."""
    return SERVING_PARTITION


def resources_partition(account: str) -> str:
    """A partition of its own: names are taken often, and must not change the global partition's revision."""
    return RESOURCES_PARTITION


def trail_accounts_partition(account: str) -> str:
    return TRAIL_ACCOUNTS_PARTITION


def role_index_partition(account: str) -> str:
    return ROLE_INDEX_PARTITION


def _mfa_name(device: VirtualMfaDevice) -> str:
    """What follows `mfa/` in the serial number, path included."""
    return device.serial_number.partition(":mfa/")[2]


ACCOUNTS = Collection("account", Account, lambda a: a.account_id, partition=global_partition, exact=True)
ORGANIZATION = Collection("organization", Organization, single_key, partition=global_partition)
INSTANCES = Collection("instance", Instance, lambda i: i.instance_id, partition=global_partition, exact=True)
INSTANCE_BINDINGS = Collection(
    "instance-binding", InstanceBinding, lambda b: b.instance_id, partition=global_partition, exact=True
)
SIGNING_IDENTITY = Collection("signing-identity", SigningIdentity, single_key, partition=global_partition)
SAML_REQUEST_KEYS = Collection("saml-request-keys", SamlRequestKeys, single_key, partition=global_partition)
CONTAINERS = Collection("container", Container, partition=containers_partition, exact=True)
FOREIGN_ACCESS_KEYS = Collection(
    "foreign-access-key", ForeignAccessKey, lambda k: k.access_key_id, partition=global_partition, exact=True
)
ISSUER_ACCOUNTS = Collection(
    "issuer-account", IssuerAccount, lambda i: i.issuer_id, partition=global_partition, exact=True
)
RESOURCE_OWNERS = Collection(
    "resource-owner", ResourceOwner, lambda o: o.arn, partition=resources_partition, exact=True
)
SERVING = Collection("serving", Serving, single_key, partition=serving_partition)

SETTINGS = Collection("settings", AccountSettings, single_key)
USERS = Collection("user", User, lambda u: u.user_name, derive=of_user)
RENAMED_USERS = Collection("renamed-user", RenamedUser, lambda r: r.user_id, exact=True)
GROUPS = Collection("group", Group, lambda g: g.group_name, derive=of_group)
ROLES = Collection("role", Role, lambda r: r.role_name, derive=of_role)
ROLE_TEMPLATES = Collection("role-template", RoleTemplate, lambda t: t.template_name)
POLICIES = Collection("policy", ManagedPolicy, lambda p: p.policy_name, derive=of_policy)
INSTANCE_PROFILES = Collection(
    "instance-profile", InstanceProfile, lambda p: p.instance_profile_name, derive=of_instance_profile
)
ACCESS_KEYS = Collection("access-key", AccessKey, lambda k: k.access_key_id, exact=True)
SERVER_CERTIFICATES = Collection(
    "server-certificate",
    ServerCertificate,
    lambda c: c.server_certificate_name,
    derive=lambda _: counted("server-certificate"),
)
SIGNING_CERTIFICATES = Collection(
    "signing-certificates", SigningCertificates, lambda c: c.owner_id, exact=True
)
SSH_PUBLIC_KEYS = Collection("ssh-public-keys", SshPublicKeys, lambda k: k.owner_id, exact=True)
SERVICE_SPECIFIC_CREDENTIALS = Collection(
    "service-specific-credentials", ServiceSpecificCredentials, lambda c: c.owner_id, exact=True
)
OPEN_ID_CONNECT_PROVIDERS = Collection(
    "oidc-provider",
    OpenIdConnectProvider,
    lambda p: p.name,
    exact=True,
    derive=lambda _: counted("oidc-provider"),
)
SAML_PROVIDERS = Collection(
    "saml-provider", SamlProvider, lambda p: p.name, derive=lambda _: counted("saml-provider")
)
TOKEN_ISSUERS = Collection("token-issuer", TokenIssuer, single_key)
LOGIN_PROFILES = Collection("login-profile", LoginProfile, lambda p: p.user_name or "")
ROOT_LOGIN_PROFILE = Collection("root-login-profile", LoginProfile, single_key)
PASSWORD_POLICY = Collection("password-policy", PasswordPolicy, single_key)
MFA_DEVICES = Collection("mfa", VirtualMfaDevice, _mfa_name, derive=of_mfa_device)
PASSKEYS = Collection(
    "passkey", Passkey, lambda p: passkey_key(p.serial_number), derive=lambda _: counted("passkey")
)
FOREIGN_RESOURCES = Collection(
    "foreign-resource",
    ForeignResource,
    lambda r: r.arn,
    exact=True,
    derive=lambda _: counted("foreign-resource"),
)
CREDENTIAL_REPORTS = Collection("credential-report", CredentialReport, single_key, expiring=True)
LAST_ACCESSED_JOBS = Collection("last-accessed-job", LastAccessedJob, exact=True, expiring=True)
SERVICE_LINKED_ROLE_DELETIONS = Collection(
    "service-linked-role-deletion", ServiceLinkedRoleDeletion, exact=True, expiring=True
)

TRUST_ANCHORS = Collection("trust-anchor", TrustAnchor, lambda a: a.id, exact=True)
WORKLOAD_PROFILES = Collection("workload-profile", WorkloadProfile, lambda p: p.id, exact=True)
REVOCATION_LISTS = Collection("revocation-list", ImportedRevocationList, lambda r: r.id, exact=True)
WORKLOAD_SUBJECTS = Collection(
    "workload-subject", WorkloadSubject, lambda s: s.id, partition=subjects_partition, exact=True
)

COUNTS = Collection("counts", AccountCounts, single_key, is_derived=True)
REFERENCES = Collection("reference", RecordReference, reference_key, exact=True, is_derived=True)
POLICY_USES = Collection(
    "policy-use", PolicyUse, lambda use: policy_key(use.arn), exact=True, is_derived=True
)

# What derived records are derived from, and what they are.
SOURCES: tuple[Collection[Any], ...] = (
    USERS,
    GROUPS,
    ROLES,
    POLICIES,
    INSTANCE_PROFILES,
    SERVER_CERTIFICATES,
    OPEN_ID_CONNECT_PROVIDERS,
    SAML_PROVIDERS,
    MFA_DEVICES,
    PASSKEYS,
    FOREIGN_RESOURCES,
)
DERIVED: tuple[Collection[Any], ...] = (COUNTS, REFERENCES, POLICY_USES)

USAGE = Collection("usage", Usage, partition=usage_partition, exact=True)
ONCE = Collection("once", Once, partition=replay_partition, exact=True, expiring=True)
# The key is the passkey's serial number. Apart from the passkey, so that a sign-in changes no account's revision.
PASSKEY_USES = Collection("passkey-use", PasskeyUse, partition=replay_partition, exact=True, expiring=True)

FAILED_ATTEMPTS = Collection(
    "failed-attempts", FailedAttempts, partition=sign_in_partition, exact=True, expiring=True
)
ACCUSTOMED_ADDRESSES = Collection(
    "accustomed-address", AccustomedAddress, partition=sign_in_partition, exact=True, expiring=True
)

# The key is `SUBJECT/SESSION`, so that all sessions of one person are one scan in one shard.
PORTAL_SESSIONS = Collection(
    "portal-session", PortalSession, partition=portal_partition, exact=True, expiring=True
)

# By the person's subject. It is kept when the person is deleted: a new one of the same name has another subject.
PORTAL_PREFERENCES = Collection(
    "portal-preferences",
    PortalPreferences,
    lambda preferences: preferences.subject,
    partition=portal_partition,
    exact=True,
)

# What clients of `aws sso login` hold; the key begins with the shard.
SSO_DEVICES = Collection(
    "sso-device", DeviceAuthorization, partition=portal_partition, exact=True, expiring=True
)
SSO_CODES = Collection("sso-code", AuthorizationCode, partition=portal_partition, exact=True, expiring=True)
LOGIN_SESSIONS = Collection(
    "login-session", LoginSession, partition=portal_partition, exact=True, expiring=True
)
SSO_SESSIONS = Collection("sso-session", SsoSession, partition=portal_partition, exact=True, expiring=True)

REVOCATIONS = Collection("revocations", Revocations, single_key, expiring_but_cached=True)
LISTED_SESSIONS = Collection(
    "sessions", ListedSessions, partition=sessions_partition, exact=True, expiring=True
)
UNLISTED_SESSIONS = Collection(
    "unlisted-sessions", UnlistedSessions, single_key, partition=sessions_partition, expiring=True
)

# The key is `PRINCIPAL ACCOUNT/ROLE`, in the partition of the principal's account (`broker.access.role_index`).
TRUSTING_ROLES = Collection("trust", TrustingRole, partition=trusting_partition, exact=True, hint=True)
INDEXED_ACCOUNTS = Collection(
    "indexed-account",
    IndexedAccount,
    lambda i: i.account_id,
    partition=role_index_partition,
    exact=True,
    expiring=True,
)
ROLE_INDEX = Collection("role-index", RoleIndex, single_key, partition=role_index_partition)

DELEGATION_REQUESTS = Collection(
    "delegation-request",
    DelegationRequestRecord,
    lambda one: one.request_id,
    partition=delegation_partition,
    exact=True,
    expiring=True,
)

HANDSHAKES = Collection(
    "handshake",
    Handshake,
    lambda one: one.handshake_id,
    partition=organizations_partition,
    exact=True,
    expiring=True,
)
ACCOUNT_CREATIONS = Collection(
    "account-creation",
    AccountCreation,
    lambda one: one.request_id,
    partition=organizations_partition,
    exact=True,
    expiring=True,
)

CLUSTERS = Collection("cluster", Cluster, lambda c: c.cluster_name, exact=True)
POD_IDENTITY_ASSOCIATIONS = Collection(
    "pod-identity-association",
    PodIdentityAssociation,
    lambda a: association_key(a.cluster_name, a.namespace, a.service_account),
    exact=True,
)
ASSOCIATION_IDS = Collection(
    "pod-identity-association-id",
    AssociationId,
    lambda a: f"{a.cluster_name}/{a.association_id}",
    exact=True,
)

ANALYZERS = Collection("analyzer", Analyzer, lambda a: analyzer_key(a.region, a.name), exact=True)
ANALYZER_FINDINGS = Collection("analyzer-finding", AnalyzerFinding, finding_key, exact=True)
POLICY_GENERATIONS = Collection(
    "policy-generation",
    PolicyGenerationJob,
    lambda j: j.job_id,
    partition=generations_partition,
    exact=True,
    expiring=True,
)

TRAILS = Collection("trail", Trail, lambda t: trail_key(t.region, t.name), exact=True)
TRAIL_ACCOUNTS = Collection(
    "trail-account", TrailAccount, lambda a: a.account_id, partition=trail_accounts_partition, exact=True
)
TRAIL_PROGRESS = Collection(
    "trail-progress", TrailProgress, progress_key, partition=deliveries_partition, exact=True
)
DELIVERED_LOGS = Collection(
    "delivered-log", DeliveredLog, delivered_log_key, partition=deliveries_partition, exact=True
)
DIGEST_CHAINS = Collection("digest-chain", DigestChain, chain_key, partition=deliveries_partition, exact=True)
DIGEST_KEYS = Collection("digest-keys", DigestKeys, single_key, partition=deliveries_partition)
