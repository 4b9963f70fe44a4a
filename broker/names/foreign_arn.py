"""ARNs of foreign resources: those of other services, for which the broker decides and keeps resource policies.

Law, tested by `tests/unit/names/test_foreign_arn.py`:
- An ARN has one owner: the account in it; where it names none, the account that the name was given to.
- A name without an account is whole (`arn:aws:s3:::bucket`): no other account can own what lies below it.
- What lies below a resource is covered by it: `arn:aws:s3:::bucket/key` by the bucket.
"""

import re

from broker.names.arn import PARTITION, Arn, is_account_id, parse_arn

# How deep a resource that has a policy may lie; so many look-ups a decision needs at most, and one.
MOST_LEVELS = 8
LONGEST_ARN = 200  # bytes; keys that differ behind them have no order in a list (`broker.paging`)

# What the broker itself is: its own records say whose these are, and who may do what with them.
OWN_SERVICES = frozenset(
    ("iam", "sts", "organizations", "broker", "sso", "sso-oauth", "signin", "access-analyzer", "cloudtrail")
)

_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,62}").fullmatch
_REGION = re.compile(r"[a-z0-9-]{0,32}").fullmatch
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
# No wildcard and no variable: the ARN is a name.
_RESOURCE = re.compile(r"[^ *?$]+").fullmatch


def parse_foreign_arn(text: str) -> Arn:
    """The ARN of a resource that may be owned and have a policy; raises ValueError, with a sentence, for others."""
    arn = parse_arn(text)
    if len(text) > LONGEST_ARN or not (text.isascii() and text.isprintable()):
        raise ValueError(f"the ARN of a resource with a policy is ASCII, of at most {LONGEST_ARN} characters")
    if arn.partition != PARTITION:
        raise ValueError(f"the partition of the ARN has to be {PARTITION}")
    if _SERVICE(arn.service) is None or _REGION(arn.region) is None:
        raise ValueError("service and region of the ARN are small letters, digits and hyphens")
    if arn.service in OWN_SERVICES:
        raise ValueError(f"resources of {arn.service} are the broker's own")
    if _RESOURCE(arn.resource) is None:
        raise ValueError("the ARN has to name one resource: no wildcard, no variable, no space")
    _check_owner(arn)
    return arn


def _check_owner(arn: Arn) -> None:
    if arn.account:
        if not is_account_id(arn.account):
            raise ValueError("the account of the ARN has twelve digits, or is left out")
        if arn.resource.count("/") > MOST_LEVELS:
            raise ValueError(f"the resource lies at most {MOST_LEVELS} levels deep")
        return
    if "/" in arn.resource:
        raise ValueError("an ARN without an account names a whole resource: it has no slash")
    if arn.service == "s3" and (_BUCKET(arn.resource) is None or ".." in arn.resource or arn.region):
        raise ValueError(f"{arn.resource} is not the name of a bucket")


def covering_arns(text: str) -> tuple[str, ...]:
    """The ARNs whose policies speak of this one: its own, and those that it lies below; () for what is no ARN.

    Of an ARN without an account only the whole resource.
    """
    try:
        arn = parse_arn(text)
    except ValueError:
        return ()
    first, *rest = arn.resource.split("/", MOST_LEVELS + 1)
    covering = [text[: len(text) - len(arn.resource)] + first]
    if arn.account:
        for level in rest[:MOST_LEVELS]:
            covering.append(f"{covering[-1]}/{level}")
    return tuple(covering)
