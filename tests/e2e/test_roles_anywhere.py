"""IAM Roles Anywhere: boto3 manages it, workloads sign CreateSession with their certificates."""

import pytest

from tests.e2e.conftest import Account, Server
from tests.e2e.roles_anywhere import Anywhere, create_session, session_keys
from tests.workload_certificates import authority, workload


@pytest.mark.parametrize("kind", ["rsa", "ec", "p-384", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_a_certificate_is_traded_for_credentials_of_a_role(
    server: Server, account: Account, kind: str
) -> None:
    root = authority(kind=kind)
    between = authority("between", kind, issuer=root)
    scene = Anywhere.of(server, account, root)
    own = workload(between, "build-agent", kind)
    status, answer = create_session(scene, own, chain=[between])
    assert status == 201, answer
    (given,) = answer["credentialSet"]
    serial = f"{own.certificate.serial_number:x}"
    assert given["sourceIdentity"] == "CN=build-agent"
    assert given["assumedRoleUser"]["arn"].rpartition("/")[2] == serial.zfill(len(serial) + len(serial) % 2)
    keys = session_keys(answer)
    who = server.client("sts", keys).get_caller_identity()
    assert who["Arn"] == given["assumedRoleUser"]["arn"]
