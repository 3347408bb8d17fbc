"""Who speaks from an address of the internet: two machines in network namespaces, one wire between them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.peers.dcmtk import Dcmtk
from tests.peers.leadglass import Leadglass
from tests.peers.running import run

PRIVATE = ("10.77.0.1", "10.77.0.2")
PUBLIC = ("11.22.33.1", "11.22.33.2")
"""Globally routable, and inside of the namespaces nowhere but here."""

PORT = "11112"


@dataclass(frozen=True, slots=True)
class Wire:
    """Two namespaces: the archive's machine and a peer's, each with a private and a public address."""

    archive: str
    peer: str


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def wire() -> Generator[Wire]:
    """Two machines with one wire between them, and nothing else."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2: apt-get install iproute2")
    mark = uuid4().hex[:6]
    made = Wire(f"lga{mark}", f"lgp{mark}")
    try:
        try:
            _ip("netns", "add", made.archive)
            _ip("netns", "add", made.peer)
            _ip(
                "link",
                "add",
                f"va{mark}",
                "netns",
                made.archive,
                "type",
                "veth",
                "peer",
                f"vp{mark}",
                "netns",
                made.peer,
            )
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this system makes no network namespaces: {error.stderr.decode().strip()}")
        for namespace, device, side in ((made.archive, f"va{mark}", 0), (made.peer, f"vp{mark}", 1)):
            for address in (PRIVATE[side], PUBLIC[side]):
                _ip("-n", namespace, "address", "add", f"{address}/30", "dev", device)
            _ip("-n", namespace, "link", "set", "lo", "up")
            _ip("-n", namespace, "link", "set", device, "up")
        yield made
    finally:
        for namespace in (made.archive, made.peer):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


def _archive(folder: Path) -> Leadglass:
    """An archive with a lane, and a device with a certificate that is enrolled for a public address too."""
    leadglass = Leadglass(folder)
    leadglass.do("init")
    leadglass.device("LANE", address=f"{PRIVATE[1]}/32", allow="echo", plaintext=True)
    leadglass.do("device", "add", "CT1", "--address", f"{PUBLIC[1]},{PRIVATE[1]}", "--allow", "echo")
    leadglass.do("device", "enroll", "CT1", "--out", folder / "ct1")
    return leadglass


def _command(wire: Wire, leadglass: Leadglass) -> list[str]:
    return [
        "ip", "netns", "exec", wire.archive, sys.executable, "-m", "leadglass", "serve", "--json",
        "--data", str(leadglass.data), "--dicom", f"0.0.0.0:{PORT}", "--dicom-tls", "0.0.0.0:2762",
    ]  # fmt: skip


@contextmanager
def _serving(wire: Wire, leadglass: Leadglass) -> Generator[None]:
    with (
        leadglass.log.open("ab") as log,
        subprocess.Popen(_command(wire, leadglass), stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            assert '"all"' in [process.stdout.readline() for _ in range(3)][-1], leadglass.log.read_text()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _echo(wire: Wire, to: str, *options: str) -> int:
    command = ["ip", "netns", "exec", wire.peer, "echoscu", "-to", "10", "-ta", "10", "-aec", "LEADGLASS", *options]
    return run([*command, to, "2762" if "+tls" in options else PORT], timeout=60).code


def test_a_globally_routable_peer_is_closed_before_any_protocol_and_the_operator_is_alerted(
    wire: Wire, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    assert dcmtk
    leadglass = _archive(tmp_path)
    (leadglass.data / "leadglass.toml").write_text("[network]\nunsafe_listen_on_public_address = true\n")
    ct1 = tmp_path / "ct1"
    tls = ("+tls", str(ct1 / "key.pem"), str(ct1 / "cert.pem"), "+cf", str(ct1 / "ca.pem"), "-aet", "CT1")
    with _serving(wire, leadglass):
        assert _echo(wire, PRIVATE[0], "-aet", "LANE") == 0
        assert _echo(wire, PRIVATE[0], *tls) == 0
        assert _echo(wire, PUBLIC[0], "-aet", "LANE") != 0
        assert _echo(wire, PUBLIC[0], *tls) != 0, "even with its certificate, from an address it is enrolled for"
    refused = [one for one in leadglass.audit("--outcome", "refused") if one.get("peer") == PUBLIC[1]]
    assert len(refused) == 2
    for one in refused:
        assert one["action"] == "connect"
        assert "globally routable" in str(one["reason"])
        assert '"alert": 1' in json.dumps(one)


def test_a_listed_network_is_let_in(wire: Wire, dcmtk: Dcmtk, tmp_path: Path) -> None:
    assert dcmtk
    leadglass = _archive(tmp_path)
    (leadglass.data / "leadglass.toml").write_text(
        f"[network]\nunsafe_listen_on_public_address = true\nallowed_public_networks = ['{PUBLIC[1]}/32']\n"
    )
    ct1 = tmp_path / "ct1"
    with _serving(wire, leadglass):
        tls = ("+tls", str(ct1 / "key.pem"), str(ct1 / "cert.pem"), "+cf", str(ct1 / "ca.pem"), "-aet", "CT1")
        assert _echo(wire, PUBLIC[0], *tls) == 0


def test_a_machine_with_a_public_address_does_not_listen_on_every_address(wire: Wire, tmp_path: Path) -> None:
    leadglass = _archive(tmp_path)
    ended = run(_command(wire, leadglass), timeout=60)
    assert ended.code == 1
    assert PUBLIC[0] in ended.said
    assert "unsafe_listen_on_public_address" in ended.said
