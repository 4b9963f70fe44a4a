"""EKS Pod Identity with boto3 on the other side: associations, and the credentials of pods."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Account, Server
from tests.e2e.pod_identity import PodScene, keys_of, new_scene
from tests.kubernetes import AUDIENCE, Pod


@pytest.fixture
def scene(server: Server, account: Account, tmp_path: Path) -> PodScene:
    return new_scene(server, account, tmp_path)


def test_a_pod_has_the_role_of_its_service_accounts_association(scene: PodScene) -> None:
    role_arn = scene.new_role("web")
    association = scene.associate(role_arn)
    pod = Pod("web-7d4b9c-abcde")
    answer = scene.assume(pod)
    assert answer["subject"] == {"namespace": "apps", "serviceAccount": "web"}
    assert answer["audience"] == AUDIENCE
    assert answer["podIdentityAssociation"] == {
        "associationArn": association["associationArn"],
        "associationId": association["associationId"],
    }
    identity = scene.server.client("sts", keys_of(answer)).get_caller_identity()
    assert identity["Arn"] == answer["assumedRoleUser"]["arn"]
    assert identity["UserId"] == answer["assumedRoleUser"]["assumeRoleId"]
    assert "/web/eks-" in identity["Arn"]
    assert scene.server.client("iam", keys_of(answer)).list_users()["Users"]
