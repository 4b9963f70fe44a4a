"""`broker policy check` with a solver: new access, access that may not be granted, public access."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from broker.commands.refusing import DONE, REFUSED, WrongUse, printable, read_text
from broker.policy import PolicyKind
from broker.policy.solver import (
    WITH_PRINCIPALS,
    CheckAnswer,
    CheckedAccess,
    CustomCheck,
    UnreadableParameter,
    check_policy,
    has_solver,
)


def check_access(chosen: argparse.Namespace, kind: PolicyKind, text: str) -> int:
    """Prints the answer of each check that was asked for; 1 where one fails. Raises WrongUse."""
    status = DONE
    for check in _checks(chosen, kind, text):
        if not has_solver():
            raise WrongUse("these checks need a package that is not installed: pip install 'broker[solver]'")
        try:
            answer = check_policy(check)
        except UnreadableParameter as error:
            raise WrongUse(f"{_SOURCES.get(error.parameter, error.parameter)}: {error}") from None
        _print(chosen.file, answer)
        status = status if answer.has_passed else REFUSED
    return status


_SOURCES = {"existingPolicyDocument": "--no-new-access", "access": "--not-granted"}


def _checks(chosen: argparse.Namespace, kind: PolicyKind, text: str) -> Iterator[CustomCheck]:
    if chosen.no_public_access and kind not in WITH_PRINCIPALS:
        raise WrongUse("--no-public-access is for policies that name principals: --kind resource, or trust")
    existing: Path | None = chosen.no_new_access
    if existing is not None and str(existing) == str(chosen.file) == "-":
        raise WrongUse("only one of the two policies can come from standard input")
    if existing is not None:
        yield CustomCheck(CheckedAccess.NEW, kind, text, read_text(existing))
    if chosen.not_granted or chosen.not_granted_on:
        actions, resources = tuple(chosen.not_granted), tuple(chosen.not_granted_on)
        yield CustomCheck(CheckedAccess.GRANTED, kind, text, actions=actions, resources=resources)
    if chosen.no_public_access:
        yield CustomCheck(CheckedAccess.PUBLIC, kind, text)


def _print(file: Path, answer: CheckAnswer) -> None:
    print(printable(f"{file}: {answer.message}"))
    for reason in answer.reasons:
        print(printable(f"  {reason.description}"))
