"""Two strangers of the JavaScript world, run by Node.js: dcmjs-dimse (DIMSE) and dicomweb-client (DICOMweb).

They are installed once, from ``tests/flows/node/package-lock.json``, into ``build/node``.
"""

import base64
import fcntl
import json
import shutil
from pathlib import Path
from typing import cast

import pytest

from tests.corpus import ROOT
from tests.peers.running import Credentials, Ran, run

_PROJECT = ROOT / "tests" / "flows" / "node"
_INSTALLED = ROOT / "build" / "node"


def _installed() -> str:
    """Install what the lock names, unless it is there; gives Node.js, or skips when it, npm or the registry lacks."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not installed, so JavaScript's libraries cannot run.")
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    with (_INSTALLED / ".lock").open("w") as lock:  # several test workers, one installation
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (_PROJECT / "package-lock.json").read_bytes()
        stamp = _INSTALLED / ".installed"
        if stamp.is_file() and stamp.read_bytes() == wanted:
            return node
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(_PROJECT / name, _INSTALLED / name)
        done = run([npm, "ci", "--no-audit", "--no-fund"], cwd=_INSTALLED, timeout=280)
        if done.code != 0:
            pytest.skip(f"npm could not install the JavaScript strangers: {done.err.strip().splitlines()[-1:]}")
        stamp.write_bytes(wanted)
    return node


def _run(script: str, order: object, *, timeout: float, **environment: str) -> tuple[Ran, str]:
    """Run a script on an order; gives the run and its last line."""
    done = run(
        [_installed(), _PROJECT / script],
        stdin=json.dumps(order),
        timeout=timeout,
        env={"NODE_PATH": str(_INSTALLED / "node_modules"), **environment},
    )
    return done, next((line for line in reversed(done.out.splitlines()) if line[:1] in "{["), "{}")


class Dcmjs:
    """Runs ``tests/flows/node/scu.js``; skips when Node.js, npm or the registry is missing."""

    def __call__(
        self,
        action: str,
        port: int,
        *,
        calling: str,
        called: str = "LEADGLASS",
        credentials: Credentials | None = None,
        timeout: float = 60.0,
        **what: str | list[str],
    ) -> tuple[Ran, dict[str, object]]:
        """Do one action (``echo``, ``store``, ``find``, ``get``, ``move``); gives the run and the JSON it printed."""
        order: dict[str, object] = {
            "action": action,
            "port": port,
            "calling": calling,
            "called": called,
            "tls": None
            if credentials is None
            else {
                "key": str(credentials.key),
                "cert": str(credentials.certificate),
                "ca": str(credentials.authority),
            },
            **what,
        }
        done, last = _run("scu.js", order, timeout=timeout)
        answer: dict[str, object] = json.loads(last)
        return done, answer


Value = None | bool | int | float | str | bytes | list["Value"] | dict[str, "Value"]
"""What a call of dicomweb-client gives: JSON, and bytes where it gives an ArrayBuffer."""


class JsWeb:
    """dicomweb-client of npm: calls of its own names, through ``tests/flows/node/web.js``.

    Parameters
    ----------
    url : str
        Where the services are, ``https://…/dicom-web``.
    authority : Path
        The certificate authority that it trusts beside Node's own.
    token : str, optional
        Its bearer token.
    """

    def __init__(self, url: str, authority: Path, token: str | None = None) -> None:
        self._url = url
        self._authority = authority
        self._token = token

    def __call__(self, *calls: tuple[str, dict[str, object]], singlepart: str = "") -> list[Value]:
        """Do calls, one after another; gives for each its value, or the HTTP status that it failed with.

        Parameters
        ----------
        *calls : (str, dict)
            Method and options; ``files`` are paths, which become its ``datasets``.
        singlepart : str
            Its option of that name: what is to come without multipart.
        """
        order = {"url": self._url, "token": self._token, "calls": calls, "singlepart": singlepart}
        done, last = _run("web.js", order, timeout=120, NODE_EXTRA_CA_CERTS=str(self._authority))
        results = cast("list[dict[str, Value]]", json.loads(last))
        assert isinstance(results, list), done.said
        return [_bytes_in(one["value"]) if "value" in one else _status(one) for one in results]


def _status(failed: dict[str, Value]) -> int:
    assert isinstance(failed["status"], int), failed
    return failed["status"]


def _bytes_in(value: Value) -> Value:
    match value:
        case {"base64": str(text)}:
            return base64.b64decode(text)
        case list():
            return [_bytes_in(one) for one in value]
        case _:
            return value
