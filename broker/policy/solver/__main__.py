"""One policy check as a program of its own: `python -m broker.policy.solver`, a CustomCheck as JSON on standard input.

It prints a CheckAnswer, or a ParameterFault, as JSON. The process has no keys and no store, and a bound on its time and
memory, so a check can neither hold up the broker nor bring it down. It is started by `broker.app.check_processes`.
"""

import resource
import sys

import msgspec

from broker.policy.solver.checks import (
    CheckAnswer,
    CustomCheck,
    ParameterFault,
    UnreadableParameter,
    check_policy,
)

_MOST_SECONDS = 12
_MOST_BYTES = 2 << 30


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    check = msgspec.json.decode(sys.stdin.buffer.read(), type=CustomCheck)
    sys.stdout.buffer.write(msgspec.json.encode(_answered(check)))


def _answered(check: CustomCheck) -> CheckAnswer | ParameterFault:
    try:
        return check_policy(check)
    except UnreadableParameter as error:
        return ParameterFault(error.parameter, str(error))


if __name__ == "__main__":
    main()
