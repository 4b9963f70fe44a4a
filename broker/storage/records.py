"""The records of the store, as frozen structs; encoded as MessagePack, append-only with defaults.

Times are whole epoch seconds. Names are stored as they were spelled; `collection.py` compares them without case.
"""

import msgspec

from broker.names.arn import iam_arn
from broker.names.secret import SecretKey


class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What all records share: frozen, defaults left out of the encoding, and out of sight of garbage collection.

    They are trees of values. A page or a full account decodes thousands, none of which can be in a cycle.
    """


class Account(Record, frozen=True, kw_only=True):
    """An account of this broker; in the global partition, so one revision guards that aliases are unique."""

    account_id: str
    alias: str | None = None
    name: str = ""
    email: str = ""
    created_at: int = 0


class AccountSettings(Record, frozen=True, kw_only=True):
    """One per account partition: IAM's settings of the account itself."""

    root_access_key_ids: tuple[str, ...] = ()
    root_mfa_serial_numbers: tuple[str, ...] = ()
    # Never written: the password of root has a login profile, and its use a mark, as those of users.
    root_password_last_used_at: int | None = None
    # Marks of the root keys from the environment that were applied: each is applied once.
    brought_root_keys: tuple[str, ...] = ()
    global_endpoint_token_version: int = 1


class User(Record, frozen=True, kw_only=True):
    account_id: str
    user_name: str
    user_id: str
    path: str = "/"
    created_at: int
    tags: dict[str, str] = {}
    permissions_boundary: str | None = None
    inline_policies: dict[str, str] = {}
    attached_policies: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    access_key_ids: tuple[str, ...] = ()
    mfa_serial_numbers: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        return iam_arn(self.account_id, f"user{self.path}{self.user_name}")


class RenamedUser(Record, frozen=True, kw_only=True):
    """The present name of a user who was renamed: sessions have the user's id and the former name."""

    user_id: str
    user_name: str


class Group(Record, frozen=True, kw_only=True):
    account_id: str
    group_name: str
    group_id: str
    path: str = "/"
    created_at: int
    inline_policies: dict[str, str] = {}
    attached_policies: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        return iam_arn(self.account_id, f"group{self.path}{self.group_name}")


class Role(Record, frozen=True, kw_only=True):
    account_id: str
    role_name: str
    role_id: str
    path: str = "/"
    created_at: int
    assume_role_policy: str
    description: str | None = None
    max_session_duration: int = 3600
    tags: dict[str, str] = {}
    permissions_boundary: str | None = None
    inline_policies: dict[str, str] = {}
    attached_policies: tuple[str, ...] = ()
    # The unique ids, at the time of storing, of the ARNs in the trust policy (`broker.access.trust`).
    trusted_ids: dict[str, str] = {}
    max_signin_session_duration: int | None = None
    # The role template that it was acquired from; "" and 0 for other roles.
    source_template_arn: str = ""
    source_template_minor_version: int = 0

    @property
    def arn(self) -> str:
        return iam_arn(self.account_id, f"role{self.path}{self.role_name}")


class AccessKey(Record, frozen=True, kw_only=True):
    """A long-term access key; `user_name` None means the account's root user."""

    account_id: str
    access_key_id: str
    user_name: str | None
    secret: SecretKey
    status: str = "Active"
    created_at: int


class ForeignAccessKey(Record, frozen=True, kw_only=True):
    """The account of an access key whose id was imported, and does not encode it; in the global partition."""

    access_key_id: str
    account_id: str


class Usage(Record, frozen=True, kw_only=True):
    """When an access key, a role or a password was last used; in the usage partition, keyed by the id of the first two.

    A password's is under the id of its user. When a user or a role last asked for an operation is under
    the key that `broker.storage.last_accessed` makes, and has its `action`.
    """

    last_used_at: int
    region: str = ""
    service: str = ""
    action: str = ""


class PolicyVersion(Record, frozen=True, kw_only=True):
    version_id: str
    document: str
    created_at: int


class ManagedPolicy(Record, frozen=True, kw_only=True):
    """A managed policy; `account_id` is "aws" for those that AWS manages."""

    account_id: str
    policy_name: str
    policy_id: str
    path: str = "/"
    description: str | None = None
    default_version_id: str = "v1"
    versions: tuple[PolicyVersion, ...]
    next_version: int = 2
    tags: dict[str, str] = {}
    created_at: int
    updated_at: int

    @property
    def arn(self) -> str:
        return iam_arn(self.account_id, f"policy{self.path}{self.policy_name}")

    @property
    def document(self) -> str:
        """The text of the default version."""
        return next(v.document for v in self.versions if v.version_id == self.default_version_id)


class InstanceProfile(Record, frozen=True, kw_only=True):
    account_id: str
    instance_profile_name: str
    instance_profile_id: str
    path: str = "/"
    created_at: int
    role_names: tuple[str, ...] = ()
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        return iam_arn(self.account_id, f"instance-profile{self.path}{self.instance_profile_name}")


class OpenIdConnectProvider(Record, frozen=True, kw_only=True):
    """An identity provider that issues OpenID Connect tokens; `url` is its issuer, scheme included."""

    account_id: str
    url: str
    client_ids: tuple[str, ...] = ()
    thumbprints: tuple[str, ...] = ()
    created_at: int
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        return iam_arn(self.account_id, f"oidc-provider/{self.name}")

    @property
    def name(self) -> str:
        """The issuer without its scheme: what ARNs and condition keys call the provider."""
        return self.url.rpartition("://")[2]


class SamlPrivateKey(Record, frozen=True, kw_only=True):
    """A private key (PEM) that decrypts assertions."""

    key_id: str
    added_at: int
    key: SecretKey


SAML_ENCRYPTION_REQUIRED = "Required"


class SamlProvider(Record, frozen=True, kw_only=True):
    """An identity provider that issues SAML assertions, described by its metadata.

    `encryption_mode` is "", "Allowed" or "Required". `valid_until` is when IAM stops trusting the provider.
    """

    account_id: str
    name: str
    provider_id: str
    metadata: str
    valid_until: int
    encryption_mode: str = ""
    private_keys: tuple[SamlPrivateKey, ...] = ()
    created_at: int
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        return iam_arn(self.account_id, f"saml-provider/{self.name}")


class TokenKey(Record, frozen=True, kw_only=True):
    """A key that an account's issuer signs tokens with: the private one in PEM, the public one as a JWK in JSON.

    It signs from `signs_from` on, until another key of its algorithm does.
    """

    key_id: str
    algorithm: str
    private_key: SecretKey
    public_key: str
    created_at: int
    signs_from: int


class TokenIssuer(Record, frozen=True, kw_only=True):
    """The account as an issuer of web identity tokens; `keys` in order of creation."""

    issuer_id: str
    is_enabled: bool = False
    keys: tuple[TokenKey, ...] = ()


class IssuerAccount(Record, frozen=True, kw_only=True):
    """The account that an issuer belongs to; in the global partition."""

    issuer_id: str
    account_id: str


class VirtualMfaDevice(Record, frozen=True, kw_only=True):
    """A virtual MFA device; `user_name` None with `enabled_at` set means the account's root user.

    `drift_steps` is how far the device's clock is ahead of ours, in TOTP steps, as its last resynchronisation showed.
    """

    account_id: str
    serial_number: str
    device_name: str
    path: str = "/"
    seed: SecretKey
    user_name: str | None = None
    enabled_at: int | None = None
    drift_steps: int = 0
    created_at: int
    tags: dict[str, str] = {}


class Once(Record, frozen=True, kw_only=True):
    """Something that was used and may not be used again; in the replay partition, expiring.

    `step` is for one-time codes: the last step that was used. Only codes of later steps are accepted.
    """

    used_at: int
    step: int = 0


class Instance(Record, frozen=True, kw_only=True):
    """A machine that may ask the metadata service, known by the `addresses` it asks from; in the global partition.

    `instance_profile` is a profile's name or ARN. Keyed: `security_groups` by group id, `public_keys` by the key's
    name, `block_devices` by what is mapped (`ami`, `root`, `ebs1`). `categories` are further texts under
    `meta-data/`, by path (`spot/instance-action`), that the operator adds.
    """

    instance_id: str
    account_id: str
    addresses: tuple[str, ...] = ()
    instance_profile: str | None = None
    region: str = "us-east-1"
    availability_zone: str = "us-east-1a"
    availability_zone_id: str = ""
    instance_type: str = "t3.micro"
    image_id: str = "ami-00000000000000000"
    architecture: str = "x86_64"
    launched_at: int = 0
    launch_index: int = 0
    life_cycle: str = "on-demand"
    reservation_id: str = ""
    hostname: str = ""
    public_hostname: str = ""
    local_ipv4: str = ""
    public_ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    interface_id: str = ""
    subnet_id: str = ""
    subnet_ipv4_cidr_block: str = ""
    vpc_id: str = ""
    vpc_ipv4_cidr_block: str = ""
    security_groups: dict[str, str] = {}
    block_devices: dict[str, str] = {}
    tags: dict[str, str] = {}
    user_data: bytes | None = None
    monitoring: bool = False
    tokens_required: bool = True
    metadata_enabled: bool = True
    tags_in_metadata: bool = False
    hop_limit: int = 1
    public_keys: dict[str, str] = {}
    categories: dict[str, str] = {}


class Container(Record, frozen=True, kw_only=True):
    """A container that may have credentials of a role; in the containers partition.

    Its key is the digest of the secret that the container presents (`broker.metadata.containers`), never the secret
    itself. With `instance_id` only requests from that machine are answered. `expires_at` None: until deleted.
    """

    account_id: str
    role_arn: str
    session_name: str
    instance_id: str | None = None
    authorization_digest: str | None = None
    region: str = "us-east-1"
    expires_at: int | None = None


class SigningIdentity(Record, frozen=True, kw_only=True):
    """The private key that signs instance identity documents, and its certificate, both PEM; global."""

    private_key: SecretKey
    certificate: str


class SamlRequestKey(Record, frozen=True, kw_only=True):
    """A private key that signs authentication requests from `signs_from` on, and its certificate, both PEM."""

    private_key: SecretKey
    certificate: str
    signs_from: int


class SamlRequestKeys(Record, frozen=True, kw_only=True):
    """In the order in which they sign; global."""

    keys: tuple[SamlRequestKey, ...] = ()


class Node(Record, frozen=True, kw_only=True):
    """Where the broker of a machine listens, HOST:PORT each, and the certificate of its API listener."""

    api: str
    metadata: str
    certificate_file: str = ""


class Serving(Record, frozen=True, kw_only=True):
    """The serving machines by host name, as of their last start; in order of change, the newest last."""

    nodes: dict[str, Node] = {}
