"""`broker COMMAND …`: imports the command and runs it."""

import argparse
import sys
from importlib import import_module
from typing import Any

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
}


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
    parser = _Parser(
        prog="broker",
        description="The identity plane of AWS that anyone can run: IAM, STS and instance metadata.",
        epilog="`broker COMMAND --help` explains a command. Start with `broker serve --demo`.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (file, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        # Only the chosen command is imported: `broker keys` starts without importing the server.
        if name in arguments[:1]:
            import_module(f"broker.commands.{file}").add_arguments(command)
    chosen = parser.parse_args(arguments)
    file, _ = COMMANDS[chosen.command]
    try:
        return int(import_module(f"broker.commands.{file}").run(chosen))
    except KeyboardInterrupt:
        return 130  # a shell's exit status for a process that SIGINT ended


if __name__ == "__main__":
    sys.exit(main())
