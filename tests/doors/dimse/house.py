"""A whole archive in this process: vault, audit log, identity and the DIMSE door on two real listeners.

Rule: every part is the real one; only the composition is the test's own.
"""

import asyncio
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import time

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Declared
from leadglass.audit.event import Event
from leadglass.audit.log import AuditLog
from leadglass.audit.refusals import Refusals
from leadglass.crypto.ca import Authority
from leadglass.crypto.tls import client_context, server_context
from leadglass.crypto.wrap import ArchiveKey
from leadglass.dicom.transcode import Transcoder
from leadglass.doors.dimse.commitment_work import CommitmentService
from leadglass.doors.dimse.destinations import IMPLEMENTATION, DeviceDestinations
from leadglass.doors.dimse.door import DimseDoor
from leadglass.doors.dimse.settings import DimseSettings
from leadglass.doors.threads import Pool, Threads
from leadglass.identity.associations import AssociationEvidence, Associations
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices
from leadglass.identity.later import caller_of_device
from leadglass.jobs.queue import JOBS_FILE, Queue
from leadglass.policy.caller import Caller
from leadglass.vault.settings import VaultSettings
from leadglass.vault.vault import Vault, open_vault
from leadglass.wire.limits import WireLimits
from leadglass.wire.server import DicomServer
from tests.callers import everything
from tests.peers.dataset import split, transfer_syntax
from tests.peers.running import Credentials
from tests.peers.scu import Way

CORE = 8
"""Threads of the core."""


@dataclass(slots=True)
class House:
    """A served archive.

    Parameters
    ----------
    folder : Path
        Its data folder.
    port, tls_port : int
        The plaintext and the TLS listener on 127.0.0.1.
    """

    folder: Path
    port: int
    tls_port: int
    archive: Archive
    vault: Vault
    audit: AuditLog
    devices: Devices
    door: DimseDoor
    loop: asyncio.AbstractEventLoop
    server: DicomServer
    core: Pool
    jobs: Queue
    commitment: CommitmentService
    operator: Caller = field(default_factory=everything)

    def lane(
        self, ae_title: str, *allow: str, address: str = "127.0.0.1", port: int = 0, host: str = "127.0.0.1"
    ) -> Way:
        """Enrol a device in the plaintext lane."""
        until = self.devices.today + timedelta(days=30)
        device = Device.parse(
            ae_title, [address], allow, plaintext=True, until=until, host=host if port else "", port=port
        )
        self.devices.add(self.operator, device, replace=True)
        return Way(self.port, ae_title)

    def enrol(self, ae_title: str, *allow: str, address: str = "127.0.0.1", port: int = 0) -> Way:
        """Enrol a device with a certificate."""
        device = Device.parse(ae_title, [address], allow, host="127.0.0.1" if port else "", port=port)
        self.devices.add(self.operator, device, replace=True)
        out = self.folder / f"device-{ae_title}-{len(list(self.folder.glob('device-*')))}"
        self.devices.enrol(self.operator, ae_title, out)
        return Way(self.tls_port, ae_title, Credentials(out))

    def take(self, paths: Iterable[Path]) -> int:
        """Put files into the vault, past the door; gives how many went in."""
        count = 0
        for path in paths:
            meta, data = split(path.read_bytes())
            receiving = self.archive.receive(self.operator, Declared(transfer_syntax(meta), origin="test"))
            receiving.write(data)
            receiving.finish()
            count += 1
        return count

    def events(self, caller: str | None = None) -> list[Event]:
        """Give what is on record, newest last."""
        return [record.event for record in self.audit.records(caller=caller)]

    def refusals(self) -> list[Event]:
        """Give the refusals on record."""
        return [event for event in self.events() if event.outcome.value == "refused"]


class Named(Associations):
    """Associations in which some AE titles are callers that no device is: a person, a token, by whatever rights."""

    callers: dict[str, Caller]

    def identify(self, evidence: AssociationEvidence) -> Caller:
        """Give the caller of an AE title; an enrolled device where it is none of them."""
        caller = self.callers.get(evidence.calling_ae_title.strip())
        return super().identify(evidence) if caller is None else caller

    def still_stands(self, caller: Caller, evidence: AssociationEvidence) -> bool:
        """Say that a made-up caller is who he was."""
        return caller in self.callers.values() or super().still_stands(caller, evidence)


@contextmanager
def build(
    folder: Path,
    *,
    settings: DimseSettings | None = None,
    limits: WireLimits | None = None,
    clock: Callable[[], float] = time,
    callers: dict[str, Caller] | None = None,
) -> Generator[House]:
    """Compose an archive in ``folder`` and serve it until the block ends.

    ``clock`` is that of background work; ``callers`` are let in by AE title alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = settings or DimseSettings(pending=0.05)
    with ExitStack() as stack:
        key = ArchiveKey.create(folder / "archive.key")
        audit = stack.enter_context(AuditLog(folder / "audit.db", key.derive("audit"), key.derive("audit signing")))
        authority = Authority.create(folder / "ca.pem", folder / "ca.key")
        certificate = authority.ensure_server_certificate(folder / "server.pem", ["127.0.0.1"])
        devices = stack.enter_context(
            Devices(folder / "identity.db", key.derive("identity"), audit=audit, authority=authority)
        )
        refusals = Refusals(audit, window=0.0)
        stack.callback(refusals.close)
        vault = stack.enter_context(open_vault(folder, key, VaultSettings(min_free_bytes=0)))
        archive = Archive(vault, audit, door="dimse")
        transcoder = Transcoder()
        stack.callback(transcoder.close)
        core = stack.enter_context(Pool(CORE, "core"))
        desk = stack.enter_context(Pool(2, "desk"))
        limits = limits or WireLimits()
        threads = Threads(core)
        destinations = DeviceDestinations(
            devices,
            ae_title=settings.ae_title,
            tls=client_context(certificate, folder / "ca.pem"),
            limits=limits,
        )
        jobs = stack.enter_context(Queue(folder / JOBS_FILE, key.derive("jobs")))
        commitment = CommitmentService(
            archive,
            jobs,
            partial(caller_of_device, devices),
            destinations,
            threads=threads,
            settings=settings,
            clock=clock,
        )
        associations = Named(devices, audit, refusals, ae_title=settings.ae_title)
        associations.callers = {} if callers is None else callers
        door = DimseDoor(
            archive=archive,
            associations=associations,
            destinations=destinations,
            transcoder=transcoder,
            threads=threads,
            desk=Threads(desk),
            clerk=Threads(desk),
            settings=settings,
            commitment=commitment,
        )
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="door", daemon=True)
        thread.start()

        async def begin() -> tuple[DicomServer, int, int]:
            server = DicomServer(door, limits, IMPLEMENTATION)
            _, port = await server.listen("127.0.0.1", 0)
            _, tls_port = await server.listen("127.0.0.1", 0, server_context(certificate, folder / "ca.pem"))
            return server, port, tls_port

        async def begin_work() -> asyncio.Task[None]:
            return asyncio.create_task(commitment.run())

        async def end() -> None:
            watch.cancel()
            work.cancel()
            await asyncio.wait([work], timeout=5)
            await server.close(2.0)

        watch = asyncio.run_coroutine_threadsafe(door.keep_watch(), loop)
        work = asyncio.run_coroutine_threadsafe(begin_work(), loop).result(20)
        server, port, tls_port = asyncio.run_coroutine_threadsafe(begin(), loop).result(20)
        try:
            yield House(
                folder, port, tls_port, archive, vault, audit, devices, door, loop, server, core, jobs, commitment
            )
        finally:
            asyncio.run_coroutine_threadsafe(end(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)
            loop.close()
