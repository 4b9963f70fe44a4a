"""`broker completion`: what a shell needs to complete commands and options."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

DESCRIPTION = """\
Print a script that completes `broker` in a shell.

  broker completion bash >> ~/.bash_completion
  broker completion zsh > ~/.zsh/completions/_broker           a folder of fpath
  broker completion fish > ~/.config/fish/completions/broker.fish
"""
SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True)
class Completed:
    """What may follow the words `path`; each with its sentence."""

    path: tuple[str, ...]
    actions: dict[str, str]
    options: dict[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=SHELLS)


def run(chosen: argparse.Namespace) -> int:
    """0 with the script."""
    from broker.commands.parsers import whole_parser

    scripts = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
    print(scripts[chosen.shell](list(completed(whole_parser()))), end="")
    return 0


def completed(parser: argparse.ArgumentParser) -> Iterator[Completed]:
    """What may follow each command and action, and `help` before them."""
    for one in _completed(parser):
        below = one.actions if one.path else {**one.actions, "help": "Explain a command."}
        yield Completed(one.path, below, one.options)
        yield Completed(("help", *one.path), one.actions, {})


def _completed(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Completed]:
    """From the parsers themselves."""
    actions: dict[str, str] = {}
    options: dict[str, str] = {}
    below: list[tuple[str, argparse.ArgumentParser]] = []
    for one in parser._actions:
        if isinstance(one, argparse._SubParsersAction):
            sentences = {choice.dest: choice.help or "" for choice in one._choices_actions}
            actions |= {name: sentences.get(name, "") for name in one.choices}
            below += one.choices.items()
        elif one.option_strings:
            options[one.option_strings[-1]] = (one.help or "").replace("%%", "%")
        elif one.choices:
            actions |= {str(choice): "" for choice in one.choices}
    yield Completed(path, actions, options)
    for name, parser_below in below:
        yield from _completed(parser_below, (*path, name))


def bash_script(table: list[Completed]) -> str:
    rows = "".join(
        f"        '{' '.join(one.path)}') words='{' '.join([*one.actions, *one.options])}' ;;\n"
        for one in table
    )
    return f"""\
# Completion of `broker` for bash.
_broker() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} path='' word words=''
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $word in -*) break ;; *) path=${{path:+$path }}$word ;; esac
    done
    case $path in
{rows}        *) return ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _broker broker
"""


def zsh_script(table: list[Completed]) -> str:
    rows = "".join(f"        '{' '.join(one.path)}') choices=({_zsh_choices(one)}) ;;\n" for one in table)
    return f"""\
#compdef broker
# Completion of `broker` for zsh.
_broker() {{
    local typed='' word
    local -a choices
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case $word in -*) break ;; *) typed=${{typed:+$typed }}$word ;; esac
    done
    case $typed in
{rows}        *) _files; return ;;
    esac
    _describe -V 'broker' choices
    [[ $words[CURRENT] == -* ]] || _files
}}
_broker "$@"
"""


def _zsh_choices(one: Completed) -> str:
    return " ".join(
        f"'{name}:{_in_quotes(sentence)}'" if sentence else f"'{name}'"
        for name, sentence in {**one.actions, **one.options}.items()
    )


def fish_script(table: list[Completed]) -> str:
    lines = ["# Completion of `broker` for fish."]
    for one in table:
        condition = " ".join(["__fish_broker_path", *one.path])
        for name, sentence in one.actions.items():
            lines.append(f"complete -c broker -n '{condition}' -a '{name}' -d '{_in_quotes(sentence)}'")
        for name, sentence in one.options.items():
            kind = f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
            lines.append(f"complete -c broker -n '{condition}' {kind} -d '{_in_quotes(sentence)}'")
    return "\n".join([_FISH_PATH, *lines, ""])


_FISH_PATH = """\
function __fish_broker_path
    set -l words
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; and break
        set -a words $word
    end
    test "$words" = "$argv"
end"""


def _in_quotes(text: str) -> str:
    """A sentence between single quotes: without what would end them."""
    return " ".join(text.replace("'", "\u2019").replace("\\", "/").replace(":", " -").split())
