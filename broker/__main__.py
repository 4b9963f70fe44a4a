"""`broker COMMAND …`: imports the command and runs it."""

import sys
from importlib import import_module

from broker.commands.parsers import COMMANDS, parser_of


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status. Without a command, and for `help`, it explains itself."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["help"]:
        arguments = [*(one for one in arguments[1:] if one != "help"), "--help"]
    # Only the chosen command is imported: `broker keys` starts without importing the server.
    parser = parser_of(arguments[:1])
    chosen = parser.parse_args(arguments)
    chosen.arguments, chosen.needs_direct = arguments, ""
    if chosen.command is None:
        parser.print_help()
        return 0
    file, _ = COMMANDS[chosen.command]
    try:
        return _flushed(chosen.command, int(import_module(f"broker.commands.{file}").run(chosen)))
    except BrokenPipeError:  # the reader of the output has ended, as with `| head`
        return _flushed(chosen.command, 0)
    except KeyboardInterrupt:
        return 130  # a shell's exit status for a process that SIGINT ended
    except OSError as error:
        from broker.causes import explained
        from broker.commands.refusing import NO_ANSWER, failed

        failed(f"broker {chosen.command}", explained(error), NO_ANSWER)
        return _flushed(chosen.command, NO_ANSWER)
    except Exception:  # noqa: BLE001  a fault of ours must not look like a refusal, whose status is 1
        import traceback

        traceback.print_exc()
        return 3


def _flushed(command: str, status: int) -> int:
    """Write what is left of the output; `status`, or 3 where that fails."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        from broker.causes import cause_of
        from broker.commands.refusing import NO_ANSWER, failed
        from broker.commands.showing import discard_output

        discard_output()
        if not isinstance(error, BrokenPipeError):
            return failed(f"broker {command}", f"the output cannot be written: {cause_of(error)}", NO_ANSWER)
    return status


if __name__ == "__main__":
    sys.exit(main())
