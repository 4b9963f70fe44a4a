"""Paths have one reading, or none."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.authorize.paths import LONGEST_PATH, path_segments


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/", ("",)),
        ("/a", ("a",)),
        ("/a/b/", ("a", "b", "")),
        ("/a%20b", ("a b",)),
        ("/caf%C3%A9", ("café",)),
        ("/caf%c3%a9", ("café",)),
        ("/...", ("...",)),
        ("/a.b/.hidden", ("a.b", ".hidden")),
        ("/a:b@c,d=e", ("a:b@c,d=e",)),
    ],
)
def test_a_path_with_one_reading_is_taken(path, segments):
    assert path_segments(path) == segments


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "//",
        "//a",
        "/a//b",
        "/a//",
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/%2e%2e/a",
        "/.%2e/a",
        "/%2E",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%00",
        "/a%0a",
        "/a%7f",
        "/%61",
        "/a%252fb",
        "/a%25b",
        "/a;b",
        "/..;/b",
        "/a%3bb",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a b",
        "/a\x00b",
        "/é",
        "/%ff",
        "/%c0%af",
        "/a<b",
        '/a"b',
        "/a#b",
        "/a?b",
        "/" + "a" * LONGEST_PATH,
    ],
)
def test_a_path_with_more_than_one_reading_is_refused(path):
    with pytest.raises(ValueError):
        path_segments(path)


@given(st.text(max_size=12))
def test_what_is_taken_is_what_its_segments_are_encoded_to(text):
    try:
        segments = path_segments(f"/{quote(text, safe='/!$&()*+,=:@~')}")
    except ValueError:
        return
    encoded = "/" + "/".join(quote(one, safe="!$&'()*+,=:@~") for one in segments)
    assert path_segments(encoded) == segments
    assert "".join(segments) == text.replace("/", "")


@given(st.text(alphabet="a./%2eEfF;\\", max_size=12))
def test_no_accepted_path_climbs(text):
    try:
        segments = path_segments(f"/{text}")
    except ValueError:
        return
    assert not {".", ".."} & set(segments)
    assert "" not in segments[:-1]
    assert not any("/" in one or "\\" in one for one in segments)
