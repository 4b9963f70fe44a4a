"""Checks of the size of policies, against AWS's default quotas ("IAM and AWS STS quotas", Organizations quotas)."""

from collections.abc import Iterator

from broker.policy.document import policy_size
from broker.policy.validation.findings import Find, Issue
from broker.policy.validation.subject import Subject


def longer_than(most: int, what: str, *, counts_space: bool = False) -> Find:
    """A check; `most` is in characters, without white space unless `counts_space`."""

    def find(subject: Subject) -> Iterator[Issue]:
        size = len(subject.text) if counts_space else policy_size(subject.text)
        if size > most:
            yield Issue(subject.root, f"{what} has at most {most} characters; this one has {size}.")

    return find
