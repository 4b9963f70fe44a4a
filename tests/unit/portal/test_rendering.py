"""Templates and words belong together, and a duration reads as people say it."""

import re
from pathlib import Path

import pytest

import broker.portal
from broker.portal.rendering import _environment, compile_page, shown_ago, shown_duration, texts_of

ROOM = Path(broker.portal.__file__).parent
PAGES = [path.stem for path in sorted((ROOM / "texts").glob("*.toml"))]
CONSOLE_PAGES = [path.stem for path in sorted((ROOM / "texts" / "console").glob("*.toml"))]


@pytest.mark.parametrize("name", [one for one in PAGES if one != "frame"])
def test_every_word_of_a_page_is_used_and_every_used_word_is_there(name: str) -> None:
    text = (ROOM / "templates" / f"{name}.html").read_text()
    code = "".join(path.read_text() for path in ROOM.glob("*.py"))
    used = set(re.findall(r"\btext\.(\w+)", text))
    used |= set() if "block title" in text else {"title"}
    used |= set(re.findall(rf'texts_of\("{name}"\)\.(\w+)', code))
    assert set(vars(texts_of(name))) == used


@pytest.mark.parametrize("name", CONSOLE_PAGES)
def test_every_word_of_a_page_of_the_console_is_used_by_it_or_by_a_part_of_it(name: str) -> None:
    templates = ROOM / "templates" / "console"
    own = (templates / f"{name}.html").read_text()
    imported = [*re.findall(r'import "console/(\w+)\.html"', own), "parts"]
    parts = "".join((templates / f"{one}.html").read_text() for one in imported if f"{one}." in own)
    words = set(vars(texts_of(f"console/{name}")))
    used = (
        {*re.findall(r"\b(?:row_|change_)?text\.(\w+)", own), "title"}
        if name.endswith("_rows") or name == "what_changes"
        else {
            *re.findall(r"\btext\.(\w+)", own),
            "title",
        }
    )
    assert used - {"title"} <= words
    assert words - used - set(re.findall(r"\btext\.(\w+)", parts)) == set()


def test_every_word_of_the_frame_is_used() -> None:
    used = set(
        re.findall(r"\bwords\.(\w+)", "".join(p.read_text() for p in (ROOM / "templates").rglob("*.html")))
    )
    assert set(vars(texts_of("frame"))) == used


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(900, "15 minutes"), (60, "1 minute"), (3600, "1 hour"), (43_200, "12 hours"), (5400, "90 minutes")],
)
def test_a_duration_is_in_whole_hours_where_it_can_be(seconds: int, shown: str) -> None:
    assert shown_duration(seconds) == shown


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (1000, "just now"),
        (941, "just now"),
        (940, "1 minute ago"),
        (1000 - 7200, "2 hours ago"),
        (1000 - 40 * 86400, "1 month ago"),
        (1000 + 3 * 86400, "in 3 days"),
    ],
)
def test_a_moment_is_told_from_now(moment: int, shown: str) -> None:
    assert shown_ago(moment, 1000) == shown


async def test_a_page_is_compiled_in_a_thread_with_all_that_it_names() -> None:
    """Compiling holds the event loop for tens of milliseconds; rendering then compiles nothing."""
    environment = _environment()
    assert environment.cache is not None
    environment.cache.clear()
    await compile_page("console/overview")
    compiled = {name for _, name in environment.cache}
    assert {"console/overview.html", "console/room.html", "room.html", "base.html"} <= compiled
