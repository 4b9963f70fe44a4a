"""What anybody may send: the caller is nobody whom the policy names, and no key has a value that is somebody's.

A condition limits access to somebody where it compares one of the keys below with a fixed value: an account, a network,
a source. Such values are taken away; whatever is allowed without them is allowed to anybody. A value with wildcards is
fixed only where the account, or the organization, stands before them. S3 developer guide, "The meaning of public".
"""

import re
from typing import Final

from broker.policy.elements import Policy
from broker.policy.operands import Network, read_network
from broker.policy.solver.keys import ADDRESSES, IsExcluded, KeyCondition

_LIMITING: Final = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpcarn",
        "aws:sourcevpce",
        "aws:userid",
        "aws:vpceaccount",
        "aws:vpceorgid",
        "aws:vpceorgpaths",
        "aws:vpcsourceip",
        "kms:calleraccount",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    }
)
# Nobody but a service of AWS, or of EFS's mount targets, can make these true.
PUBLIC_VALUES: Final[dict[str, str | None]] = {
    "aws:principalisawsservice": "false",
    "aws:viaawsservice": "false",
    "elasticfilesystem:accessedviamounttarget": "false",
}
_FIXED_START = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.*|o-[a-z0-9]{10,32}/.*", re.DOTALL)
# Addresses of which all networks of a key together may have so many: by version, a part of all.
_SIZES: Final = {4: 1 << 26, 6: 1 << 100}


def public_values(policy: Policy, knows_variables: bool) -> IsExcluded:
    """A function that says whether a value of a key is somebody's, by the values that `policy` compares it with."""
    networks: dict[str, dict[Network, None]] = {}
    for statement in policy.statements:
        for condition in statement.conditions:
            one = KeyCondition(condition, False, knows_variables)
            if one.family == ADDRESSES and one.key in _LIMITING:
                found = [network for value in condition.values if (network := read_network(value))]
                networks.setdefault(one.key, {}).update(dict.fromkeys(found))
    narrow = {key for key, found in networks.items() if _are_narrow(found)}

    def is_excluded(one: KeyCondition, value: str) -> bool:
        if one.key not in _LIMITING or (one.family == ADDRESSES and one.key not in narrow):
            return False
        fixed = [wanted for wanted in one.condition.values if _is_fixed(wanted)]
        return bool(fixed) and one.operand(fixed).matches(value, {}) is True

    return is_excluded


def _is_fixed(value: str) -> bool:
    if "${" in value:
        return False
    return ("*" not in value and "?" not in value) or _FIXED_START.fullmatch(value) is not None


def _are_narrow(networks: dict[Network, None]) -> bool:
    sizes = {4: 0, 6: 0}
    for version, _, mask in networks:
        sizes[version] += (1 << {4: 32, 6: 128}[version]) - mask
    return all(sizes[version] <= most for version, most in _SIZES.items())
