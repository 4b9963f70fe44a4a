"""A server with a portal, and those who use it: a browser, and a client that sends what no browser would."""

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.conftest import ROOT, Account, Server
from tests.ports import free_port

SCREENSHOTS = ROOT / "var" / "screenshots"
FORM = "application/x-www-form-urlencoded"
T = TypeVar("T")
PASSWORD = "correct horse 7 Battery"

# A hash that costs little: the tests make hundreds.
CHEAP_HASHES = {"BROKER_PASSWORDS_MEMORY_KIB": "8192", "BROKER_PASSWORDS_PASSES": "1"}


@dataclass
class PortalServer(Server):
    """`portal` is where its pages are."""

    portal: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")

    @property
    def settings(self) -> dict[str, str]:
        return {**CHEAP_HASHES, **super().settings, "BROKER_LISTEN_PORTAL": self.portal}

    @property
    def origin(self) -> str:
        scheme = "https" if "BROKER_TLS_CERTIFICATE_FILE" in self.environment else "http"
        return f"{scheme}://{self.portal}"

    def set_password(
        self, account: Account, user_name: str | None, password: str = PASSWORD, *, must_change: bool = False
    ) -> None:
        """A console password, as an administrator gives it; `user_name` None is the root user."""
        if user_name is None:
            self.command("root-password", account.account_id, entered=password)
            return
        iam = self.client("iam", account.root)
        chosen = {"UserName": user_name, "Password": password, "PasswordResetRequired": must_change}
        try:
            iam.create_login_profile(**chosen)
        except iam.exceptions.EntityAlreadyExistsException:
            iam.update_login_profile(**chosen)

    def command(self, *arguments: str, entered: str = "") -> None:
        """`broker …` beside the running server."""
        names = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
        ended = subprocess.run(
            [sys.executable, "-m", "broker", *arguments],
            cwd=ROOT,
            env={**names, **self.settings},
            input=entered,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr

    def new_account(self, account_id: str | None = None) -> Account:
        return _in_a_thread(lambda: Server.new_account(self, account_id))


def _in_a_thread(work: Callable[[], T]) -> T:
    """Playwright's event loop runs in this thread as long as there is a browser, and there can be but one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


@contextmanager
def person(browser: Browser, **options: Any) -> Iterator[Page]:
    """A browser of somebody's own, with no cookies; nothing on its pages may have failed in the script."""
    context: BrowserContext = browser.new_context(**options)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None,
    )
    try:
        yield page
        assert faults == []
    finally:
        context.close()


def sign_in(page: Page, origin: str, account: str, user_name: str | None, password: str = PASSWORD) -> None:
    """From the sign-in page to whatever comes next."""
    page.goto(f"{origin}/sign-in/root" if user_name is None else f"{origin}/sign-in")
    page.get_by_label("Account id or alias").fill(account)
    if user_name is not None:
        page.get_by_label("User name").fill(user_name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()


def roles_on(page: Page) -> list[str]:
    """The names of the roles that the page offers. Its address is there before its rows are."""
    page.wait_for_load_state()
    return page.locator(".row-name a").all_inner_texts()


def copied(page: Page, button: Locator) -> str:
    """What a button copies. The browser does it after the click, and the page says when it is done."""
    button.click()
    expect(page.locator("#announcer")).not_to_be_empty()
    return str(page.evaluate("navigator.clipboard.readText()"))


def shoot(page: Page, name: str) -> Path:
    """A screenshot for somebody to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    file = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=file)
    return file


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str:
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")

    def all_headers(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]

    @property
    def token(self) -> str:
        """The token of the forms on the page."""
        found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', self.body)
        assert found is not None, self.body
        return found[1]


@dataclass
class Client:
    """What a script does: it keeps cookies, and sends exactly what it is told."""

    server: PortalServer
    cookies: dict[str, str] = field(default_factory=dict)
    context: Any = None

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers)

    def post(self, path: str, form: dict[str, str] | bytes, **headers: str) -> Answer:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        return self.send("POST", path, {"Content-Type": FORM, "Origin": self.server.origin, **headers}, body)

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        if self.context is None:
            connection = http.client.HTTPConnection(self.server.portal, timeout=20)
        else:
            connection = http.client.HTTPSConnection(self.server.portal, timeout=20, context=self.context)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection.request(method, path, body, sent)
        got = connection.getresponse()
        answer = Answer(got.status, got.getheaders(), got.read().decode())
        connection.close()
        for line in answer.all_headers("Set-Cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel.value:
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)
        return answer

    def sign_in(self, account: str, user_name: str, password: str = PASSWORD) -> Answer:
        form = {"account": account, "user_name": user_name, "password": password}
        return self.post("/sign-in", {**form, "csrf_token": self.get("/sign-in").token})
