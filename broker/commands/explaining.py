"""Prints decisions: a table of outcomes, or the explanation of each layer."""

from collections.abc import Iterator

from rich.text import Text

from broker.commands.terminal import console, print_table
from broker.policy import Decision, Effect, LayerExplanation, Match, NearMiss, Outcome, access_denied_message

_STYLES = {
    Outcome.ALLOWED: "green",
    Outcome.IMPLICITLY_DENIED: "yellow",
    Outcome.EXPLICITLY_DENIED: "red",
}
_VERBS = {
    Outcome.ALLOWED: "allows",
    Outcome.IMPLICITLY_DENIED: "does not allow",
    Outcome.EXPLICITLY_DENIED: "denies",
}


def print_decisions(decisions: list[Decision]) -> None:
    rows = [
        [
            decision.request.action,
            decision.request.resource,
            decision.outcome.value,
            "; ".join(_named(match) for match in decision.deciding) or _missing(decision),
        ]
        for decision in decisions
    ]
    styles = {outcome.value: style for outcome, style in _STYLES.items()}
    print_table(["ACTION", "RESOURCE", "DECISION", "BY"], rows, styles)


def print_explanations(decisions: list[Decision]) -> None:
    """For each decision: the outcome, AWS's message where it is a denial, and the outcome of every layer."""
    output = console()
    for decision in decisions:
        request = decision.request
        answer = "ALLOWED" if decision.allowed else "DENIED"
        head = Text(f"{answer}  ", style=f"bold {_STYLES[decision.outcome]}")
        output.print(head + Text(f"{request.action} on {request.resource}", style="bold"))
        output.print(f"  {request.principal.arn}")
        if not decision.allowed:
            output.print(f"  {access_denied_message(request, decision)}")
        for explanation in decision.explain().layers:
            is_deciding = not decision.allowed and explanation.layer is decision.layer
            output.print(_layer_line(explanation, is_deciding))
            for line in _reasons(explanation):
                output.print(f"      {line}")
        output.print()


def _layer_line(explanation: LayerExplanation, is_deciding: bool) -> Text:
    line = Text(f"  {explanation.layer.value:<9} ")
    line.append(_VERBS[explanation.outcome], style=_STYLES[explanation.outcome])
    return line.append("   <- decides", style="bold") if is_deciding else line


def _reasons(explanation: LayerExplanation) -> Iterator[str]:
    for match in explanation.matches:
        yield _named(match)
    for miss in explanation.near_misses:
        yield f"almost: {_named(miss)}, but {miss.operator} on {miss.key} {_wanted(miss)}"
    if explanation.missing_keys:
        yield f"not in the request: {', '.join(explanation.missing_keys)}"


def _wanted(miss: NearMiss) -> str:
    wanted = " or ".join(f'"{value}"' for value in miss.expected)
    had = "nothing" if miss.actual is None else ", ".join(f'"{value}"' for value in miss.actual) or "no value"
    return f"wants {wanted} and the request has {had}"


def _named(one: Match | NearMiss) -> str:
    """`Allow "TakeOnDataReader" (line 4) of user-managed read-data`."""
    statement = one.statement
    effect = "Deny" if statement.effect is Effect.DENY else "Allow"
    sid = f' "{statement.sid}"' if statement.sid else ""
    return f"{effect}{sid} (line {statement.span.line}) of {one.source.kind.value} {one.source.name}"


def _missing(decision: Decision) -> str:
    """The layer that did not allow."""
    return f"no {decision.layer.value} policy allows it" if decision.layer else ""
