"""Forms of browsers as bytes, however they are cut into pieces."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.gateway.forms import LARGEST_FIELDS, read_boundary, read_form

TYPE = "multipart/form-data; boundary=XyZ"


class Pieces:
    def __init__(self, *pieces):
        self.pieces = [piece for piece in pieces if piece]

    async def readany(self):
        return self.pieces.pop(0) if self.pieces else b""


def part(name, value, more=""):
    return f'--XyZ\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def body_of(file, *fields, end=b"--XyZ--\r\n", file_name="a.txt"):
    parts = [part(name, value) for name, value in fields]
    return b"".join(parts) + part("file", file, f'; filename="{file_name}"') + end


async def read(*pieces):
    length = sum(map(len, pieces))
    form = await read_form(Pieces(*pieces), TYPE)
    found = []
    while piece := await form.readany():
        found.append(piece)
    return form.fields, form.file_length(length), b"".join(found)


async def code(*pieces):
    with pytest.raises(Refusal) as refusal:
        await read(*pieces)
    return refusal.value.code


@given(
    st.lists(
        st.binary(max_size=30).map(lambda some: some.replace(b"X", b"x")) | st.just(b"\r\n--Xy"), max_size=5
    ),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_a_form_is_read_alike_however_it_is_cut(parts, cuts):
    file = b"".join(parts)
    assume(b"\r\n--XyZ" not in file)
    whole = body_of(file, ("key", b"a/${filename}"), ("Policy", b"e30="))
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[start:end] for start, end in pairwise(ends)]
    fields, length, found = asyncio.run(read(*pieces))
    assert (fields, length, found) == ({"key": "a/a.txt", "policy": "e30="}, len(file), file)


@pytest.mark.parametrize(
    ("file_name", "key"),
    [
        ("C:\\photos\\x.jpg", "x.jpg"),
        ("/etc/passwd", "passwd"),
        ("a%22b.txt", 'a"b.txt'),
        ('a\\"b', 'a"b'),
        ("", ""),
    ],
)
async def test_the_file_name_is_what_follows_the_last_slash(file_name, key):
    fields, _, _ = await read(body_of(b"", ("key", b"${filename}"), file_name=file_name))
    assert fields["key"] == key


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"preamble\r\n" + body_of(b"x"),
        body_of(b"x")[:-1],
        body_of(b"x")[:-4],
        body_of(b"x") + b"epilogue",
        body_of(b"x", end=part("after", b"1") + b"--XyZ--\r\n"),
        body_of(b"x").replace(b"form-data", b"attachment"),
        body_of(b"x").replace(b'name="file"', b'name="file"; name="key"'),
        body_of(b"x", ("key", b"\xff")),
        body_of(b"x", ("key", b"x")).replace(
            b"\r\n\r\nx", b"\r\nContent-Transfer-Encoding: base64\r\n\r\nx", 1
        ),
        body_of(b"x", ("key", b"x")).replace(b"\r\n\r\n", b"\n\n"),
        b"--XyZ\r\n\r\nx\r\n--XyZ--\r\n",
    ],
)
async def test_what_is_no_form_with_its_file_at_the_end_is_refused(body):
    assert await code(body) == "MalformedPOSTRequest"


async def test_a_form_has_one_file_and_each_field_once():
    assert await code(part("key", b"x") + b"--XyZ--\r\n") == "InvalidArgument"
    assert await code(part("other", b"x", '; filename="x"') + body_of(b"x")) == "InvalidArgument"
    assert await code(body_of(b"x", ("key", b"1"), ("Key", b"2"))) == "InvalidArgument"


async def test_the_fields_in_front_of_the_file_are_bounded():
    large = ("x-ignore-large", b"a" * LARGEST_FIELDS)
    assert await code(body_of(b"x", large)) == "MaxPostPreDataLengthExceeded"
    endless = part("a", b"")[:-2] + b"a" * (LARGEST_FIELDS + 1)
    assert await code(endless) == "MaxPostPreDataLengthExceeded"
    _, length, _ = await read(body_of(b"f" * (2 * LARGEST_FIELDS)))
    assert length == 2 * LARGEST_FIELDS


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=",
     'multipart/form-data; boundary="a\r\nb"',
     f"multipart/form-data; boundary={'a' * 71}", "multipart/mixed; boundary=a"],
)  # fmt: skip
def test_only_a_form_is_a_form(content_type):
    with pytest.raises(Refusal, match="PreconditionFailed"):
        read_boundary(content_type)
    assert read_boundary('multipart/form-data; boundary="a b"') == "a b"
