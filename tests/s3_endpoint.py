"""An endpoint for S3 clients: STS behind it is the broker's, and a request to S3 has to be signed by a session of it.

rclone asks STS where its S3 is, as with MinIO, which has both at one address. The bucket that is listed has two pages,
so that there is a moment between two requests.
"""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.sigv4.authorization import UnverifiedRequest, find_authorization
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import S3, verify
from tests.e2e.conftest import REGION

_EXPIRATION = re.compile(rb"<Expiration>[^<]*</Expiration>")
_PAGE = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
    "<MaxKeys>1000</MaxKeys><IsTruncated>{more}</IsTruncated><NextMarker>{key}</NextMarker><Contents><Key>{key}</Key>"
    "<LastModified>2026-01-01T00:00:00Z</LastModified><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
    "</ListBucketResult>"
)


class S3Endpoint:
    """`secret_of` gives the secret that a session token seals. `callers` are the key ids that signed, in order.

    With `lives_for`, the client is told that its credentials end after so many seconds, and listing a page takes
    longer than that.
    """

    def __init__(
        self, sts_url: str, secret_of: Callable[[str], SecretKey], lives_for: float | None = None
    ) -> None:
        self.callers: list[str] = []
        self._sts_url = sts_url
        self._secret_of = secret_of
        self._lives_for = lives_for
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator["S3Endpoint"]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def ask_sts(self, body: bytes, content_type: str) -> tuple[int, bytes]:
        request = urllib.request.Request(self._sts_url, body, {"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return 200, self._shortened(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def _shortened(self, answer: bytes) -> bytes:
        if self._lives_for is None:
            return answer
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self._lives_for))
        return _EXPIRATION.sub(f"<Expiration>{end}</Expiration>".encode(), answer)

    def list_page(self, request: UnverifiedRequest) -> bytes:
        """Raises Refusal where the request is not signed by a session."""
        authorization = find_authorization(request)
        assert authorization is not None and authorization.session_token is not None, request
        secret = self._secret_of(authorization.session_token)
        verify(
            request,
            authorization,
            secret,
            time.time(),
            SigningKeys(),
            services={"s3"},
            regions={REGION},
            dialect=S3,
        )
        self.callers.append(authorization.access_key_id)
        time.sleep((self._lives_for or -0.1) + 0.1)
        first = "marker=" not in request.query
        return _PAGE.format(more=str(first).lower(), key="first" if first else "second").encode()


def _handler(endpoint: S3Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*endpoint.ask_sts(body, self.headers["Content-Type"]))

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            headers = tuple((name.lower(), value) for name, value in self.headers.items())
            try:
                page = endpoint.list_page(UnverifiedRequest("GET", path, query, headers, b""))
            except (AssertionError, Refusal) as error:
                self._answer(
                    403, f"<Error><Code>AccessDenied</Code><Message>{error}</Message></Error>".encode()
                )
            else:
                self._answer(200, page)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not to the tests' output."""

    return Handler
