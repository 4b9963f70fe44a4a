"""`broker COMMAND …`: imports the command and runs it."""

import sys
from importlib import import_module

from broker.commands.parsers import COMMANDS, parser_of


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status. Without a command, and for `help`, it explains itself."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:2], "--help"]
    # Only the chosen command is imported: `broker keys` starts without importing the server.
    parser = parser_of(arguments[:1])
    chosen = parser.parse_args(arguments)
    if chosen.command is None:
        parser.print_help()
        return 0
    file, _ = COMMANDS[chosen.command]
    try:
        return int(import_module(f"broker.commands.{file}").run(chosen))
    except KeyboardInterrupt:
        return 130  # a shell's exit status for a process that SIGINT ended


if __name__ == "__main__":
    sys.exit(main())
