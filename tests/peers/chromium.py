"""Chromium without a window, told what to do over its DevTools pipe; it trusts the keys a test names.

Rule: it is a real browser with a fresh profile; nothing of its security is switched
off but the look for a public authority behind those keys.
"""

import base64
import hashlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.peers.running import find_program

Json = dict[str, Any]

PATIENCE = 60.0
"""Seconds for one command: machines of CI are slow."""


@dataclass
class Page:
    """One tab."""

    send_to: int
    read_from: int
    session: str = ""
    number: int = 0
    rest: bytes = b""
    console: list[str] = field(default_factory=list[str])

    def do(self, method: str, **parameters: object) -> Json:
        """Do one thing of the DevTools protocol; gives its result."""
        self.number += 1
        order: Json = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            order["sessionId"] = self.session
        os.write(self.send_to, json.dumps(order).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            message = self._next(end)
            if message.get("id") == self.number:
                assert "error" not in message, (method, message["error"])
                return cast(Json, message["result"])
            if message.get("method") == "Log.entryAdded":
                self.console.append(message["params"]["entry"]["text"])

    def _next(self, end: float) -> Json:
        while b"\0" not in self.rest:
            assert select.select([self.read_from], [], [], max(0.0, end - time.monotonic()))[0], "no answer in time"
            block = os.read(self.read_from, 1 << 20)
            assert block, "Chromium ended"
            self.rest += block
        message, _, self.rest = self.rest.partition(b"\0")
        return cast(Json, json.loads(message))

    def run(self, script: str) -> Any:
        """Run a script in the page; gives what it comes to, promises waited for."""
        done = self.do("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def go(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        self.do("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def wait_for(self, script: str) -> None:
        """Wait until a script is true, whatever page is there by then."""
        end = time.monotonic() + PATIENCE
        while True:
            done = self.do("Runtime.evaluate", expression=f"Boolean({script})", returnByValue=True)
            if done.get("result", {}).get("value") is True:
                return
            assert time.monotonic() < end, (script, self.text())
            time.sleep(0.05)

    def text(self) -> str:
        """Give where it is, and what it shows."""
        return str(self.run("location.href + '\\n' + document.body.innerText"))

    def fill(self, **fields: str) -> None:
        """Write into fields by their id."""
        for name, value in fields.items():
            self.run(f"document.getElementById({json.dumps(name)}).value = {json.dumps(value)}")

    def add_authenticator(self) -> str:
        """Plug a security key in that verifies its owner by itself; gives its id."""
        self.do("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        return str(self.do("WebAuthn.addVirtualAuthenticator", options=options)["authenticatorId"])


_STARTER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


@contextmanager
def chromium(folder: Path, *certificates: Path) -> Generator[Page]:
    """Keep a browser running inside the block; skips when Chromium is not installed.

    Parameters
    ----------
    folder : Path
        Where its profile goes.
    *certificates : Path
        PEM files of the servers whose keys it trusts.
    """
    program = find_program("chromium") or find_program("chromium-browser") or find_program("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    orders, answers = os.pipe(), os.pipe()
    command = [
        str(program),
        "--headless=new",
        "--remote-debugging-pipe",
        f"--user-data-dir={folder / 'profile'}",
        f"--ignore-certificate-errors-spki-list={','.join(map(_mark, certificates))}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
        "--no-first-run",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "about:blank",
    ]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            # The browser reads orders from descriptor 3 and answers on 4.
            [sys.executable, "-c", _STARTER, str(orders[0]), str(answers[1]), *command],
            pass_fds=(orders[0], answers[1]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(orders[0])
    os.close(answers[1])
    try:
        page = Page(orders[1], answers[0])
        targets = page.do("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        page.session = page.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            page.do(f"{domain}.enable")
        yield page
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(orders[1])
        os.close(answers[0])


def _mark(certificate: Path) -> str:
    """Give a certificate's key as Chromium names it: base64 of the SHA-256 of its SubjectPublicKeyInfo."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()
