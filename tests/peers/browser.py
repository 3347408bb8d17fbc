"""A real browser, driven by Playwright: Debian's Chromium without a window, which trusts the keys a test names.

Rule: nothing of its security is switched off but the look for a public authority
behind those keys; and it reaches this machine only, so that whatever a page asks
elsewhere fails and is on the test's list.
"""

import base64
import hashlib
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import pytest
from axe_playwright_python.sync_playwright import Axe
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, sync_playwright

from tests.peers.running import find_program

PATIENCE: Final = 60_000.0
"""Milliseconds for one step: machines of CI are slow, and nothing is asserted about time."""

DESKTOP: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 844}


@dataclass
class Visit:
    """Somebody at a browser with a fresh profile, and what the browser said meanwhile.

    Parameters
    ----------
    page : Page
        Its tab (Playwright's own object).
    requests : list of str
        Every address that was asked for.
    console : list of str
        What the console says of errors; violations of the page's policy are among them.
    """

    page: Page
    requests: list[str] = field(default_factory=list[str])
    console: list[str] = field(default_factory=list[str])

    @property
    def hosts(self) -> set[str]:
        """Every host and port that was asked, ``blob:`` and ``data:`` aside."""
        return {each.split("/")[2] for each in self.requests if each.startswith(("http:", "https:", "ws:", "wss:"))}

    @property
    def violations(self) -> list[str]:
        """What the content security policy forbade."""
        return [each for each in self.console if "Content Security Policy" in each or "Refused to" in each]

    def faults_of_access(self) -> list[str]:
        """Run axe-core over the page (WCAG 2.2 A and AA, best practice); gives what it finds serious or critical."""
        self.page.wait_for_load_state()  # without its style sheet everything is too small
        options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        # Playwright runs it in a world of its own, which the page's policy does not bind.
        ran = cast("Any", Axe()).run(self.page, options=options)
        found = cast("list[dict[str, Any]]", ran.response["violations"])
        return [
            f"{each['id']}: {each['nodes'][0]['html'][:160]}"
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]

    def picture(self, path: Path) -> None:
        """Take a picture of the whole page."""
        self.page.screenshot(path=path, full_page=True)


class _Driver:
    """Playwright's own process: a thread can have one, however many browsers are open in it."""

    def __init__(self) -> None:
        self._open = 0
        self._stack = ExitStack()
        self._playwright: Playwright | None = None

    @contextmanager
    def running(self) -> Generator[Playwright]:
        """Keep it running inside the block; the last who leaves ends it."""
        if self._playwright is None:
            self._playwright = self._stack.enter_context(sync_playwright())
        self._open += 1
        try:
            yield self._playwright
        finally:
            self._open -= 1
            if not self._open:
                self._playwright = None
                self._stack.close()


_DRIVER: Final = _Driver()


@contextmanager
def chromium(*certificates: Path) -> Generator[Browser]:
    """Keep a browser running inside the block; skips when Chromium is not installed.

    Parameters
    ----------
    *certificates : Path
        PEM files of the servers whose keys it trusts (``Web.certificate``).
    """
    program = find_program("chromium") or find_program("chromium-browser") or find_program("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with _DRIVER.running() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(program),
            args=[
                f"--ignore-certificate-errors-spki-list={','.join(map(_mark, certificates))}",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
                "--use-gl=angle",
                "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader",  # WebGL in software: machines of CI have no graphics card
                "--disable-dev-shm-usage",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
            ],
        )
        try:
            yield browser
        finally:
            with suppress(Exception):  # it may have crashed: the test has said so by then
                browser.close()


@contextmanager
def visiting(
    browser: Browser,
    url: str,
    *,
    dark: bool = False,
    size: dict[str, int] | None = None,
    scripts: bool = True,
) -> Generator[Visit]:
    """Open a fresh profile inside the block, with ``url`` as what paths are put behind.

    Parameters
    ----------
    browser : Browser
        From ``chromium``.
    url : str
        ``https://127.0.0.1:PORT``.
    dark : bool
        Whether the person likes dark pages.
    size : dict, optional
        ``DESKTOP`` (without) or ``PHONE``.
    scripts : bool
        Whether scripts run.
    """
    context: BrowserContext = browser.new_context(
        base_url=url,
        color_scheme="dark" if dark else "light",
        viewport=cast("Any", size or DESKTOP),
        has_touch=size is PHONE,
        java_script_enabled=scripts,
        locale="en-GB",
        accept_downloads=True,
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    visit = Visit(page)

    def asked(request: Request) -> None:
        visit.requests.append(request.url)

    context.on("request", asked)
    page.on("console", lambda message: visit.console.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: visit.console.append(str(error)))
    try:
        yield visit
    finally:
        with suppress(Exception):  # a context that is closed in the middle of a navigation may hang for good
            page.goto("about:blank")
        context.close()


def sign_in(visit: Visit, name: str, password: str) -> None:
    """Sign in at the page for it."""
    visit.page.goto("/sign-in")
    visit.page.fill("#name", name)
    visit.page.fill("#password", password)
    visit.page.click("form button")
    visit.page.wait_for_url(lambda url: "/sign-in" not in url)


def _mark(certificate: Path) -> str:
    """Give a certificate's key as Chromium names it: base64 of the SHA-256 of its SubjectPublicKeyInfo."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()
