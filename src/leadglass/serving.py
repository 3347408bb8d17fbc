"""Serving: the parts that only the server has, made, joined and let go of.

Rule: nothing listens before every check has passed and the start is on record.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Final

from leadglass import logs, memory
from leadglass.archive.archive import Archive
from leadglass.archive.brake_store import BRAKES_FILE
from leadglass.archive.braking import Braking
from leadglass.audit.checkpoint_folder import CheckpointFolder
from leadglass.audit.collector import FILE as COLLECTOR_FILE
from leadglass.audit.collector import Collector
from leadglass.audit.collector import Pace as CollectorPace
from leadglass.audit.event import Outcome
from leadglass.audit.refusals import Refusals
from leadglass.audit.syslog import Format, Sender
from leadglass.config import Config
from leadglass.crypto import tls
from leadglass.dicom.renderer import Renderer, RenderLimits
from leadglass.dicom.transcode import Transcoder
from leadglass.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from leadglass.doors.cli.application import Ready, Wanted
from leadglass.doors.dimse.commitment_work import CommitmentService
from leadglass.doors.dimse.destinations import DeviceDestinations
from leadglass.doors.dimse.door import DimseDoor
from leadglass.doors.dimse.settings import CommitmentSettings, DimseSettings
from leadglass.doors.threads import Pool, Threads
from leadglass.errors import BadInput, LeadglassError, Misconfigured
from leadglass.identity.associations import Associations
from leadglass.identity.contacts import CONTACTS_FILE, Contacts
from leadglass.identity.later import caller_of_device
from leadglass.identity.visitors import Visitors
from leadglass.jobs.pace import Pace
from leadglass.lookout import Lookout
from leadglass.parts import Parts, brake_limits, reading_limits, shares_of
from leadglass.startup import Door, Endpoint, Listener, Situation, addresses_of, check, own_addresses, parse_endpoint
from leadglass.wire.association import Implementation
from leadglass.wire.limits import WireLimits
from leadglass.wire.server import DicomServer

if TYPE_CHECKING:
    from leadglass.doors.pages.devices.desk import DevicesDesk
    from leadglass.doors.web.server import HttpsServer

LOG: Final = logging.getLogger(__name__)

_GRACE: Final = 8.0
"""Seconds that running associations get to end by themselves when the server stops."""

_LAST: Final = 5.0
"""Seconds that work in threads gets after that, its association aborted; then the process ends without it."""

_DESK: Final = 16
"""Threads that decide who may come in: each waits some milliseconds for its record, and records that wait together
share one sync."""

_CLERK: Final = 4
"""Threads that put on record who did not come in."""

_TIDY: Final = 300.0
"""Seconds after which what is on record is signed, even when nothing more comes."""

_SWEEP_EVERY: Final = 12
"""Rounds of tidying between two sweeps of the objects: an hour."""

_SAVING: Final = 5.0
"""Seconds between two times that the brakes' counts are saved, and releases obeyed: what a crash may forget."""

_CONTACTS: Final = 60.0
"""Seconds between two times that devices' last contacts are saved: what a crash may forget of them."""

_RENEWAL: Final = 6 * 3_600.0
"""Seconds between two looks at the age of the archive's own certificate."""

_IMPLEMENTATION: Final = Implementation(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)


def run(parts: Parts, wanted: Wanted, ready: Callable[[tuple[Ready, ...]], None], warn: Callable[[str], None]) -> None:
    """Check, open the doors, and close them at SIGTERM or SIGINT.

    Raises
    ------
    Misconfigured, Busy, Corrupt
        When it refuses to start.
    """
    config = parts.config
    ae_title = config.ae_title if wanted.ae_title is None else wanted.ae_title
    listeners = _listeners(config, wanted)
    check(_situation(parts, listeners, ae_title))
    for danger in config.dangers():
        warn(f"{danger} is on.")
        parts.record(Outcome.ALERT, "start", f"{danger} is on")
    logs.start(wanted.log_level)
    memory.settle()
    asyncio.run(_serve(parts, listeners, ae_title.strip(), ready))


def _listeners(config: Config, wanted: Wanted) -> tuple[Listener, ...]:
    said = {
        Door.HTTPS: config.listen.https if wanted.http is None else wanted.http,
        Door.DICOM_TLS: config.listen.dicom_tls if wanted.dicom_tls is None else wanted.dicom_tls,
        Door.DICOM: config.listen.dicom if wanted.dicom is None else wanted.dicom,
    }
    listeners: list[Listener] = []
    for door, text in said.items():
        if text:
            try:
                endpoint = parse_endpoint(text)
            except BadInput as error:
                raise Misconfigured(error.message) from error
            listeners.append(Listener(door, endpoint, addresses_of(endpoint)))
    return tuple(listeners)


def _situation(parts: Parts, listeners: tuple[Listener, ...], ae_title: str) -> Situation:
    devices = parts.devices.list()
    now, today = parts.devices.now, parts.devices.today
    web_identities = 0
    if any(listener.door is Door.HTTPS for listener in listeners):
        from leadglass import webserving  # only where that door is opened: it takes a while to load

        webserving.check_settings(parts.config)
        web_identities = webserving.identities(parts)
    return Situation(
        ae_title=ae_title,
        listeners=listeners,
        certificate_devices=sum(d.certificate_until is not None and d.certificate_until > now for d in devices),
        plaintext_lanes=sum(d.speaks_plaintext(today) for d in devices),
        web_identities=web_identities,
        own_addresses=own_addresses(),
        unsafe_listen_on_public_address=parts.config.network.unsafe_listen_on_public_address,
    )


async def _serve(
    parts: Parts, listeners: tuple[Listener, ...], ae_title: str, ready: Callable[[tuple[Ready, ...]], None]
) -> None:
    """Open the doors, wait for the signal to stop, and close them."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = parts.config
    limits = _wire_limits(config)
    certificate = _own_certificate(parts, listeners)
    context = tls.server_context(certificate, parts.folder.ca_certificate, password=parts.authority.password)
    with ExitStack() as stack:
        core = Pool(config.work.threads, "core")
        stack.callback(core.close, 1.0)
        desk = Pool(_DESK, "desk")
        stack.callback(desk.close, 1.0)
        clerk = Pool(_CLERK, "clerk")
        stack.callback(clerk.close, 1.0)
        transcoder = stack.enter_context(closing(_transcoder(config)))
        renderer = stack.enter_context(closing(_renderer(config)))
        refusals = stack.enter_context(closing(Refusals(parts.audit)))
        threads = Threads(core)
        admission = Threads(desk)
        refusing = Threads(clerk)
        braking = _braking(parts)
        archive = stack.enter_context(
            closing(
                Archive(
                    parts.vault,
                    parts.audit,
                    door="dimse",
                    window=config.audit.window,
                    braking=braking,
                    limits=reading_limits(config),
                )
            )
        )
        client = tls.client_context(certificate, parts.folder.ca_certificate, password=parts.authority.password)
        contacts = stack.enter_context(Contacts(parts.folder.path / CONTACTS_FILE, parts.derive("contacts database")))
        destinations = DeviceDestinations(
            parts.devices,
            ae_title=ae_title,
            tls=client,
            limits=limits,
        )
        settings = _dimse_settings(config, ae_title)
        commitment = CommitmentService(
            archive,
            parts.open_jobs(),
            partial(caller_of_device, parts.devices),
            destinations,
            threads=threads,
            settings=settings,
            clock=time,
        )
        door = DimseDoor(
            archive=archive,
            associations=Associations(
                parts.devices,
                parts.audit,
                refusals,
                ae_title=ae_title,
                allowed_networks=config.network.allowed_public_networks,
                contacts=contacts,
            ),
            destinations=destinations,
            transcoder=transcoder,
            threads=threads,
            desk=admission,
            clerk=refusing,
            settings=settings,
            commitment=commitment,
        )
        server = DicomServer(door, limits, _IMPLEMENTATION)
        devices_desk: DevicesDesk | None = None
        opened: list[Ready] = []
        if any(listener.door is Door.HTTPS for listener in listeners):
            from leadglass import webserving  # only where that door is opened: it takes a while to load

            devices_desk = webserving.devices_desk(parts, ae_title, client, contacts, threads, opened)
        lookout = Lookout(parts, contacts, lambda: core.counts, lambda: server.associations)
        lookout.contexts[Door.DICOM_TLS] = context
        web = _Web.make(
            parts,
            listeners,
            certificate,
            lambda door: stack.enter_context(
                closing(
                    Archive(
                        parts.vault,
                        parts.audit,
                        door=door,
                        window=config.audit.window,
                        braking=braking,
                        limits=reading_limits(config),
                        forget=lambda uid: shares_of(parts, "pages").deleted(uid),
                    )
                )
            ),
            threads=threads,
            desk=admission,
            clerk=refusing,
            transcoder=transcoder,
            renderer=renderer,
            refusals=refusals,
            devices_desk=devices_desk,
            lookout=lookout,
        )
        said = {listener.door.value: str(listener.endpoint) for listener in listeners}
        parts.record(Outcome.PERMITTED, "start", f"{ae_title} opens its doors", **said)
        for keeper in _keepers(parts, certificate, ae_title):
            keeper.start()
            stack.callback(keeper.close)
        hooks = _webhooks(parts, stack, braking, threads, ae_title)
        try:
            opened += [await _listen(server, web, listener, context) for listener in listeners]
            chores = [
                asyncio.create_task(_keep_certificate(parts, listeners, context, web)),
                asyncio.create_task(_keep_tidy(parts, [archive, *(() if web is None else web.archives)])),
                asyncio.create_task(door.keep_watch()),
                asyncio.create_task(_keep_brakes(braking)),
                asyncio.create_task(_keep_contacts(parts, contacts)),
                asyncio.create_task(commitment.run()),
                asyncio.create_task(lookout.run(opened)),
                *(asyncio.create_task(hook()) for hook in hooks),
            ]
            ready(tuple(opened))
            await stop.wait()
            for chore in chores:
                chore.cancel()
            LOG.info("stopping", extra={"associations": server.associations})
            door.stop()
        finally:
            closes = [server.close(_GRACE)] if web is None else [server.close(_GRACE), web.server.close(_GRACE)]
            ending = asyncio.gather(*closes)
            await asyncio.wait([ending], timeout=_GRACE + _LAST)
            if left := threads.give_up() + admission.give_up() + refusing.give_up():
                LOG.warning("stopped in the middle of work", extra={"hops": left})
            await ending
            await _save_brakes(braking)
            await _save_contacts(parts, contacts)
            await asyncio.to_thread(lookout.close)
            if devices_desk is not None:
                await devices_desk.trials.close()
        await asyncio.to_thread(parts.record, Outcome.DONE, "stop", f"{ae_title} closed its doors")


def _webhooks(
    parts: Parts, stack: ExitStack, braking: Braking, threads: Threads, ae_title: str
) -> list[Callable[[], Coroutine[None, None, None]]]:
    """Give what tells configured receivers; nothing when there are none. Raises ``Misconfigured``."""
    said = parts.config.webhooks
    if not said.receivers and not said.unsafe_loopback_receivers:
        return []
    from leadglass import webserving  # only where it is wanted: it takes a while to load

    archive = stack.enter_context(closing(Archive(parts.vault, parts.audit, door="webhook", braking=braking)))
    return [webserving.webhooks(parts, archive, threads, ae_title).run]


def _keepers(parts: Parts, certificate: Path, ae_title: str) -> Iterator[Collector | CheckpointFolder]:
    """Make what keeps copies of the audit log elsewhere.

    Raises
    ------
    Misconfigured
        When the settings cannot work, whoever may be reached at the moment.
    """
    said = parts.config.audit
    if said.checkpoint_folder:
        kept_in = Path(said.checkpoint_folder)
        if not kept_in.is_dir():
            raise Misconfigured(
                f"{kept_in} is not a folder. Mount it, or correct [audit] checkpoint_folder in leadglass.toml."
            )
        yield CheckpointFolder(parts.audit, kept_in, alert_after=said.alert_after)
    to = said.collector
    if not to.host:
        return
    if not to.authority or to.format not in {each.value for each in Format}:
        raise Misconfigured(
            "[audit.collector] needs authority, the PEM file of the authority that signed the collector's certificate, "
            f"and format {' or '.join(each.value for each in Format)}. Correct leadglass.toml."
        )
    own = Path(to.certificate) if to.certificate else certificate
    password = None if to.certificate else parts.authority.password

    def context() -> ssl.SSLContext:
        return tls.client_context(own, Path(to.authority), password=password, check_hostname=True)

    context()  # what cannot be read is said now
    sender = Sender(
        socket.gethostname(), ae_title, parts.audit.verifier.origin, os.getpid(), to.facility, Format(to.format)
    )
    pace = CollectorPace(heartbeat=to.heartbeat, alert_after=said.alert_after)
    yield Collector(parts.audit, parts.folder.path / COLLECTOR_FILE, (to.host, to.port), context, sender, pace=pace)


def _braking(parts: Parts) -> Braking:
    """Make the brakes of all doors, as they stood when the server stopped."""
    store = parts.open_brakes()
    if store.is_anew:
        reason = f"{BRAKES_FILE} did not open: what was given to whom lately is forgotten, every caller is counted anew"
        parts.record(Outcome.ALERT, "start", reason)
    return Braking(brake_limits(parts.config), most_delay=parts.config.brakes.delay_seconds, store=store)


async def _keep_brakes(braking: Braking) -> None:
    """Save what the brakes counted, every few seconds."""
    while True:
        await asyncio.sleep(_SAVING)
        await _save_brakes(braking)


async def _save_brakes(braking: Braking) -> None:
    try:
        released = await asyncio.to_thread(braking.sync)
    except LeadglassError as error:
        LOG.warning("brakes not saved", extra={"kind": error.kind.value, "reason": error.message})
    else:
        for caller in released:
            LOG.info("brakes released", extra={"caller": caller})


@dataclass(frozen=True, slots=True)
class _Web:
    """The web door, where it is opened."""

    server: "HttpsServer"
    archives: list[Archive]
    context: ssl.SSLContext
    renew: Callable[[Path], None]

    @classmethod
    def make(
        cls,
        parts: Parts,
        listeners: tuple[Listener, ...],
        certificate: Path,
        open_archive: Callable[[str], Archive],
        *,
        threads: Threads,
        desk: Threads,
        clerk: Threads,
        transcoder: Transcoder,
        renderer: Renderer,
        refusals: Refusals,
        devices_desk: "DevicesDesk | None",
        lookout: Lookout,
    ) -> "_Web | None":
        """Make it, or None when no listener is for it."""
        if devices_desk is None:
            return None
        from leadglass import webserving  # only where that door is opened: it takes a while to load

        archives = [open_archive(door) for door in ("dicomweb", "pages")]
        server = webserving.make(
            parts,
            archive=archives[0],
            pages=archives[1],
            threads=threads,
            desk=desk,
            clerk=clerk,
            transcoder=transcoder,
            renderer=renderer,
            visitors=Visitors(refusals, allowed_networks=parts.config.network.allowed_public_networks),
            hosts=frozenset(name.lower() for name in _names(listeners) if name not in {"0.0.0.0", "::"}),  # noqa: S104
            devices_desk=devices_desk,
            lookout=lookout,
        )
        context = webserving.context(parts, certificate)
        lookout.contexts[Door.HTTPS] = context
        return cls(server, archives, context, lambda own: webserving.renew(parts, own, context))


async def _listen(server: DicomServer, web: _Web | None, listener: Listener, context: ssl.SSLContext) -> Ready:
    host, port = listener.endpoint.host, listener.endpoint.port
    try:
        if listener.door is Door.HTTPS and web is not None:
            host, port = await web.server.listen(host, port, web.context)
        else:
            host, port = await server.listen(host, port, context if listener.door is Door.DICOM_TLS else None)
    except OSError as error:
        raise Misconfigured(f"{listener.endpoint} {_why_not(error)}") from error
    return Ready(listener.door, str(Endpoint(host, port)))


def _why_not(error: OSError) -> str:
    """Say why an address cannot be listened on."""
    match error.errno:
        case errno.EADDRINUSE:
            return "is in use by another program. Stop that one, or name another port."
        case errno.EACCES | errno.EPERM:
            return "may not be listened on by this user. Name a port above 1023."
        case errno.EADDRNOTAVAIL:
            return "is not an address of this machine. Name one that is."
        case _:
            return f"cannot be listened on ({error.strerror or error}). Name another address."


def _own_certificate(parts: Parts, listeners: tuple[Listener, ...]) -> Path:
    """Give the archive's own certificate, for every name it is reached by."""
    names = _names(listeners)
    if any(listener.door is Door.HTTPS for listener in listeners):
        names += parts.config.web.known_as
    host = socket.gethostname()
    path = parts.folder.server_certificate
    # A machine may bear a name that no certificate can; it is not needed.
    with suppress(BadInput):
        return parts.authority.ensure_server_certificate(path, [*names, host])
    return parts.authority.ensure_server_certificate(path, names)


def _names(listeners: tuple[Listener, ...]) -> list[str]:
    """Give the names and addresses that the listeners are reached by, of this machine and from others."""
    names = ["localhost", "127.0.0.1", "::1"]
    for listener in listeners:
        names += [listener.endpoint.host.partition("%")[0], *(str(each) for each in listener.addresses)]
    return names


async def _keep_certificate(
    parts: Parts, listeners: tuple[Listener, ...], context: ssl.SSLContext, web: _Web | None
) -> None:
    """Renew the archive's own certificate while it runs; new connections get the new one."""
    while True:
        await asyncio.sleep(_RENEWAL)
        try:
            certificate = await asyncio.to_thread(_own_certificate, parts, listeners)
            context.load_cert_chain(certificate, password=parts.authority.password)
            if web is not None:
                await asyncio.to_thread(web.renew, certificate)
        except (LeadglassError, OSError, ssl.SSLError) as error:
            LOG.warning("certificate not renewed", extra={"error": type(error).__name__})


async def _keep_contacts(parts: Parts, contacts: Contacts) -> None:
    """Save when devices were last heard of, now and then."""
    while True:
        await asyncio.sleep(_CONTACTS)
        await _save_contacts(parts, contacts)


async def _save_contacts(parts: Parts, contacts: Contacts) -> None:
    try:
        await asyncio.to_thread(lambda: contacts.save(device.ae_title for device in parts.devices.list()))
    except LeadglassError as error:
        LOG.warning("last contacts not saved", extra={"kind": error.kind.value})


async def _keep_tidy(parts: Parts, archives: list[Archive]) -> None:
    """Sign what is on record, and remove what crashed or ended processes left behind."""
    rounds = 0
    while True:
        await asyncio.sleep(_TIDY)
        rounds += 1
        try:
            for archive in archives:
                await asyncio.to_thread(archive.tidy)
            await asyncio.to_thread(parts.audit.checkpoint)
            await asyncio.to_thread(parts.open_tokens().tidy)
            await asyncio.to_thread(parts.open_own_tokens("web").tidy)
            if rounds % _SWEEP_EVERY == 0:
                await asyncio.to_thread(parts.vault.sweep)
        except LeadglassError as error:
            LOG.warning("not tidied", extra={"kind": error.kind.value, "reason": error.message})


def _dimse_settings(config: Config, ae_title: str) -> DimseSettings:
    commitment = config.commitment
    return DimseSettings(
        ae_title=ae_title,
        associations=config.work.associations_per_device,
        private_storage=frozenset(config.ingest.private_sop_classes),
        private_syntaxes=frozenset(config.ingest.private_transfer_syntaxes),
        queries=max(1, config.work.threads // 4),
        patience=config.work.query_seconds,
        commitment=CommitmentSettings(
            references=commitment.references,
            open=commitment.open_per_device,
            pace=Pace(commitment.retry, commitment.retry_longest, commitment.give_up),
        ),
    )


def _wire_limits(config: Config) -> WireLimits:
    wire = config.wire
    return WireLimits(
        max_pdu=wire.max_pdu,
        associations=wire.associations,
        associations_per_address=wire.associations_per_address,
        pending=wire.pending,
        pending_per_address=wire.pending_per_address,
        tls_handshake=wire.tls_handshake,
        artim=wire.artim,
        idle=wire.idle,
        write_stall=wire.write_stall,
        response=wire.response,
    )


def _renderer(config: Config) -> Renderer:
    work = config.work
    return Renderer(
        workers=work.renderers,
        deadline=work.renderer_seconds,
        memory_bytes=work.decoder_memory_bytes,
        limits=RenderLimits(samples=work.rendered_samples),
        reading=reading_limits(config),
    )


def _transcoder(config: Config) -> Transcoder:
    work = config.work
    return Transcoder(
        workers=work.decoders,
        deadline=work.decoder_seconds,
        max_bytes=work.decoder_bytes,
        memory_bytes=work.decoder_memory_bytes,
    )
