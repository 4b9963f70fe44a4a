"""Refusals of Organizations that several operations share, in AWS's words where they are known to us."""

from broker.errors import Refusal


def not_in_use() -> Refusal:
    return Refusal("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")


def no_permission() -> Refusal:
    """For member accounts, whatever their own policies allow."""
    return Refusal("AccessDeniedException", "You don't have permissions to access this resource.")


def missing(what: str, code: str = "") -> Refusal:
    """`OrganizationalUnitNotFoundException` of "organizational unit"."""
    named = code or "".join(word[:1].upper() + word[1:] for word in what.split())
    article = "an" if what[0] in "aeiou" else "a"
    return Refusal(f"{named}NotFoundException", f"You specified {article} {what} that doesn't exist.")


def constraint(reason: str, message: str) -> Refusal:
    return Refusal("ConstraintViolationException", message, members={"Reason": reason})


def invalid_input(reason: str, message: str) -> Refusal:
    return Refusal("InvalidInputException", message, members={"Reason": reason})
