"""Principals: identities that may call. A caller is a principal with proof; these are only the names.

`arn` is what GetCallerIdentity and `aws:PrincipalArn`-style keys print, `user_id` is `aws:userid`
(IAM User Guide, "IAM JSON policy elements: variables", table "Principal key values").
"""

import msgspec

from broker.names.arn import STS, iam_arn, sts_arn

POD_IDENTITY = "pods.eks.amazonaws.com"  # the service whose pods have roles, and the audience of their tokens


class Root(msgspec.Struct, frozen=True, tag="root"):
    """The root user of an account."""

    account: str

    @property
    def arn(self) -> str:
        return iam_arn(self.account, "root")

    @property
    def user_id(self) -> str:
        return self.account


class IamUser(msgspec.Struct, frozen=True, tag="user"):
    """An IAM user."""

    account: str
    name: str
    unique_id: str
    path: str = "/"

    @property
    def arn(self) -> str:
        return iam_arn(self.account, f"user{self.path}{self.name}")

    @property
    def user_id(self) -> str:
        return self.unique_id


class AssumedRole(msgspec.Struct, frozen=True, tag="assumed-role"):
    """A session of a role; `role_arn` names the role itself, path included."""

    account: str
    role_name: str
    role_id: str
    session_name: str
    role_path: str = "/"

    @property
    def arn(self) -> str:
        return f"{STS}{self.account}:assumed-role/{self.role_name}/{self.session_name}"

    @property
    def role_arn(self) -> str:
        return iam_arn(self.account, f"role{self.role_path}{self.role_name}")

    @property
    def user_id(self) -> str:
        return f"{self.role_id}:{self.session_name}"


class FederatedUser(msgspec.Struct, frozen=True, tag="federated-user"):
    """A session made by GetFederationToken."""

    account: str
    name: str

    @property
    def arn(self) -> str:
        return sts_arn(self.account, f"federated-user/{self.name}")

    @property
    def user_id(self) -> str:
        return f"{self.account}:{self.name}"


class FederatedSubject(msgspec.Struct, frozen=True):
    """A subject that a provider vouches for; `provider` is what policies call the provider."""

    provider: str
    subject: str

    @property
    def arn(self) -> str:
        return self.provider

    @property
    def user_id(self) -> str:
        return f"{self.provider}:{self.subject}"


class WebIdentity(FederatedSubject, frozen=True, tag="web-identity"):
    """A subject that an OIDC provider vouches for; `provider` is its ARN or its well-known name."""


class SamlSubject(FederatedSubject, frozen=True, tag="saml-subject"):
    """A subject that a SAML provider vouches for; `provider` is its ARN."""


class LdapSubject(FederatedSubject, frozen=True, tag="ldap-subject"):
    """A person of an LDAP directory; `provider` is the directory's name in policies."""


class CertificateSubject(FederatedSubject, frozen=True, tag="certificate-subject"):
    """The holder of a client certificate; `provider` is the name in policies of the authorities that vouch for it."""


class CustomTokenSubject(FederatedSubject, frozen=True, tag="custom-token-subject"):
    """A user whom the operator's identity plugin vouches for; `provider` is the plugin's name in policies."""


class Service(msgspec.Struct, frozen=True, tag="service"):
    """A service principal such as `ec2.amazonaws.com`."""

    name: str

    @property
    def arn(self) -> str:
        return self.name

    @property
    def user_id(self) -> str:
        return self.name


class Anonymous(msgspec.Struct, frozen=True, tag="anonymous"):
    """The principal of a request without proof."""

    @property
    def arn(self) -> str:
        return "anonymous"

    @property
    def user_id(self) -> str:
        return "anonymous"


# Subjects that an identity provider vouches for; they are in no account.
AssertedSubject = WebIdentity | SamlSubject | LdapSubject | CertificateSubject | CustomTokenSubject

Principal = Root | IamUser | AssumedRole | FederatedUser | AssertedSubject | Service | Anonymous


def account_of(principal: Principal) -> str | None:
    """The account a principal belongs to; None for those outside every account."""
    return getattr(principal, "account", None)
