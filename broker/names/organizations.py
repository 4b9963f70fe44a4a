"""Ids and ARNs of AWS Organizations ("ARN formats supported by Organizations", Service Authorization Reference).

Every ARN names the management account, also that of a member; AWS's own policies name `aws`.
"""

from base64 import b32encode
from hashlib import blake2b

from broker.names.arn import AWS_ACCOUNT

SERVICE_CONTROL_POLICY, RESOURCE_CONTROL_POLICY = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
FULL_AWS_ACCESS, RCP_FULL_AWS_ACCESS = "p-FullAWSAccess", "p-RCPFullAWSAccess"

# How many characters follow the prefix.
_LENGTHS = {"o": 10, "r": 4, "p": 8, "h": 10, "rp": 8, "car": 20}
UNIT_CHARACTERS = 8
ID_ENTROPY = 20


def new_id(prefix: str, entropy: bytes) -> str:
    """`o-a1b2c3d4e5`: lower-case letters and digits, from ID_ENTROPY bytes."""
    return f"{prefix}-{_characters(entropy, _LENGTHS[prefix])}"


def new_unit_id(root_id: str, entropy: bytes) -> str:
    """`ou-ROOT-a1b2c3d4`: the id of a unit has that of its root in it."""
    return f"ou-{root_id.removeprefix('r-')}-{_characters(entropy, UNIT_CHARACTERS)}"


def derived_policy_id(organization_id: str, policy_type: str, name: str) -> str:
    """The id of a policy that was declared by its name: always the same for this name."""
    text = f"{organization_id}\0{policy_type}\0{name}"
    return f"p-{_characters(blake2b(text.encode(), digest_size=ID_ENTROPY).digest(), 12)}"


def _characters(entropy: bytes, length: int) -> str:
    if len(entropy) < ID_ENTROPY:
        raise ValueError(f"an id needs {ID_ENTROPY} bytes of entropy")
    return b32encode(entropy).decode().lower()[:length]


def organizations_arn(management_account: str, resource: str) -> str:
    return f"arn:aws:organizations::{management_account}:{resource}"


def organization_arn(management_account: str, organization_id: str) -> str:
    return organizations_arn(management_account, f"organization/{organization_id}")


def node_arn(management_account: str, organization_id: str, node_id: str) -> str:
    """The ARN of a root, a unit or an account, which its id tells apart."""
    kind = "root" if node_id.startswith("r-") else "ou" if node_id.startswith("ou-") else "account"
    return organizations_arn(management_account, f"{kind}/{organization_id}/{node_id}")


def policy_arn(management_account: str, organization_id: str, policy_type: str, policy_id: str) -> str:
    kind = policy_type.lower()
    if policy_id in (FULL_AWS_ACCESS, RCP_FULL_AWS_ACCESS):
        return organizations_arn(AWS_ACCOUNT, f"policy/{kind}/{policy_id}")
    return organizations_arn(management_account, f"policy/{organization_id}/{kind}/{policy_id}")


def handshake_arn(management_account: str, organization_id: str, handshake_id: str) -> str:
    return organizations_arn(management_account, f"handshake/{organization_id}/invite/{handshake_id}")


def resource_policy_arn(management_account: str, organization_id: str, resource_policy_id: str) -> str:
    return organizations_arn(management_account, f"resourcepolicy/{organization_id}/{resource_policy_id}")
