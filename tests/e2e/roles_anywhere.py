"""A role, a trust anchor and a profile; and CreateSession as a workload sends it."""

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.e2e.conftest import REGION, Account, Keys, Server
from tests.e2e.scenes import new_role
from tests.workload_certificates import Issued, Signing

ACTIONS = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
_numbers = count(1)


def trusting(**condition: Any) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    principal = {"Service": "rolesanywhere.amazonaws.com"}
    return {"Effect": "Allow", "Principal": principal, "Action": list(ACTIONS), **more}


@dataclass(frozen=True)
class Anywhere:
    """What a workload needs to know."""

    server: Server
    account: Account
    client: Any
    trust_anchor_arn: str
    profile_arn: str
    role_arn: str

    @classmethod
    def of(
        cls,
        server: Server,
        account: Account,
        root: Issued,
        trust: dict[str, Any] | None = None,
        **profile: Any,
    ) -> "Anywhere":
        client = server.client("rolesanywhere", account.root)
        role_arn = new_role(server, account, f"workload-{next(_numbers)}", trust or trusting())
        anchor = client.create_trust_anchor(
            name="anchor",
            enabled=True,
            source={"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": root.pem}},
        )["trustAnchor"]
        made = client.create_profile(
            **{"name": "profile", "enabled": True, "roleArns": [role_arn], **profile}
        )["profile"]
        return cls(server, account, client, anchor["trustAnchorArn"], made["profileArn"], role_arn)

    @property
    def arns(self) -> dict[str, str]:
        return {
            "profileArn": self.profile_arn,
            "roleArn": self.role_arn,
            "trustAnchorArn": self.trust_anchor_arn,
        }


def sent(server: Server, signing: Signing) -> tuple[int, dict[str, Any]]:
    """Status and answer of what is signed."""
    return sent_parts(server, *signing.request())


def sent_parts(server: Server, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(server.api, timeout=20)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        return answer.status, {**found, "request id": answer.headers["x-amzn-RequestId"]}
    finally:
        connection.close()


def create_session(
    scene: Anywhere, own: Issued, *, chain: Sequence[Issued] = (), **more: Any
) -> tuple[int, dict[str, Any]]:
    """As the credential helper does: the ARNs are in the query string."""
    signing = Signing(scene.server.api, own, chain, REGION, scene.arns, more)
    return sent(scene.server, signing)


def session_keys(answer: dict[str, Any]) -> Keys:
    given = answer["credentialSet"][0]["credentials"]
    return Keys(given["accessKeyId"], given["secretAccessKey"], given["sessionToken"])
