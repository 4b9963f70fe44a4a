"""The checks of an assertion: each is noted when it is made, and the first that fails ends the verification."""

import msgspec


class Check(msgspec.Struct, frozen=True):
    """One check, what was found and what was wanted; for the operator. Quotes the assertion, never a secret."""

    name: str
    passed: bool
    found: str = ""
    wanted: str = ""


class CheckFailed(Exception):
    """The verification failed at `check`."""

    def __init__(self, check: Check) -> None:
        wanted = f", wanted {check.wanted}" if check.wanted else ""
        super().__init__(f"{check.name}: found {check.found}{wanted}")
        self.check = check


class Checks:
    """The checks of one verification, in order."""

    def __init__(self) -> None:
        self.made: list[Check] = []

    def require(self, name: str, passed: bool, *, found: object = "", wanted: object = "") -> None:
        """Note the check; raises CheckFailed where it has not passed."""
        check = Check(name, passed, str(found), str(wanted))
        self.made.append(check)
        if not passed:
            raise CheckFailed(check)

    def fail(self, name: str, *, found: object, wanted: object = "") -> CheckFailed:
        """Note that the check failed, and return the error to raise."""
        check = Check(name, False, str(found), str(wanted))
        self.made.append(check)
        return CheckFailed(check)
