"""Sections written into ~/.aws/config, where the person has lines of their own."""

import errno
import os
import re
from pathlib import Path
from tempfile import NamedTemporaryFile

_HEADING = re.compile(r"^\s*\[(.+)\]\s*(?:[#;].*)?$")
_KEY = re.compile(r"^([^\s=#;\[][^=]*?)\s*=")
# Sections that only this command writes; in all others the person may have keys of their own.
_WHOLE = ("services ", "sso-session ")


def write_sections(path: Path, block: str) -> bool:
    """Merge `block` into the file, replaced as a whole; whether it changed. Raises OSError, UnicodeDecodeError."""
    path = path.resolve()  # a link stays one
    require_regular(path)
    before = path.read_text("utf-8") if path.exists() else ""
    after = merged(before, block)
    if after == before:
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        try:
            file.write(after)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return True


def require_regular(path: Path) -> None:
    """Raises OSError for what is there and is no file: root would put a file in the place of /dev/null."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file, and nothing else is replaced", str(path))


def merged(text: str, block: str) -> str:
    """`text` with the sections of `block`: keys that both have are the block's; all other lines stay as they are.

    Law: merged(merged(text, block), block) == merged(text, block).
    """
    sections = _sections(text)
    for heading, lines in _sections(block):
        if not heading:
            continue
        at = next((index for index, (name, _) in enumerate(sections) if name == heading), None)
        if at is None:
            _end_with_blank_line(sections)
            sections.append((heading, lines))
        else:
            sections[at] = (heading, _merged_lines(heading, sections[at][1], lines))
    return "".join(line for _, lines in sections for line in lines)


def _sections(text: str) -> list[tuple[str, list[str]]]:
    """Heading and lines, the heading's own first; lines before the first have the heading ""."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines(keepends=True):
        found = _HEADING.match(line)
        if found:
            sections.append((" ".join(found[1].split()), []))
        sections[-1][1].append(line)
    return sections


def _end_with_blank_line(sections: list[tuple[str, list[str]]]) -> None:
    lines = [line for _, lines in sections for line in lines]
    if not lines:
        return
    last = sections[-1][1]
    if not lines[-1].endswith("\n"):
        last[-1] += "\n"
    if lines[-1].strip():
        last.append("\n")


def _merged_lines(heading: str, old: list[str], new: list[str]) -> list[str]:
    end = len(old)
    while end > 1 and not old[end - 1].strip():
        end -= 1  # blank lines before the next section
    blank = old[end:]
    body = [line if line.endswith("\n") else f"{line}\n" for line in old[:end]]
    own = [line for line in new if line.strip()]
    if heading.startswith(_WHOLE):
        return own + blank
    replacements = dict(_entries(own[1:]))
    kept = [body[0]]
    for key, lines in _entries(body[1:]):
        kept += replacements.pop(key, lines) if key else lines
    return kept + [line for lines in replacements.values() for line in lines] + blank


def _entries(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Each key with its lines, nested ones included; comments and blank lines have the key ""."""
    entries: list[tuple[str, list[str]]] = []
    for line in lines:
        found = _KEY.match(line)
        if found:
            entries.append((found[1].lower(), [line]))
        elif entries and entries[-1][0] and line[:1].isspace() and line.strip():
            entries[-1][1].append(line)
        else:
            entries.append(("", [line]))
    return entries
