"""What a browser does at a sign-in page: follows redirects, remembers cookies, fills in forms and submits them."""

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, ProxyHandler, Request, build_opener

from lxml import html

LONGEST_WAIT = 20.0  # seconds for one answer


@dataclass(frozen=True)
class Form:
    """A form of a page: where it is sent, and the values that it holds."""

    action: str
    method: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """An answer. Of a page at another site than the first there is only the address: nothing is asked there."""

    url: str
    status: int
    text: str = ""

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address, the last value of each."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.url).query).items()}

    @property
    def forms(self) -> list[Form]:
        root = html.document_fromstring(self.text)
        return [
            Form(
                urljoin(self.url, form.action or ""),
                form.method,
                {name: value or "" for name, value in form.fields.items() if name},
            )
            for form in root.forms
        ]

    @property
    def words(self) -> str:
        """The beginning of what a person reads."""
        return " ".join(html.document_fromstring(self.text or "<html/>").text_content().split())[:2000]

    def form(self, field: str) -> Form:
        """The one form that has `field`."""
        found = [form for form in self.forms if field in form.values]
        assert len(found) == 1, f"{len(found)} forms with {field} at {self.url} ({self.status}): {self.words}"
        return found[0]


class _StayAtSite(HTTPRedirectHandler):
    """Follows redirects within one site; the first that leads away is answered as it is."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Browser:
    """One person's browser, with cookies of its own; it never goes through a proxy."""

    def __init__(self) -> None:
        # Browsers trust the loopback address without TLS: it is given secure cookies, too (W3C, Secure Contexts).
        cookies = CookieJar(DefaultCookiePolicy(secure_protocols=("http", "https")))
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(cookies), _StayAtSite())

    def get(self, url: str, **parameters: str) -> Page:
        joint = "&" if urlsplit(url).query else "?"
        return self._open(Request(url + (joint + urlencode(parameters) if parameters else "")))

    def submit(self, form: Form, **values: str) -> Page:
        """The form as it is, with `values` filled in."""
        body = urlencode({**form.values, **values})
        if form.method == "GET":
            return self._open(Request(f"{form.action}?{body}"))
        return self.post(form.action, body)

    def post(self, url: str, body: str, **headers: str) -> Page:
        return self._open(Request(url, body.encode(), headers))

    def _open(self, request: Request) -> Page:
        try:
            answer: Any = self._opener.open(request, timeout=LONGEST_WAIT)
        except HTTPError as error:
            answer = error
        with answer:
            return _page_of(answer)


def _page_of(answer: HTTPResponse | HTTPError) -> Page:
    location = answer.headers.get("Location")
    status = answer.status or 0
    if location is not None and status in (301, 302, 303, 307, 308):
        return Page(urljoin(answer.url, location), status)
    return Page(answer.url, status, answer.read().decode())
