"""The table of commands, and the parsers of their arguments: files are imported only when they run."""

import argparse
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from broker.version import VERSION

# The command, its file, and the sentence that `broker --help` shows: files are imported only when they run.
COMMANDS = {
    "serve": ("serve", "Serve IAM, STS and the metadata service."),
    "agent": ("agent", "Serve credentials to pods, containers and machines of this node, from a broker."),
    "gateway": ("gateway", "Serve S3 in front of a store, with the accounts and policies of the broker."),
    "apply": (
        "apply",
        "Change the store to what a file declares: accounts, users, roles, policies, instances.",
    ),
    "whoami": ("whoami", "Ask a broker whose credentials these are."),
    "login": ("login", "Sign in with a browser, for SDKs and the AWS CLI."),
    "env": ("env", "Print a profile's credentials as lines for a shell."),
    "assume-role": ("assume_role", "Assume a role: for a shell, as JSON, or to run one command."),
    "export": ("export", "Print the declaration of what is in the store."),
    "import": ("importing", "Turn an export of AWS, MinIO or SeaweedFS into a declaration."),
    "root-key": ("root_key", "Create or rotate the root access key of an account."),
    "root-password": ("root_password", "Set or remove the console password of an account's root user."),
    "keys": ("keys", "List and rotate the keyrings and the master key."),
    "config": ("config", "Check settings; print profiles for ~/.aws/config."),
    "policy": ("policy", "Check policy documents; simulate and explain decisions."),
    "federation": ("federation", "Show each check of a token or a SAML response, and why it is refused."),
    "authorize": ("authorize", "Show what a request behind a proxy is, and why it is allowed or denied."),
    "sessions": ("sessions", "List the sessions that have not expired."),
    "revoke": (
        "revoke",
        "End sessions before they expire: one, or all of a role, a user, an account, a key.",
    ),
    "token": ("token", "Print the claims of a session token."),
    "metadata": ("metadata", "Containers' credentials; the certificate of instance identity documents."),
    "audit": ("audit", "Read the journal."),
    "hygiene": ("hygiene", "List credentials, policies and roles that should be mended."),
    "backup": ("backup", "Copy the store to a file, while it is in use."),
    "restore": ("restore", "Replace the store with a backup."),
    "recount": ("recount", "Count an account's records again, and correct what is kept beside them."),
    "completion": ("completion", "Print a script that completes commands and options in a shell."),
}


# How `broker --help` lists them: what works with credentials alone, and what needs the store or its running broker.
GROUPS = {
    "for users, with credentials and an endpoint": ("whoami", "login", "env", "assume-role"),
    "for operators, to begin": ("serve", "agent", "gateway", "config", "root-key", "root-password"),
    "for operators, on what is in the store": (
        "apply",
        "export",
        "import",
        "policy",
        "federation",
        "authorize",
        "metadata",
        "hygiene",
    ),
    "for operators, on sessions and the journal": ("sessions", "revoke", "token", "audit"),
    "for operators, to keep it running": ("keys", "backup", "restore", "recount"),
    "for the shell": ("completion",),
}

_EPILOG = """\
`broker COMMAND --help`, or `broker help COMMAND`, explains a command. Start with `broker serve --demo`.

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

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Argparse's error, which lists all choices, is long for a slip of the keyboard: name the nearest first."""
        near = get_close_matches(str(value), map(str, action.choices or ()), 1)
        if action.choices is not None and value not in action.choices and near:
            raise argparse.ArgumentError(action, f"there is no {value!r}; did you mean {near[0]!r}?")
        super()._check_value(action, value)


def _listing() -> str:
    """The commands by group, each with its sentence."""
    lines = []
    for title, names in GROUPS.items():
        lines += ["", f"commands {title}:", *(f"  {name:<15}{COMMANDS[name][1]}" for name in names)]
    return "\n".join(lines)


def whole_parser() -> argparse.ArgumentParser:
    """The parser with the arguments of all commands."""
    return parser_of(COMMANDS)


def parser_of(explained: Iterable[str]) -> argparse.ArgumentParser:
    """`explained` are the commands that get their arguments, for which their files are imported."""
    parser = _Parser(
        prog="broker",
        usage="broker [-h] [--version] COMMAND ...",
        description=f"The identity plane of AWS that anyone can run: IAM, STS and instance metadata.\n{_listing()}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"broker {VERSION}")
    # The description lists them; `prog` is what the usage of each begins with.
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", help=argparse.SUPPRESS, prog=parser.prog
    )
    for name, (file, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name in explained:
            import_module(f"broker.commands.{file}").add_arguments(command)
            _describe_actions(command)
    return parser


def _describe_actions(command: argparse.ArgumentParser) -> None:
    """The help of an action that has no text of its own: the sentence of its command's list, and the examples there."""
    for one in command._actions:
        if isinstance(one, argparse._SubParsersAction):
            for listed in one._choices_actions:
                sentence = listed.help or ""
                action = one.choices[listed.dest]
                shown = examples_of(command.description or "", f"{command.prog} {listed.dest}")
                own = action.description or f"{sentence[:1].upper()}{sentence[1:]}."
                if shown and f"  {action.prog}" not in own:
                    action.description = f"{own.rstrip()}\n\n{shown}"
                    action.formatter_class = argparse.RawDescriptionHelpFormatter
                else:
                    action.description = own


def examples_of(description: str, command: str) -> str:
    """The examples of `command` in the help of which it is a part, each with the lines that continue it."""
    lines, goes_on = [], False
    for line in description.splitlines():
        begins = f"{line} ".startswith(f"  {command} ") or f" | {command} " in line
        goes_on = begins or (goes_on and line.startswith("    "))
        if goes_on:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)
