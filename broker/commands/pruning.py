"""What `broker apply --prune` will delete: listed, limited, and asked about before anything is changed."""

import sys
from collections.abc import Iterable

from broker.commands.refusing import CommandRefused
from broker.declaration.attempt import Change

Deletions = frozenset[tuple[str, str]]
_SHOWN = 50


def deletions_of(changes: Iterable[Change]) -> Deletions:
    """Account and text of each change that deletes."""
    return frozenset((change.account, change.text) for change in changes if change.sign == "-")


def require_consent(deletions: Deletions, limit: int, is_agreed: bool) -> None:
    """Asks in the terminal, unless it `is_agreed`. Raises CommandRefused; nothing was changed then."""
    if not deletions:
        return
    count = f"{len(deletions)} deletion{'' if len(deletions) == 1 else 's'}"
    if len(deletions) > limit:
        raise CommandRefused(
            f"{count}, and {limit} are allowed at a time: nothing was changed. "
            "`--dry-run --prune` lists them; --max-deletions allows more"
        )
    if is_agreed:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandRefused(
            f"{count}, and there is no terminal to ask in: nothing was changed. "
            "`--dry-run --prune` lists them; --yes agrees"
        )
    print(f"{count}:", file=sys.stderr)
    for account, text in sorted(deletions)[:_SHOWN]:
        print(f"  - {f'{account}: ' if account else ''}{text}", file=sys.stderr)
    if len(deletions) > _SHOWN:
        print(f"  and {len(deletions) - _SHOWN} more", file=sys.stderr)
    print("Delete? Type yes: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != "yes":
        raise CommandRefused("nothing was changed")


def require_agreed(changes: Iterable[Change], agreed: Deletions) -> None:
    """Raises CommandRefused where more would be deleted than was agreed to: others changed the store meanwhile."""
    more = deletions_of(changes) - agreed
    if more:
        named = ", ".join(sorted(text for _, text in more)[:3])
        raise CommandRefused(
            f"the store was changed meanwhile, and {named} would be deleted as well: run it again"
        )
