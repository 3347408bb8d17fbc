"""``leadglass import`` against Orthanc's HTTP upload (``POST /instances``).

Rule: the same files, both from the disk to an acknowledgement; the connection
to Orthanc is kept, without Nagle's algorithm, so that it loses nothing there.
Starting ``leadglass import`` counts, starting Orthanc does not.
"""

import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.images import Load
from benchmarks.limits import make_room
from benchmarks.report import IMPORT, UPLOAD, Measurement
from tests.peers.leadglass import Leadglass
from tests.peers.orthanc import orthanc

UPLOAD_4 = "Orthanc, HTTP upload, four connections"


def import_(load: Load, folder: Path) -> float:
    """Import a load into an empty archive; gives the seconds, start of the command included."""
    own = Path(tempfile.mkdtemp(dir=folder))
    lead = Leadglass(own)
    lead.do("init")
    start = time.perf_counter()
    lead.do("import", load.folder, timeout=3600.0)
    took = time.perf_counter() - start
    make_room(own)
    return took


def upload(load: Load, folder: Path, *, connections: int = 1) -> float:
    """Upload a load to an empty Orthanc; gives the seconds."""
    own = Path(tempfile.mkdtemp(dir=folder))

    def send(port: int, paths: list[Path]) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=600.0)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for path in paths:
            connection.request("POST", "/instances", path.read_bytes())
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"Orthanc answers {answer.status}")
            answer.read()
        connection.close()

    with orthanc(own / "orthanc", {}) as peer, ThreadPoolExecutor(connections) as pool:
        start = time.perf_counter()
        for each in [pool.submit(send, peer.http, part) for part in load.shares(connections)]:
            each.result()
        took = time.perf_counter() - start
    make_room(own)
    return took


def measure_import(loads: tuple[Load, ...], folder: Path, repeats: int) -> list[Measurement]:
    """Measure both ways in, for every load."""
    results: list[Measurement] = []
    for load in loads:
        rows = [Measurement(f"import {load.name}", who, load.count, load.octets) for who in (IMPORT, UPLOAD, UPLOAD_4)]
        for _ in range(repeats):
            rows[0].seconds.append(import_(load, folder))
            rows[1].seconds.append(upload(load, folder))
            rows[2].seconds.append(upload(load, folder, connections=4))
        results += rows
    return results
