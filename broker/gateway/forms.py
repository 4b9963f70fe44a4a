"""A form of a browser (multipart/form-data, RFC 7578) as it arrives: its fields, then its file, piece by piece.

"POST object" (Amazon S3 API reference): the file is the last field, and what stands before it has at most 20 kB. The
length of the file is known from the length of the body, because nothing but the closing delimiter may follow it.
"""

import asyncio
import re
from collections.abc import Mapping

from broker.errors import Refusal
from broker.gateway.body import SILENT_SECONDS, ByteSource
from broker.gateway.refusals import invalid_argument

LARGEST_FIELDS = 20_000  # bytes in front of the file
_CLOSING = b"--\r\n"

_BOUNDARY = re.compile(
    r'multipart/form-data\s*;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*', re.IGNORECASE
)
# RFC 2046, "bcharsnospace", and the space within.
_is_boundary = re.compile(r"[0-9A-Za-z'()+_,./:=? -]*[0-9A-Za-z'()+_,./:=?-]").fullmatch
_DISPOSITION = re.compile(r'form-data((?:\s*;\s*[a-z*]+=(?:"(?:[^"\\]|\\.)*"|[^\s;"]+))*)\s*', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([a-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary")
# How browsers write what would end a quoted name (HTML, "multipart/form-data encoding algorithm").
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}


class UploadForm:
    """The fields by lower-case name, and the file that follows them. `begun` bytes of the body are in front of it."""

    def __init__(
        self, fields: Mapping[str, str], begun: int, delimiter: bytes, rest: bytes, source: ByteSource
    ) -> None:
        self.fields, self._begun, self._delimiter = fields, begun, delimiter
        self._waiting, self._source, self._has_ended = rest, source, False

    def file_length(self, body_length: int) -> int:
        """Of a body of `body_length` bytes; raises Refusal where there is no room for the end."""
        length = body_length - self._begun - len(self._delimiter) - len(_CLOSING)
        if length < 0:
            raise malformed_form("the body ends before its file does")
        return length

    async def readany(self) -> bytes:
        """The next bytes of the file; none once the form is closed and the body has ended. Raises Refusal."""
        while not self._has_ended:
            end = self._waiting.find(self._delimiter)
            if end >= 0:
                piece, rest = self._waiting[:end], self._waiting[end + len(self._delimiter) :]
                await self._require_closing(rest)
                return piece
            # A delimiter may begin in the last bytes that have arrived.
            certain = len(self._waiting) - len(self._delimiter) + 1
            if certain > 0:
                piece, self._waiting = self._waiting[:certain], self._waiting[certain:]
                return piece
            self._waiting += await self._more()
        return b""

    async def _require_closing(self, rest: bytes) -> None:
        while len(rest) < len(_CLOSING):
            rest += await self._more()
        if rest != _CLOSING or await self._source.readany():
            raise malformed_form("something follows the file")
        self._has_ended = True

    async def _more(self) -> bytes:
        data = await self._source.readany()
        if not data:
            raise malformed_form("the body ends within its file")
        return data


class FieldReader:
    """Reads fields until the file begins: `rest` then has the first bytes of it, and `file_name` the client's name."""

    def __init__(self, boundary: str) -> None:
        self.delimiter = b"\r\n--" + boundary.encode()
        self.fields: dict[str, str] = {}
        self.file_name, self.begun = "", 0
        self._buffer = bytearray(b"\r\n")  # in front of the first delimiter, too

    @property
    def rest(self) -> bytes:
        return bytes(self._buffer)

    def feed(self, data: bytes) -> bool:
        """Whether the file has begun. Raises Refusal."""
        self._buffer += data
        while (taken := self._next_field()) is not None:
            if taken:
                return True
        self._require_small(self.begun + len(self._buffer))
        return False

    def _next_field(self) -> bool | None:
        """Take a field; True where it is the file, None where it has not arrived."""
        start, buffer = len(self.delimiter), self._buffer
        if len(buffer) < start + 2:
            return None
        if not buffer.startswith(self.delimiter) or bytes(buffer[start : start + 2]) not in (b"\r\n", b"--"):
            raise malformed_form("a delimiter is expected")
        if buffer[start : start + 2] == b"--":
            raise one_file()
        ended = buffer.find(b"\r\n\r\n", start)
        if ended < 0:
            return None
        name, file_name = _disposition(bytes(buffer[start + 2 : ended]))
        if name == "file":
            self._take(ended + 4)
            self.file_name = file_name or ""
            return True
        end = buffer.find(self.delimiter, ended + 4)
        if end < 0:
            return None
        self._add(name, file_name, bytes(buffer[ended + 4 : end]))
        self._take(end)
        return False

    def _take(self, length: int) -> None:
        del self._buffer[:length]
        self.begun += length
        self._require_small(self.begun)

    def _require_small(self, length: int) -> None:
        if length > LARGEST_FIELDS + 2:  # the line break that was put in front
            raise Refusal(
                "MaxPostPreDataLengthExceeded",
                "Your POST request fields preceding the upload file were too large.",
            )

    def _add(self, name: str, file_name: str | None, value: bytes) -> None:
        if file_name is not None:
            raise one_file()
        if name in self.fields:
            raise invalid_argument(f"The form field {name[:64]} must not be repeated.")
        try:
            self.fields[name] = value.decode()
        except UnicodeDecodeError:
            raise malformed_form("a field is not UTF-8") from None


async def read_form(source: ByteSource, content_type: str) -> UploadForm:
    """The form as far as its file. Raises Refusal, TimeoutError where nothing arrives, and what `source` raises."""
    reader = FieldReader(read_boundary(content_type))
    async with asyncio.timeout(SILENT_SECONDS):
        while not reader.feed(data := await source.readany()):
            if not data:
                raise malformed_form("the body ends before its file")
    fields = {
        name: value.replace("${filename}", _base_name(reader.file_name))
        for name, value in reader.fields.items()
    }
    return UploadForm(fields, reader.begun - 2, reader.delimiter, reader.rest, source)


def read_boundary(content_type: str) -> str:
    """Raises Refusal where the content type is not that of a form."""
    found = _BOUNDARY.fullmatch(content_type.strip())
    boundary = (found[1] or found[2]) if found else ""
    if not _is_boundary(boundary):
        raise Refusal(
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
            members={"Condition": "Bucket POST must be of the enclosure-type multipart/form-data"},
        )
    return boundary


def _disposition(raw: bytes) -> tuple[str, str | None]:
    """The lower-case name of a field, and the file name in the head of its part, None where there is none."""
    headers = _part_headers(raw)
    found = _DISPOSITION.fullmatch(headers.get("content-disposition", ""))
    if found is None or headers.get("content-transfer-encoding", "").lower() not in _PLAIN_ENCODINGS:
        raise malformed_form("a part is not a field of a form")
    pairs = [
        (one[1].lower(), _unquoted(one[2]) if one[3] is None else one[3])
        for one in _PARAMETER.finditer(found[1])
    ]
    parameters = dict(pairs)
    if (
        len(parameters) != len(pairs)
        or not parameters.get("name")
        or parameters.keys() - {"name", "filename"}
    ):
        raise malformed_form("a part has no name, or more than one")
    return parameters["name"].lower(), parameters.get("filename")


def _part_headers(raw: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    try:
        lines = raw.decode().split("\r\n")
    except UnicodeDecodeError:
        raise malformed_form("the head of a part is not UTF-8") from None
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name.strip() != name or name.lower() in headers:
            raise malformed_form("a header of a part cannot be read")
        headers[name.lower()] = value.strip()
    return headers


def _unquoted(text: str) -> str:
    plain = re.sub(r'\\(["\\])', r"\1", text)
    return re.sub("%22|%0D|%0A", lambda found: _ESCAPED[found[0]], plain)


def _base_name(file_name: str) -> str:
    """The clause: "only the text following the last slash (/) or backslash (\\) is used"."""
    return re.split(r"[/\\]", file_name)[-1]


def malformed_form(reason: str) -> Refusal:
    return Refusal(
        "MalformedPOSTRequest",
        "The body of your POST request is not well-formed multipart/form-data.",
        reason=reason,
    )


def one_file() -> Refusal:
    return invalid_argument("POST requires exactly one file upload per request.")
