"""Surroundings: what a survey meets on a hospital's network, brought up on the loopback by its real makers.

Rule: each holds canaries, and each is closed when the test ends.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity

from leadglass.survey.speech import dicom
from leadglass.wire.association import Message, ServerAssociation
from leadglass.wire.messages import CEchoRq, CFindRq
from tests.peers.dcmtk import Dcmtk
from tests.peers.leadglass import Leadglass
from tests.peers.orthanc import Orthanc, orthanc
from tests.peers.running import Credentials, free_port, is_listening, running, wait_until
from tests.survey.canaries import Canary
from tests.wire.harness import Authority, Recorder, serving


@dataclass
class Surroundings:
    """Where each stranger listens, by name."""

    folder: Path
    dcmtk: Dcmtk
    canary: Canary = field(default_factory=Canary)
    ports: dict[str, int] = field(default_factory=dict[str, int])
    honeypot: Recorder = field(default_factory=Recorder)
    _up: list[ExitStack] = field(default_factory=list[ExitStack])

    def bring(self, peers: "dict[str, Callable[[], AbstractContextManager[int]]]") -> None:
        """Bring them up, some at a time, to be closed together."""

        def one(name: str) -> None:
            stack = ExitStack()
            self._up.append(stack)
            self.ports[name] = stack.enter_context(peers[name]())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, peers))

    def close(self) -> None:
        """Close them all."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ExitStack.close, self._up))

    def name_of(self, port: int) -> str:
        """Give the name of who listens at a port."""
        return next(name for name, each in self.ports.items() if each == port)


@contextmanager
def surroundings(folder: Path, dcmtk: Dcmtk) -> Generator[Surroundings]:
    """Bring everything up, all at once."""
    made = Surroundings(folder, dcmtk)
    file = made.canary.write(folder)
    authority = Authority(folder, "authority")
    credentials = authority.issue("acceptor")
    peers: dict[str, Callable[[], AbstractContextManager[int]]] = {
        "orthanc-open": lambda: _orthanc(folder / "o1", file, DicomAlwaysAllowFind=True, DicomAlwaysAllowGet=True),
        "orthanc-restricted": lambda: _orthanc(folder / "o2", file, DicomCheckCalledAet=True),
        "orthanc-authentication": lambda: _orthanc(
            folder / "o3", None, AuthenticationEnabled=True, RegisteredUsers={"alice": "of-the-test"}
        ),
        "dcmqrscp-open": lambda: dcmqrscp(dcmtk, folder / "q1", "ANY", file),
        "dcmqrscp-restricted": lambda: dcmqrscp(dcmtk, folder / "q2", "known", None),
        "pynetdicom": lambda: pynetdicom_server(made.canary, heeds_key=True),
        "pynetdicom-careless": lambda: pynetdicom_server(made.canary, heeds_key=False),
        "tls": lambda: _storescp(dcmtk, folder / "s1", credentials, "--ignore-peer-cert"),
        "mutual-tls": lambda: _storescp(dcmtk, folder / "s2", credentials),
        "echo": echo,
        "http": http,
        "honeypot": lambda: _honeypot(made.honeypot),
        "leadglass-tls": lambda: _leadglass(folder / "leadglass", made.ports),
    }
    try:
        made.bring(peers)
        made.ports = dict(sorted(made.ports.items()))
        yield made
    finally:
        made.close()


@contextmanager
def _leadglass(folder: Path, ports: dict[str, int]) -> Generator[int]:
    folder.mkdir()
    archive = Leadglass(folder)
    archive.do("init")
    with archive.serve() as doors:
        ports["leadglass-plain"] = doors.plain[1]
        yield doors.tls[1]


@contextmanager
def _orthanc(folder: Path, file: Path | None, **more: Any) -> Generator[int]:
    with orthanc(folder, {}, more=more) as peer:
        if file is not None:
            _upload(peer, file)
        yield peer.dicom


def _upload(peer: Orthanc, file: Path) -> None:
    peer.upload(file)


@contextmanager
def dcmqrscp(dcmtk: Dcmtk, folder: Path, peers: str, file: Path | None, port: int = 0) -> Generator[int]:
    """Run dcmqrscp as its manual has it, known to anybody or to nobody who is here; gives its port."""
    port = port or free_port()
    (folder / "db").mkdir(parents=True)
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nknown = (KNOWN, 127.0.0.9, 104)\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nCOMMON {folder / 'db'} RW (100, 1024mb) {peers}\nAETable END\n"
    )
    with running([dcmtk.program("dcmqrscp"), "-c", config], log=folder / "dcmqrscp.log"):
        wait_until(lambda: is_listening(port), "dcmqrscp listens")
        if file is not None:
            sent = dcmtk("storescu", "-aec", "COMMON", "127.0.0.1", str(port), file)
            assert sent.code == 0, sent.said
        yield port


@contextmanager
def pynetdicom_server(
    canary: Canary,
    *,
    heeds_key: bool,
    address: str = "127.0.0.1",
    port: int = 0,
    class_uid: str = "",
    version: str = "",
) -> Generator[int]:
    """Run an archive of fifty records on pynetdicom; one that does not heed the key gives them to any question."""

    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        asked: Dataset = event.identifier
        if not heeds_key or asked.get("StudyInstanceUID", "") in {"", canary.study}:
            for _ in range(50):
                yield 0xFF00, canary.data_set()
        yield 0x0000, None

    ae: Any = ApplicationEntity(ae_title="QRSCP")
    for uid in (dicom.VERIFICATION, dicom.STUDY_ROOT_FIND):
        ae.add_supported_context(uid)
    if class_uid:
        ae.implementation_class_uid, ae.implementation_version_name = class_uid, version
    port = port or free_port(address)
    lines: list[socket.socket] = []

    def opened(event: Any) -> None:
        lines.append(event.assoc.dul.socket.socket)

    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_CONN_OPEN, opened)]
    server = ae.start_server((address, port), block=False, evt_handlers=handlers)
    try:
        yield port
    finally:
        server.shutdown()
        for line in lines:  # it leaves those that were aborted to the collector of garbage
            line.close()


@contextmanager
def _storescp(dcmtk: Dcmtk, folder: Path, credentials: Credentials, *options: str) -> Generator[int]:
    with dcmtk.storescp(folder, credentials=credentials, options=options) as received:
        yield received.port


@contextmanager
def _honeypot(recorder: Recorder) -> Generator[int]:
    """Run what takes everything: any title, any service, any question."""

    async def answer(association: ServerAssociation, message: Message) -> None:
        await message.discard()
        assert isinstance(message.command, CEchoRq | CFindRq)
        await association.send(message.context.id, message.command.response(0))

    recorder.answer = answer
    with serving(recorder) as served:
        yield served.port


@contextmanager
def echo(address: str = "127.0.0.1", port: int = 0) -> Generator[int]:
    """Give every byte back."""
    with listening(_echo, address, port) as there:
        yield there


def _echo(line: socket.socket) -> None:
    while data := line.recv(4096):
        line.sendall(data)


@contextmanager
def listening(serve: Callable[[socket.socket], object], address: str = "127.0.0.1", port: int = 0) -> Generator[int]:
    """Run a hostile peer: ``serve`` has each connection, in a thread of its own."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family)

    def one(line: socket.socket) -> None:
        with line:
            line.settimeout(60)
            with suppress(OSError):
                serve(line)

    def accept() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(line,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def http(address: str = "127.0.0.1", port: int = 0) -> Generator[int]:
    """Run a web server."""

    async def page(scope: Any, _: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})

    listener = socket.create_server((address, port))
    server = uvicorn.Server(uvicorn.Config(page, log_level="critical", lifespan="off", http="h11"))
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
