"""Amazon Resource Names: `arn:partition:service:region:account:resource`."""

import re

import msgspec

_is_role = re.compile(r"arn:[^:]+:iam:[^:]*:([0-9]{12}):role/(?:.*/)?([^/]*)", re.DOTALL).fullmatch

PARTITION = "aws"
# The account part of ARNs that AWS itself owns, such as those of AWS managed policies.
AWS_ACCOUNT = "aws"
# The beginning of every ARN of the two services; they are global, so the region is empty.
IAM, STS = f"arn:{PARTITION}:iam::", f"arn:{PARTITION}:sts::"


class Arn(msgspec.Struct, frozen=True):
    """The six parts of an ARN; `resource` keeps its own colons and slashes."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse_arn(text: str) -> Arn:
    """Split `text` into its parts; raises ValueError where it is no ARN."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
        raise ValueError(f"{text!r} is not an ARN")
    _, partition, service, region, account, resource = parts
    return Arn(partition, service, region, account, resource)


def iam_arn(account: str, resource: str) -> str:
    """The ARN of an IAM resource: IAM is global, so the region is empty."""
    return f"{IAM}{account}:{resource}"


def account_of_role_arn(text: str) -> str:
    """The account in the ARN of a role, whether or not there is such a role; raises ValueError."""
    found = _is_role(text)
    if found is None:
        raise ValueError(f"{text} is invalid")
    return found[1]


def sts_arn(account: str, resource: str) -> str:
    """The ARN of a session (`assumed-role/…`, `federated-user/…`)."""
    return f"{STS}{account}:{resource}"


def is_account_id(text: str) -> bool:
    """Twelve ASCII digits."""
    return len(text) == 12 and text.isascii() and text.isdigit()


def analyzer_arn(region: str, account: str, name: str) -> str:
    return f"arn:aws:access-analyzer:{region}:{account}:analyzer/{name}"


def roles_anywhere_arn(region: str, account: str, resource: str) -> str:
    return f"arn:aws:rolesanywhere:{region}:{account}:{resource}"


def trail_arn(region: str, account: str, name: str) -> str:
    return f"arn:aws:cloudtrail:{region}:{account}:trail/{name}"
