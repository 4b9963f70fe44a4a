"""Clusters of Kubernetes, and which role pods of a service account have: EKS Pod Identity."""

from broker.storage.records import Record


class TokenReview(Record, frozen=True, kw_only=True):
    """A Kubernetes API server that is asked whether a token is still good.

    `server` is its URL, `certificate_authority` a PEM text or "" for the system's. `token_file` has the token of the
    broker itself there; a file, because Kubernetes renews it.
    """

    server: str
    certificate_authority: str = ""
    token_file: str = ""


class Cluster(Record, frozen=True, kw_only=True):
    """A cluster whose service account tokens are accepted, for the account's associations.

    `keys` is a JWK set as a text; where it is "", keys are fetched from `keys_url`, or by discovery at `issuer`. With a
    `token_review` and neither `keys` nor `keys_url`, the API server alone says whether a token is good.
    `node_tag`: the principal tag in which who asks for a pod has the name of its node; "" where that is not compared.
    `session_seconds`: how long credentials live.
    """

    account_id: str
    cluster_name: str
    region: str = "us-east-1"
    issuer: str
    keys: str = ""
    keys_url: str = ""
    token_review: TokenReview | None = None
    node_tag: str = ""
    session_seconds: int = 21_600
    tags: dict[str, str] = {}
    created_at: int = 0

    @property
    def arn(self) -> str:
        return f"arn:aws:eks:{self.region}:{self.account_id}:cluster/{self.cluster_name}"


class PodIdentityAssociation(Record, frozen=True, kw_only=True):
    """The role of the pods of one service account. `external_id` is for the trust policy of the target role."""

    account_id: str
    cluster_name: str
    region: str
    namespace: str
    service_account: str
    association_id: str
    role_arn: str
    target_role_arn: str = ""
    external_id: str = ""
    disable_session_tags: bool = False
    policy: str = ""
    tags: dict[str, str] = {}
    client_request_token: str = ""
    created_at: int
    modified_at: int

    @property
    def arn(self) -> str:
        place = f"{self.cluster_name}/{self.association_id}"
        return f"arn:aws:eks:{self.region}:{self.account_id}:podidentityassociation/{place}"


class AssociationId(Record, frozen=True, kw_only=True):
    """Which association has an id; so it is found by either name."""

    association_id: str
    cluster_name: str
    namespace: str
    service_account: str


def association_key(cluster_name: str, namespace: str, service_account: str) -> str:
    """No part has a slash: names of Kubernetes are DNS names, and a cluster's name has letters, digits, - and _."""
    return f"{cluster_name}/{namespace}/{service_account}"
