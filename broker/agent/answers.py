"""The texts that SDKs read: credentials of containers and pods, credentials of machines."""

from datetime import UTC, datetime

from broker.agent.cache import AgentCredentials
from broker.metadata.texts import json_text


def container_text(credentials: AgentCredentials) -> str:
    """As the ECS agent and the Pod Identity agent answer, `AccountId` included where it is known."""
    members = {
        "RoleArn": credentials.role_arn,
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret.reveal(),
        "Token": credentials.session_token,
        "AccountId": credentials.account_id,
        "Expiration": _time(credentials.expires_at),
    }
    return json_text({name: value for name, value in members.items() if value})


def machine_text(credentials: AgentCredentials) -> str:
    """As `iam/security-credentials/ROLE` is answered."""
    return json_text(
        {
            "Code": "Success",
            "LastUpdated": _time(credentials.issued_at),
            "Type": "AWS-HMAC",
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret.reveal(),
            "Token": credentials.session_token,
            "Expiration": _time(credentials.expires_at),
        }
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
