"""What tests of Pod Identity share: an account with a cluster, a node that may ask for pods, and a role for them."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.conftest import ROOT, Account, Keys, Server
from tests.e2e.scenes import allow, document, new_user
from tests.kubernetes import AUDIENCE, KubernetesCluster, Pod

TRUST: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"Service": AUDIENCE},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}


def apply(server: Server, folder: Path, declaration: dict[str, Any]) -> None:
    file = folder / "declared.yaml"
    file.write_text(json.dumps(declaration))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    command = [sys.executable, "-m", "broker", "apply", str(file)]
    done = subprocess.run(
        command, cwd=ROOT, env={**plain, **server.settings}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class PodScene:
    """The account, its cluster, and the keys of its nodes."""

    server: Server
    account: Account
    cluster: KubernetesCluster
    node: Keys

    @property
    def eks(self) -> Any:
        return self.server.client("eks", self.account.root)

    @property
    def cluster_arn(self) -> str:
        return f"arn:aws:eks:us-east-1:{self.account.account_id}:cluster/{self.cluster.name}"

    def new_role(self, name: str, *statements: dict[str, Any]) -> str:
        """A role that trusts Pod Identity, or whom the statements say, and may list users."""
        iam = self.server.client("iam", self.account.root)
        trust = document(*(statements or (TRUST,)))
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(allow("iam:ListUsers")))
        return arn

    def associate(
        self, role_arn: str, service_account: str = "web", namespace: str = "apps", **options: Any
    ) -> dict[str, Any]:
        found: dict[str, Any] = self.eks.create_pod_identity_association(
            clusterName=self.cluster.name,
            namespace=namespace,
            serviceAccount=service_account,
            roleArn=role_arn,
            **options,
        )["association"]
        return found

    def assume(self, pod: Pod, *, token: str | None = None, **options: Any) -> dict[str, Any]:
        """As the agent of a node asks for the pod."""
        answer: dict[str, Any] = self.server.client("eks-auth", self.node).assume_role_for_pod_identity(
            clusterName=self.cluster.name, token=token or self.cluster.token(pod), **options
        )
        return answer


def keys_of(answer: dict[str, Any]) -> Keys:
    given = answer["credentials"]
    return Keys(given["accessKeyId"], given["secretAccessKey"], given["sessionToken"])


def new_scene(
    server: Server, account: Account, folder: Path, cluster: KubernetesCluster | None = None, **options: Any
) -> PodScene:
    cluster = cluster or KubernetesCluster()
    declared = {"issuer": cluster.issuer, "keys": cluster.key_set, **options}
    apply(server, folder, {"accounts": {account.account_id: {"clusters": {cluster.name: declared}}}})
    node = new_user(server, account, "node", allow("eks-auth:AssumeRoleForPodIdentity"))
    return PodScene(server, account, cluster, node)
