"""Reads `config/federation.md`: its pages, the blocks of each, and what their commands register.

A block that bears a file's name behind its language is that file; the blocks of `sh` are commands.
"""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).parents[1] / "config" / "federation.md"
ACCOUNT = "111111111111"

_blocks = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL).finditer


@dataclass(frozen=True)
class Block:
    language: str
    file: str  # empty where it is none
    text: str


@dataclass(frozen=True)
class Page:
    title: str
    text: str

    @property
    def blocks(self) -> list[Block]:
        return [Block(found[1], found[2] or "", found[3]) for found in _blocks(self.text)]

    @property
    def files(self) -> dict[str, str]:
        return {block.file: block.text for block in self.blocks if block.file}

    @property
    def scripts(self) -> list[str]:
        return [block.text for block in self.blocks if block.language == "sh"]

    def commands(self, *beginning: str) -> list[dict[str, list[str]]]:
        """The options of each command that begins so."""
        lines = [line for script in self.scripts for line in script.replace("\\\n", " ").splitlines()]
        words = [shlex.split(line) for line in lines]
        return [_options(one[len(beginning) :]) for one in words if one[: len(beginning)] == list(beginning)]

    @property
    def provider(self) -> tuple[str, list[str]] | None:
        """URL and client ids of the provider that the page registers; None where it registers none."""
        found = self.commands("aws", "iam", "create-open-id-connect-provider")
        return (found[0]["--url"][0], found[0]["--client-id-list"]) if found else None

    @property
    def role(self) -> tuple[str, dict[str, Any]]:
        """Name and trust policy of the role that the page makes."""
        (options,) = self.commands("aws", "iam", "create-role")
        file = options["--assume-role-policy-document"][0].removeprefix("file://")
        return options["--role-name"][0], json.loads(self.files[file])


def pages() -> dict[str, Page]:
    """By title."""
    parts = re.split(r"^## (.+)$", GUIDE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {title: Page(title, text) for title, text in zip(parts[::2], parts[1::2], strict=True)}


def _options(words: list[str]) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            values = options.setdefault(word, [])
        else:
            values.append(word)
    return options
