"""Who is measured: Leadglass over both lanes, Orthanc, DCMTK's and pynetdicom's acceptors, each as it ships."""

import contextlib
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import KEEPER, SINK
from tests.peers.dcmtk import Dcmtk
from tests.peers.leadglass import Leadglass
from tests.peers.orthanc import Modality, orthanc
from tests.peers.running import Credentials, free_port, is_listening, running, wait_until


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that listens.

    Parameters
    ----------
    port : int
        On 127.0.0.1.
    ae_title : str
        Its AE title.
    dest_port : int
        Where it will send a C-MOVE to BENCHDEST.
    credentials, dest : Credentials, optional
        Certificates of the client BENCH and the receiver BENCHDEST; without, plaintext.
    """

    port: int
    ae_title: str
    dest_port: int
    credentials: Credentials | None = None
    dest: Credentials | None = None


Start = Callable[[Path, int], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Peer:
    """A kind of peer: its word on the command line, its name in the tables, and how it is started."""

    word: str
    name: str
    start: Start
    retrieves: bool = True


@contextmanager
def _leadglass_plain(folder: Path, dest_port: int) -> Generator[Running]:
    lead = Leadglass(folder)
    lead.do("init")
    lead.device("BENCH", plaintext=True, bulk="measuring")
    lead.device("BENCHDEST", plaintext=True, port=dest_port)
    with lead.serve() as doors:
        yield Running(doors.plain[1], "LEADGLASS", dest_port)


@contextmanager
def _leadglass_tls(folder: Path, dest_port: int) -> Generator[Running]:
    lead = Leadglass(folder)
    lead.do("init")
    client = lead.enroll("BENCH", bulk="measuring")
    dest = lead.enroll("BENCHDEST", port=dest_port)
    with lead.serve() as doors:
        yield Running(doors.tls[1], "LEADGLASS", dest_port, client, dest)


@contextmanager
def _orthanc(folder: Path, dest_port: int) -> Generator[Running]:
    known = {"dest": Modality("BENCHDEST", "127.0.0.1", dest_port), "bench": Modality("BENCH", "127.0.0.1", 1)}
    with orthanc(folder, known) as peer:
        yield Running(peer.dicom, "ORTHANC", dest_port)


@contextmanager
def _storescp(folder: Path, dest_port: int) -> Generator[Running]:
    with Dcmtk().storescp(folder / "in", options=()) as received:
        yield Running(received.port, "STORESCP", dest_port)


@contextmanager
def _dcmqrscp(folder: Path, dest_port: int) -> Generator[Running]:
    port = free_port()
    store = folder / "store"
    store.mkdir()
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\ndest = (BENCHDEST, 127.0.0.1, {dest_port})\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMQRSCP {store} RW (1000, 100000mb) ANY\nAETable END\n"
    )
    with running([Dcmtk().program("dcmqrscp"), "-c", configuration], log=folder / "dcmqrscp.log"):
        wait_until(lambda: is_listening(port), "dcmqrscp listens")
        yield Running(port, "DCMQRSCP", dest_port)


@contextmanager
def _pynetdicom_storescp(folder: Path, dest_port: int) -> Generator[Running]:
    port = free_port()
    out = folder / "in"
    out.mkdir()
    command = [sys.executable, "-m", "pynetdicom", "storescp", str(port), "-od", out, "-pdu", "131072"]
    with running(command, log=folder / "storescp.log"):
        wait_until(lambda: is_listening(port), "pynetdicom's storescp listens")
        yield Running(port, "STORESCP", dest_port)


@contextmanager
def _pynetdicom_qrscp(folder: Path, dest_port: int) -> Generator[Running]:
    port = free_port()
    configuration = folder / "qrscp.ini"
    configuration.write_text(
        f"[DEFAULT]\nae_title: QRSCP\nport: {port}\nmax_pdu: 131072\nacse_timeout: 30\ndimse_timeout: 30\n"
        f"network_timeout: 30\nbind_address: 127.0.0.1\ninstance_location: instances\n"
        f"database_location: instances.sqlite\n[BENCHDEST]\naddress: 127.0.0.1\nport: {dest_port}\n"
    )
    command = [sys.executable, "-m", "pynetdicom", "qrscp", "-c", configuration]
    with running(command, log=folder / "qrscp.log", cwd=folder), contextlib.suppress(KeyboardInterrupt):
        wait_until(lambda: is_listening(port), "pynetdicom's qrscp listens")
        yield Running(port, "QRSCP", dest_port)


@contextmanager
def _sink(folder: Path, dest_port: int) -> Generator[Running]:
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.sink", str(port)], log=folder / "sink.log"):
        wait_until(lambda: is_listening(port), "the server that keeps nothing listens")
        yield Running(port, "SINK", dest_port)


@contextmanager
def _keeper(folder: Path, dest_port: int) -> Generator[Running]:
    port = free_port()
    kept = folder / "kept"
    kept.mkdir()
    with running([sys.executable, "-m", "benchmarks.sink", str(port), kept], log=folder / "keeper.log"):
        wait_until(lambda: is_listening(port), "the server that only digests and syncs listens")
        yield Running(port, "SINK", dest_port)


PEERS = (
    Peer("leadglass", "Leadglass, plaintext", _leadglass_plain),
    Peer("leadglass-tls", "Leadglass, mutual TLS", _leadglass_tls),
    Peer("sink", SINK, _sink, retrieves=False),
    Peer("keeper", KEEPER, _keeper, retrieves=False),
    Peer("orthanc", "Orthanc (Debian)", _orthanc),
    Peer("storescp", "DCMTK storescp", _storescp, retrieves=False),
    Peer("dcmqrscp", "DCMTK dcmqrscp", _dcmqrscp),
    Peer("pynetdicom-storescp", "pynetdicom storescp", _pynetdicom_storescp, retrieves=False),
    Peer("pynetdicom-qrscp", "pynetdicom qrscp", _pynetdicom_qrscp),
)
