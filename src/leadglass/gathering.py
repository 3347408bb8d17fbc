"""Gathering: the facts of the self-check, from the parts and the machine; part of the composition root.

Rule 1. What one part cannot tell is left out or said to be unknown: the self-check of
an archive that is half broken is worth most. Rule 2. Nothing is changed by looking.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import leadglass
from leadglass.audit import cursor
from leadglass.audit.collector import FILE as COLLECTOR_FILE
from leadglass.audit.record import decode
from leadglass.config import FILE_NAME
from leadglass.crypto import envelope, keyfile, tls
from leadglass.crypto.ca import DEVICE_DAYS
from leadglass.crypto.envelope import LONGEST, Source
from leadglass.crypto.sources import where
from leadglass.errors import LeadglassError, Misconfigured
from leadglass.exposure import facts as seen
from leadglass.exposure import probing, surroundings
from leadglass.exposure.selfcheck import SelfCheck
from leadglass.exposure.store import Mark, ServerNote
from leadglass.identity import oversight
from leadglass.identity.contacts import CONTACTS_FILE, Contact, Contacts
from leadglass.identity.oidc_mapping import RoleMapping
from leadglass.identity.os_user import command_line_caller
from leadglass.identity.passkeys import PASSKEYS_FILE
from leadglass.identity.share import ShareKind, ShareLock
from leadglass.identity.tokens import Token
from leadglass.jobs.queue import JobKind
from leadglass.parts import Parts, web_certificate
from leadglass.policy.roles import Role
from leadglass.startup import Door, addresses_of, own_addresses, parse_endpoint

_NEWEST_RECORDS: Final = 200
"""Records at the end of the log among which the newest time is looked for."""

_LEAST_SPAN: Final = timedelta(hours=20)
"""Time between two results from which growth is told."""


@dataclass(frozen=True, slots=True)
class Live:
    """What the server alone knows, asked when it is looked at.

    Parameters
    ----------
    note : callable
        What the server says of itself.
    contexts : mapping of str to ssl.SSLContext
        Of its TLS doors.
    contacts : Contacts
        When devices were last there.
    work : callable
        What is going on.
    """

    note: Callable[[], ServerNote]
    contexts: Mapping[str, ssl.SSLContext]
    contacts: Contacts
    work: Callable[[], seen.Work]


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Gathers the facts.

    Parameters
    ----------
    parts : Parts
        What every command needs.
    door : str
        Of whom it is gathered for.
    live : Live, optional
        What the server knows; without it a command looks from beside.
    """

    parts: Parts
    door: str
    live: Live | None = None
    authority: bytes = field(init=False)

    def __post_init__(self) -> None:
        pem = self.parts.authority.certificate_pem.decode("ascii")
        object.__setattr__(self, "authority", ssl.PEM_cert_to_DER_cert(pem))

    def facts(self) -> seen.Facts:
        """Look at everything; raises what a part raises that nothing can be said without."""
        parts, config = self.parts, self.parts.config
        now = datetime.now(UTC)
        own = own_addresses()
        note = self._note()
        doors = note.doors if note is not None else tuple(self._doors_of_settings())
        accounts = parts.open_people(self.door)
        return seen.Facts(
            now=now,
            config=config,
            settings=surroundings.digest_of(parts.folder.path / FILE_NAME),
            running=None if note is None else note.running,
            doors=doors,
            own_addresses=own,
            strangers=() if note is None else note.strangers,
            secured=tuple(self._secured(doors)),
            authority_until=parts.authority.not_after,
            devices=tuple(self._devices()),
            accounts=tuple(self._accounts()),
            tokens=(*parts.open_tokens().list(), *self._own_tokens()),
            links=tuple(self._links(now)),
            admin_groups=tuple(self._admin_groups()),
            unreviewed=accounts.glass.waiting(),
            storage=self._storage(now),
            databases=surroundings.databases(parts.folder.path),
            loose=surroundings.loose(parts.folder.path),
            trail=self._trail(),
            key=self._key(),
            machine=self._machine(),
            work=seen.Work() if self.live is None else self.live.work(),
            backup=self._backup(),
            since=surroundings.changed(parts.folder.mark),
        )

    # --- the server and its doors ---------------------------------------------------

    def _note(self) -> ServerNote | None:
        if self.live is not None:
            return self.live.note()
        return self.parts.open_exposure().server() if self.parts.folder.is_served() else None

    def _doors_of_settings(self) -> Iterator[seen.Opened]:
        listen = self.parts.config.listen
        said = {Door.HTTPS: listen.https, Door.DICOM_TLS: listen.dicom_tls, Door.DICOM: listen.dicom}
        for door, text in said.items():
            with suppress(LeadglassError):
                if text:
                    yield opened(door.value, text)

    def _secured(self, doors: tuple[seen.Opened, ...]) -> Iterator[seen.Secured]:
        folder, config = self.parts.folder, self.parts.config
        own = folder.server_certificate
        open_doors = {door.door for door in doors}
        if Door.HTTPS in open_doors and (config.web.certificate or own.is_file()):
            yield self._web_door(own)
        if Door.DICOM_TLS in open_doors and own.is_file():
            identify = partial(_show, own, self.parts.authority.password)
            yield self._door(Door.DICOM_TLS, self._dicom_context, own, identify)

    def _web_door(self, own: Path) -> seen.Secured:
        config = self.parts.config
        shown = Path(config.web.certificate).expanduser() if config.web.certificate else own
        return self._door(Door.HTTPS, self._web_context, shown, None, config.web.known_as)

    def _door(
        self,
        door: Door,
        make: Callable[[], ssl.SSLContext],
        shown: Path,
        identify: Callable[[ssl.SSLContext], None] | None,
        names: tuple[str, ...] = (),
    ) -> seen.Secured:
        """Look at a door: as it is open now, and whether it would open again."""
        try:
            lying = make()
        except Misconfigured as error:
            return seen.Secured(
                door.value,
                seen.Handshake("everything"),
                certificate=probing.certificate_in(shown, self.authority),
                wants_client_certificate=identify is not None,
                fault=error.message,
                reached_as=names,
            )
        live = None if self.live is None else self.live.contexts.get(door.value)
        return probing.probe(
            door.value,
            live or lying,
            client=identify,
            chain=probing.chain_in(shown),
            own_issuer=self.authority,
            reached_as=names,
        )

    def _dicom_context(self) -> ssl.SSLContext:
        folder = self.parts.folder
        return tls.server_context(
            folder.server_certificate, folder.ca_certificate, password=self.parts.authority.password
        )

    def _web_context(self) -> ssl.SSLContext:
        parts = self.parts
        password = None if parts.config.web.certificate else parts.authority.password
        certificate, key = web_certificate(parts.config, parts.folder.server_certificate)
        return tls.web_server_context(certificate, key, password=password)

    # --- who may come in --------------------------------------------------------------

    def _devices(self) -> Iterator[seen.Enrolled]:
        devices = self.parts.devices.list()
        titles = [device.ae_title for device in devices]
        known = self.live.contacts.of(titles) if self.live is not None else self._contacts(titles)
        for device in devices:
            until = device.certificate_until
            enrolled = None if until is None else until - timedelta(days=DEVICE_DAYS)
            contact = known.get(device.ae_title)
            yield seen.Enrolled(device, None if contact is None else contact.at, enrolled)

    def _contacts(self, titles: list[str]) -> Mapping[str, Contact]:
        path = self.parts.folder.path / CONTACTS_FILE
        if not path.exists():
            return {}
        with Contacts(path, self.parts.derive("contacts database")) as contacts:
            return contacts.of(titles)

    def _accounts(self) -> Iterator[seen.Account]:
        parts = self.parts
        accounts = parts.open_people(self.door)
        last = oversight.last_seen(accounts.store)
        keys = oversight.passkeys(parts.folder.path / PASSKEYS_FILE, parts.derive("passkeys database"))
        for person in accounts.people.list():
            yield seen.Account(person, last.get(person.name), keys.get(person.name, 0))

    def _own_tokens(self) -> Iterator[Token]:
        """Give the tokens of people as if they were programs': what matters of them is the same."""
        for own in self.parts.open_own_tokens(self.door).everybodys(command_line_caller()):
            yield Token(
                own.id, own.name, own.role, own.scope, own.made, own.owner, own.until, ended=own.ended, used=own.used
            )

    def _links(self, now: datetime) -> Iterator[seen.Link]:
        for share in oversight.open_links(self.parts.open_shares(self.door), now):
            yield seen.Link(
                share.id,
                share.made,
                share.until,
                has_secret=share.lock is not ShareLock.NONE,
                receives=share.kind is ShareKind.RECEIVE,
            )

    def _admin_groups(self) -> Iterator[str]:
        config = self.parts.config
        for texts, place in ((config.oidc.groups, "[oidc] groups"), (config.introspection.scopes, "[introspection]")):
            with suppress(LeadglassError):
                for line in RoleMapping.parse(texts, place).lines:
                    if line.standing.role is Role.ADMIN:
                        yield f"{place}: {line.group} -> admin"

    # --- what is kept -------------------------------------------------------------------

    def _storage(self, now: datetime) -> seen.Storage:
        measured = self.parts.vault.measures()
        free, size = surroundings.room(self.parts.folder.path)
        return seen.Storage(
            studies=measured.studies,
            instances=measured.instances,
            octets=measured.octets,
            free=free,
            size=size,
            growth=self._growth(now, measured.octets),
            quarantined=measured.quarantined,
            quarantined_octets=measured.quarantined_octets,
            quarantine_room=measured.quarantine_room,
            quarantine_octets=measured.quarantine_octets,
            oldest_quarantined=measured.oldest_quarantined,
        )

    def _growth(self, now: datetime, octets: int) -> float:
        """Give the bytes that come a day, as the results of the last weeks tell."""
        for report in reversed(self.parts.open_exposure().newest(30)):
            span = now - report.made
            if _LEAST_SPAN <= span <= timedelta(days=60):
                return max(0.0, (octets - report.octets) / (span / timedelta(days=1)))
        return 0.0

    def _backup(self) -> datetime | None:
        marker = self.parts.config.backup.marker
        marked = self.parts.open_exposure().marked(Mark.BACKUP)
        known = [marked.when] if marked is not None else []
        if marker and (touched := surroundings.changed(Path(marker).expanduser())) is not None:
            known.append(touched)
        return max(known, default=None)

    def _key(self) -> seen.KeyPlace:
        folder = self.parts.folder
        try:
            read = envelope.parse(keyfile.read_private(folder.wrapped_key, "The wrapped archive key", most=LONGEST))
        except LeadglassError:
            return seen.KeyPlace("unknown", "what locks it cannot be read", is_settled=False)
        own = folder.archive_key
        path = Path(read.lock.path) if read.lock.path else own
        is_beside = read.lock.source is Source.FILE and path.is_relative_to(folder.path)
        return seen.KeyPlace(read.lock.source.value, where(read.lock, own), is_beside, is_settled=not read.pending)

    # --- the log, the machine -------------------------------------------------------------

    def _trail(self) -> seen.Trail:
        parts, said = self.parts, self.parts.config.audit
        store = parts.open_exposure()
        with parts.audit.reader() as reader:
            records = reader.size()
        covered = self._covered()
        folder = Path(said.checkpoint_folder) if said.checkpoint_folder else None
        return seen.Trail(
            records=records,
            signed=surroundings.changed(parts.audit.checkpoint_path),
            unsigned=max(0, records - (covered or 0)),
            is_outside_good=covered is not None and covered <= records,
            has_collector=bool(said.collector.host),
            has_folder=folder is not None,
            collector_fails=self._collector_fails() if said.collector.host else None,
            folder_fails=None if folder is None or surroundings.is_writable(folder) else datetime.now(UTC),
            is_folder_beside=folder is not None and surroundings.is_on_disk_of(folder, parts.folder.path),
            verified=store.marked(Mark.VERIFIED),
            checked=store.marked(Mark.CHECKED),
        )

    def _covered(self) -> int | None:
        """Give how many records the signed head beside the log covers; None when it is missing or none of this log."""
        audit = self.parts.audit
        try:
            return audit.verifier.open(audit.checkpoint_path.read_text(encoding="utf-8", errors="replace")).size
        except (OSError, LeadglassError):
            return None

    def _collector_fails(self) -> datetime | None:
        try:
            return cursor.load(self.parts.folder.path / COLLECTOR_FILE).failing_since
        except LeadglassError:
            return datetime.now(UTC)

    def _machine(self) -> seen.Machine:
        with self.parts.audit.reader() as reader:
            rows = reader.after(max(0, reader.size() - _NEWEST_RECORDS), _NEWEST_RECORDS)
        times: list[datetime] = []
        for row in rows:
            with suppress(LeadglassError):
                times.append(decode(row.body or "").time)
        return seen.Machine(
            version=version("leadglass"),
            installed=surroundings.installed(Path(leadglass.__file__)),
            is_root=surroundings.is_root(),
            leaves_core=surroundings.leaves_core(),
            is_clock_steered=surroundings.is_clock_steered(),
            newest_record=max(times, default=None),
        )


def opened(door: str, address: str) -> seen.Opened:
    """Say what is open where; raises ``BadInput``, ``Misconfigured``."""
    endpoint = parse_endpoint(address)
    return seen.Opened(door, str(endpoint), surroundings.reach_of(addresses_of(endpoint), own_addresses()))


def commitments(parts: Parts) -> int:
    """Count reports of Storage Commitment that are not delivered yet."""
    return len(parts.open_jobs().list(JobKind.COMMITMENT))


def self_check(parts: Parts, door: str) -> SelfCheck:
    """Make the self-check for a command, which looks from beside the server."""
    return self_check_of(Gatherer(parts, door), door)


def self_check_of(gatherer: Gatherer, door: str) -> SelfCheck:
    """Make the self-check that looks by a gatherer."""
    parts = gatherer.parts
    return SelfCheck(parts.open_exposure(), gatherer.facts, parts.audit.append, door=door)


def _show(certificate: Path, password: bytes | None, context: ssl.SSLContext) -> None:
    """Have a client show the archive's own certificate."""
    context.load_cert_chain(certificate, password=password or b"")
