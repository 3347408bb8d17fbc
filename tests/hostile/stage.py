"""A served archive under attack: its process measured from outside, and a legitimate client that goes on working.

Rule: what is measured is the real ``leadglass serve``; what it costs is read from /proc, what it says from its log.
"""

import asyncio
import re
import threading
import time
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import pytest

from leadglass.wire.association import ClientAssociation
from leadglass.wire.client import connect, propose
from leadglass.wire.errors import AssociationAborted, AssociationRejected, ConnectionFailed
from leadglass.wire.limits import WireLimits
from leadglass.wire.messages import CEchoRq
from tests.hostile.attacks import TURNED, TURNED_FROM, TURNED_TLS, Attack, Target
from tests.hostile.images import image
from tests.hostile.raw import IMPLICIT, VERIFICATION
from tests.peers.leadglass import Doors, Leadglass
from tests.peers.running import Credentials, wait_until
from tests.peers.tunnel import client_context

LEGITIMATE: Final = "STATION"
LEGITIMATE_PLAIN: Final = "OLDSTATION"
PATIENCE: Final = WireLimits(connect=20.0, tls_handshake=20.0, negotiation=20.0, response=20.0, release=20.0)
"""The generous deadline in which a legitimate client has to be served; a test asserts no time but this."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, as /proc shows it."""

    pid: int

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    @property
    def memory(self) -> int:
        """Bytes of resident memory now."""
        return self._status("VmRSS")

    @property
    def peak(self) -> int:
        """Bytes of resident memory at most, since ``forget_peak``."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Begin to measure the peak anew."""
        with suppress(PermissionError):  # a server lets nobody but root look into it
            Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    @property
    def descriptors(self) -> int:
        """Open file descriptors; 0 where only root may count them, because a server lets nobody else look into it."""
        try:
            return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())
        except PermissionError:
            return 0


@dataclass(slots=True)
class Echoes:
    """What a legitimate client saw: seconds of each round, and what went wrong."""

    rounds: list[float] = field(default_factory=list[float])
    """From dialling to released, C-ECHO included."""
    echoes: list[float] = field(default_factory=list[float])
    """The C-ECHO alone, on an association that is kept open."""
    failures: list[str] = field(default_factory=list[str])


class LegitimateClient:
    """Echoes on an association of its own and dials anew for each second echo, until told to stop."""

    def __init__(self, port: int, ae_title: str, credentials: Credentials | None) -> None:
        self._port = port
        self._ae_title = ae_title
        self._tls = None if credentials is None else client_context(credentials)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="legitimate", daemon=True)
        self.seen = Echoes()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the end."""
        self._stop.set()
        self._thread.join(60)

    async def _run(self) -> None:
        while not self._stop.is_set():
            try:
                async with self._association() as kept:
                    await self._rounds(kept)
            except (AssociationAborted, AssociationRejected, ConnectionFailed) as error:
                self.seen.failures.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.02)

    def _association(self) -> AbstractAsyncContextManager[ClientAssociation]:
        return connect(
            "127.0.0.1",
            self._port,
            calling=self._ae_title,
            called="LEADGLASS",
            contexts=propose((VERIFICATION, (IMPLICIT,))),
            tls=self._tls,
            limits=PATIENCE,
        )

    async def _rounds(self, kept: ClientAssociation) -> None:
        while not self._stop.is_set():
            begun = time.perf_counter()
            await self._echo(kept)
            self.seen.echoes.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            try:
                async with self._association() as fresh:
                    await self._echo(fresh)
            except (AssociationAborted, AssociationRejected, ConnectionFailed) as error:
                self.seen.failures.append(f"{type(error).__name__}: {error}")
            else:
                self.seen.rounds.append(time.perf_counter() - begun)
            await asyncio.sleep(0.02)

    async def _echo(self, association: ClientAssociation) -> None:
        [accepted] = association.accepted(VERIFICATION)
        request = CEchoRq(message_id=association.next_message_id(), affected_sop_class_uid=VERIFICATION)
        await association.call(accepted.id, request)


@dataclass(frozen=True, slots=True)
class Stage:
    """An archive that serves, with something in it, and who speaks to it."""

    lead: Leadglass
    doors: Doors
    station: Credentials
    target: Target

    @property
    def process(self) -> Process:
        """The server."""
        return Process(self.doors.pid)

    def said(self) -> str:
        """What the server has logged so far."""
        return self.lead.log.read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def legitimate(self) -> Generator[tuple[Echoes, Echoes]]:
        """Let a client with a certificate and one of the plaintext lane work inside the block."""
        clients = (
            LegitimateClient(self.doors.tls[1], LEGITIMATE, self.station),
            LegitimateClient(self.doors.plain[1], LEGITIMATE_PLAIN, None),
        )
        for client in clients:
            client.start()
        try:
            yield clients[0].seen, clients[1].seen
        finally:
            for client in clients:
                client.stop()

    @contextmanager
    def under(self, attack: Attack) -> Generator[None]:
        """Attack inside the block."""
        stop = threading.Event()
        broken: list[BaseException] = []

        def run() -> None:
            try:
                attack(self.target, stop)
            except BaseException as error:  # noqa: BLE001 - the test that waits for it fails by it
                broken.append(error)

        thread = threading.Thread(target=run, name="attack", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
        assert not thread.is_alive()
        assert broken == []

    def assert_unharmed(self, descriptors: int) -> None:
        """Fail unless the server lives, holds no more than before, and found nothing wrong with itself."""
        process = self.process
        assert self.doors.process.poll() is None, self.said()[-3000:]
        wait_until(
            lambda: process.descriptors <= descriptors,
            f"the server has its {descriptors} descriptors back (now {process.descriptors})",
        )
        assert_nothing_is_wrong(self.said())


_WRONG: Final = re.compile(r"Traceback|Exception|\berror\b|defect|failed in the handler|session failed", re.IGNORECASE)


def assert_nothing_is_wrong(said: str) -> None:
    """Fail when a log holds a traceback or an error."""
    wrong = [line for line in said.splitlines() if _WRONG.search(line)]
    assert wrong == [], wrong[:3]


@contextmanager
def staged(folder: Path) -> Generator[Stage]:
    """Serve an archive with 24 MB in one study, and with the devices that legitimate clients and attackers speak as."""
    lead = Leadglass(folder)
    lead.do("init")
    station = lead.enroll(LEGITIMATE)
    turned = lead.enroll(TURNED_TLS, address=f"{TURNED_FROM}/32")
    lead.device(LEGITIMATE_PLAIN, plaintext=True)
    lead.device(TURNED, plaintext=True, address=f"{TURNED_FROM}/32")
    draw = Random(3)
    study = "2.25.3"
    files: list[Path] = []
    for number in range(6):
        path = folder / f"{number}.dcm"
        image(draw, study, number, sizes=(4_000_000,)).write(path)
        files.append(path)
    lead.do("import", *files)
    with lead.serve() as doors:
        yield Stage(lead, doors, station, Target(doors.tls[1], doors.plain[1], turned.folder, study))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """Serve one archive for all attacks of a module: what one leaves behind, the next one finds."""
    with staged(tmp_path_factory.mktemp("stage")) as it:
        yield it
