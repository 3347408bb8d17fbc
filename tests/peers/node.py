"""dcmjs-dimse, the DICOM network library of the JavaScript world, run by Node.js.

It is installed once, from ``tests/flows/node/package-lock.json``, into ``build/node``.
"""

import fcntl
import json
import shutil

import pytest

from tests.corpus import ROOT
from tests.peers.running import Credentials, Ran, run

_PROJECT = ROOT / "tests" / "flows" / "node"
_INSTALLED = ROOT / "build" / "node"


class Dcmjs:
    """Runs ``tests/flows/node/scu.js``; skips when Node.js, npm or the registry is missing."""

    def __init__(self) -> None:
        self._node = shutil.which("node")

    def _install(self) -> None:
        npm = shutil.which("npm")
        if self._node is None or npm is None:
            pytest.skip("Node.js and npm are not installed, so dcmjs-dimse cannot run.")
        _INSTALLED.mkdir(parents=True, exist_ok=True)
        with (_INSTALLED / ".lock").open("w") as lock:  # several test workers, one installation
            fcntl.flock(lock, fcntl.LOCK_EX)
            wanted = (_PROJECT / "package-lock.json").read_bytes()
            stamp = _INSTALLED / ".installed"
            if stamp.is_file() and stamp.read_bytes() == wanted:
                return
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copyfile(_PROJECT / name, _INSTALLED / name)
            done = run([npm, "ci", "--no-audit", "--no-fund"], cwd=_INSTALLED, timeout=280)
            if done.code != 0:
                pytest.skip(f"npm could not install dcmjs-dimse: {done.err.strip().splitlines()[-1:]}")
            stamp.write_bytes(wanted)

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
        self._install()
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
        done = run(
            [str(self._node), _PROJECT / "scu.js"],
            stdin=json.dumps(order),
            timeout=timeout,
            env={"NODE_PATH": str(_INSTALLED / "node_modules")},
        )
        last = next((line for line in reversed(done.out.splitlines()) if line.startswith("{")), "{}")
        answer: dict[str, object] = json.loads(last)
        return done, answer
