"""oidc-provider, a certified OpenID provider of the JavaScript world, run by Node.js on loopback over TLS.

It is installed once, from ``tests/peers/oidc_provider/package-lock.json``, into ``build/oidc_provider``.
"""

import fcntl
import json
import shutil
import ssl
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Final
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

import httpx
import pytest

from leadglass.crypto.ca import Authority
from tests.corpus import ROOT
from tests.peers.running import run

_PROJECT = ROOT / "tests" / "peers" / "oidc_provider"
_INSTALLED = ROOT / "build" / "oidc_provider"

REDIRECT: Final = "https://pacs.example.test/sign-in/oidc/callback"
CLIENT: Final = "leadglass"
OTHER_CLIENT: Final = "another"
SECRET: Final = "a secret with + and / and : in it"

AUDIENCE: Final = "https://pacs.example.test/dicom-web"
"""Whom the tokens of programs are for."""

PROGRAM: Final = "smart"
"""A program that gets tokens of its own there."""

ARCHIVE: Final = "archive"
"""What the archive is called there when it asks what tokens are worth."""

PEOPLE: Final[dict[str, dict[str, object]]] = {
    "sub-alice": {"preferred_username": "Alice.Ärzte@Example.org", "groups": ["radiology-readers", "everyone"]},
    "sub-bob": {"preferred_username": "bob", "groups": ["everyone"]},
    "sub-carol": {"preferred_username": "carol", "groups": ["gps-north", "gps-south"]},
    "sub-dave": {"preferred_username": "carol", "groups": ["radiology-readers"]},
    "sub-eve": {"preferred_username": "eve"},
}
"""Who can sign in there: subject, and claims."""


@dataclass(frozen=True, slots=True)
class Op:
    """A running provider."""

    issuer: str
    authority: Path
    process: "subprocess.Popen[str]"

    def client(self) -> httpx.Client:
        """Give a browser that trusts it."""
        return httpx.Client(verify=ssl.create_default_context(cafile=str(self.authority)), trust_env=False, timeout=20)

    def rotate(self) -> None:
        """Let it change its keys."""
        with self.client() as client:
            client.post(f"{self.issuer}/control/rotate").raise_for_status()

    def token(self, scope: str, *, audience: str = AUDIENCE) -> str:
        """Give a bearer token as the program ``PROGRAM`` gets it (client credentials)."""
        form = {"grant_type": "client_credentials", "scope": scope, "resource": audience}
        with self.client() as client:
            answer = client.post(f"{self.issuer}/token", data=form, auth=(PROGRAM, quote(SECRET, safe="")))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def revoke(self, token: str) -> None:
        """Let a token count no more."""
        with self.client() as client:
            auth = (PROGRAM, quote(SECRET, safe=""))
            client.post(f"{self.issuer}/token/revocation", data={"token": token}, auth=auth).raise_for_status()

    def sign_in(self, url: str, subject: str, *, redirect: str = REDIRECT) -> dict[str, str]:
        """Play the browser: go where the archive sent it, sign in; gives with what it is sent back."""
        with self.client() as client:
            for _ in range(8):
                response = client.get(url)
                assert response.is_redirect, response.text
                url = urljoin(url, response.headers["location"])
                if url.startswith(redirect):
                    return dict(parse_qsl(urlsplit(url).query))
                if "/interaction/" in url:
                    url += f"?account={subject}"
        pytest.fail("The provider never sent the browser back.")


@contextmanager
def running_op(
    folder: Path, *, algorithm: str = "RS256", userinfo: bool = False, redirect: str = REDIRECT
) -> Generator[Op]:
    """Keep a provider running inside the block; skips when Node.js, npm or the registry is missing."""
    node = _installed()
    authority = Authority.create(folder / "op-ca.pem", folder / "op-ca.key")
    issued = authority.issue_device("OP", names=["localhost"], days=2)
    key, certificate = folder / "op.key", folder / "op.pem"
    key.write_bytes(issued.key_pem)
    certificate.write_bytes(issued.certificate_pem)
    told = {
        "host": "localhost",
        "cert": str(certificate),
        "key": str(key),
        "secret": SECRET,
        "redirects": [redirect],
        "algorithm": algorithm,
        "userinfo": userinfo,
        "people": PEOPLE,
        "first": "sub-alice",
        "audience": AUDIENCE,
    }
    with (folder / "op.log").open("w") as log:
        process = subprocess.Popen(
            [node, str(_PROJECT / "provider.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={"LEADGLASS_MODULES": str(_INSTALLED), "PATH": "/usr/bin:/bin"},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(told))
            process.stdin.close()
            assert select([process.stdout], [], [], 60)[0], "the provider did not start"
            ready = json.loads(process.stdout.readline() or "{}")
            assert ready, (folder / "op.log").read_text()
            yield Op(ready["issuer"], folder / "op-ca.pem", process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _installed() -> str:
    """Install it, once for all test workers; gives Node.js."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not installed, so oidc-provider cannot run.")
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    with (_INSTALLED / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (_PROJECT / "package-lock.json").read_bytes()
        stamp = _INSTALLED / ".installed"
        if stamp.is_file() and stamp.read_bytes() == wanted:
            return node
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(_PROJECT / name, _INSTALLED / name)
        done = run([npm, "ci", "--no-audit", "--no-fund"], cwd=_INSTALLED, timeout=280)
        if done.code != 0:
            pytest.skip(f"npm could not install oidc-provider: {done.err.strip().splitlines()[-1:]}")
        stamp.write_bytes(wanted)
    return node
