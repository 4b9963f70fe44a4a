"""Templates and words belong together, and a duration reads as people say it."""

import re
from pathlib import Path

import pytest

import broker.portal
from broker.portal.rendering import shown_duration, texts_of

ROOM = Path(broker.portal.__file__).parent
PAGES = [path.stem for path in sorted((ROOM / "texts").glob("*.toml"))]


@pytest.mark.parametrize("name", [one for one in PAGES if one != "frame"])
def test_every_word_of_a_page_is_used_and_every_used_word_is_there(name: str) -> None:
    text = (ROOM / "templates" / f"{name}.html").read_text()
    code = "".join(path.read_text() for path in ROOM.glob("*.py"))
    used = set(re.findall(r"\btext\.(\w+)", text))
    used |= set() if "block title" in text else {"title"}
    used |= set(re.findall(rf'texts_of\("{name}"\)\.(\w+)', code))
    assert set(vars(texts_of(name))) == used


def test_every_word_of_the_frame_is_used() -> None:
    used = set(
        re.findall(r"\bwords\.(\w+)", "".join(p.read_text() for p in (ROOM / "templates").glob("*.html")))
    )
    assert set(vars(texts_of("frame"))) == used


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(900, "15 minutes"), (60, "1 minute"), (3600, "1 hour"), (43_200, "12 hours"), (5400, "90 minutes")],
)
def test_a_duration_is_in_whole_hours_where_it_can_be(seconds: int, shown: str) -> None:
    assert shown_duration(seconds) == shown
