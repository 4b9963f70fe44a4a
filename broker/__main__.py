"""`broker COMMAND …`: imports the command and runs it."""

import argparse
import sys
from importlib import import_module
from typing import Any

from broker.version import VERSION

# The command, its file, and the sentence that `broker --help` shows: files are imported only when they run.
COMMANDS = {
    "serve": ("serve", "Serve IAM, STS and the metadata service."),
    "apply": (
        "apply",
        "Change the store to what a file declares: accounts, users, roles, policies, instances.",
    ),
    "root-key": ("root_key", "Create or rotate the root access key of an account."),
    "root-password": ("root_password", "Set or remove the console password of an account's root user."),
    "keys": ("keys", "List and rotate the keyrings and the master key."),
    "config": ("config", "Check settings; print profiles for ~/.aws/config."),
    "policy": ("policy", "Check policy documents; simulate and explain decisions."),
    "federation": ("federation", "Show each check of a token or a SAML response, and why it is refused."),
    "sessions": ("sessions", "List the sessions that have not expired."),
    "revoke": (
        "revoke",
        "End sessions before they expire: one, or all of a role, a user, an account, a key.",
    ),
    "token": ("token", "Print the claims of a session token."),
    "metadata": ("metadata", "Containers' credentials; the certificate of instance identity documents."),
    "audit": ("audit", "Read the journal."),
    "backup": ("backup", "Copy the store to a file, while it is in use."),
    "restore": ("restore", "Put a backup in the place of the store."),
}


_EPILOG = """\
`broker COMMAND --help` explains a command. Start with `broker serve --demo`.

The exit status of every command:
  0  done; allowed, valid
  1  refused, denied or not valid: nothing was changed
  2  wrong use: an option, a setting, or a file that one of them names
  3  no answer: store, journal, disk, network or output failed; the message says what was done
"""


class _Parser(argparse.ArgumentParser):
    """Refuses unknown arguments with its own usage. The parsers of commands are of this class, too."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Argparse would let the outermost parser refuse them, whose usage does not show the command's options."""
        chosen, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return chosen, unknown


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    chosen = make_parser(arguments).parse_args(arguments)
    chosen.arguments, chosen.needs_direct = arguments, ""
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


def make_parser(arguments: list[str]) -> argparse.ArgumentParser:
    """The parser of the command that the arguments begin with."""
    parser = _Parser(
        prog="broker",
        description="The identity plane of AWS that anyone can run: IAM, STS and instance metadata.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"broker {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (file, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        # Only the chosen command is imported: `broker keys` starts without importing the server.
        if name in arguments[:1]:
            import_module(f"broker.commands.{file}").add_arguments(command)
    return parser


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
