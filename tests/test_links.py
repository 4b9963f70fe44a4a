"""What the guides point at exists: links to files and headings, and files that are named in the text."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LISTED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
FILES = frozenset(LISTED.stdout.splitlines())
GUIDES = sorted(name for name in FILES if name.endswith(".md"))

_BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# A path from the root of the repository; `path*` and `path::test` are its beginning.
_NAMED_PATH = re.compile(r"`((?:broker|config|deploy|scripts|tests)/[\w./-]+)")


def prose_of(name: str) -> str:
    return _BLOCK.sub("", (ROOT / name).read_text("utf-8"))


def anchors_of(name: str) -> set[str]:
    """The anchors that GitHub, GitLab and Gitea make of the headings."""
    texts = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose_of(name)))
    return {text.strip().replace(" ", "-") for text in texts}


def exists(path: Path) -> bool:
    name = path.resolve().relative_to(ROOT).as_posix()
    return name in FILES or any(one.startswith(f"{name}/") for one in FILES)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_of_a_guide_leads_to_a_file_and_a_heading_that_exist(guide: str) -> None:
    for link in _LINK.findall(prose_of(guide)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / guide).parent / path if path else ROOT / guide
        assert exists(target), f"{guide} links to {link}"
        if anchor:
            assert anchor in anchors_of(target.resolve().relative_to(ROOT).as_posix()), f"{guide}: {link}"


@pytest.mark.parametrize("guide", [name for name in GUIDES if name != "CHANGELOG.md"])
def test_every_file_that_a_guide_names_by_its_path_exists(guide: str) -> None:
    for path in _NAMED_PATH.findall(prose_of(guide)):
        beginning = path.rstrip("/.")
        known = any(one.startswith(beginning) for one in FILES) or exists((ROOT / guide).parent / beginning)
        assert known, f"{guide} names {path}"


def test_the_headings_of_a_guide_have_the_anchors_of_a_forge() -> None:
    assert "aws-sso-login-and-aws-login" in anchors_of("config/sign-in.md")
