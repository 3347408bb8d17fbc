"""Devices: who is enrolled, with which certificate; sealed at rest, every change on record.

Rule 1. What is changed here is permitted and recorded first. Rule 2. A device has
at most one certificate that counts: enrolling anew ends the old one, removing
the device ends it too. A certificate that has ended is remembered, so that its
use is refused for what it is. Rule 3. Every answer comes from the database, not
from memory: what one process changes, the others see at once.
"""

import json
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from cryptography import x509

from leadglass.audit.decision import decide_on_record, failing_on_record
from leadglass.audit.log import AuditLog
from leadglass.audit.record import escape
from leadglass.crypto.ca import DEVICE_DAYS, Authority, Issued, write_private
from leadglass.crypto.database import transaction, translating
from leadglass.errors import BadInput, Conflict, Misconfigured, NotHere
from leadglass.identity.device import Device
from leadglass.identity.store import SealedStore
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.system import utc_now

KEY_FILE: Final = "key.pem"
CERTIFICATE_FILE: Final = "cert.pem"
AUTHORITY_FILE: Final = "ca.pem"

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS device (
        ae_title TEXT PRIMARY KEY,
        addresses TEXT NOT NULL,
        allow TEXT NOT NULL,
        plaintext INTEGER NOT NULL,
        until TEXT,
        host TEXT NOT NULL,
        port INTEGER NOT NULL,
        CHECK (plaintext = 0 OR until IS NOT NULL)
    )""",
    """CREATE TABLE IF NOT EXISTS certificate (
        fingerprint TEXT PRIMARY KEY,
        ae_title TEXT NOT NULL,
        serial TEXT NOT NULL,
        not_after TEXT NOT NULL,
        ended TEXT
    )""",
    # Apart from the device, so that a folder of an earlier version needs no change.
    """CREATE TABLE IF NOT EXISTS bulk (
        ae_title TEXT PRIMARY KEY,
        reason TEXT NOT NULL CHECK (reason <> ''),
        until TEXT
    )""",
    "CREATE TABLE IF NOT EXISTS lane (ae_title TEXT PRIMARY KEY, reason TEXT NOT NULL CHECK (reason <> ''))",
    # The schema itself keeps a device from having two certificates that count.
    "CREATE UNIQUE INDEX IF NOT EXISTS certificate_that_counts ON certificate (ae_title) WHERE ended IS NULL",
)

_DEVICES: Final = """
    SELECT d.ae_title, d.addresses, d.allow, d.plaintext, d.until, d.host, d.port, c.fingerprint, c.not_after,
        b.reason, b.until, l.reason
    FROM device d LEFT JOIN certificate c ON c.ae_title = d.ae_title AND c.ended IS NULL
        LEFT JOIN bulk b ON b.ae_title = d.ae_title
        LEFT JOIN lane l ON l.ae_title = d.ae_title
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was once issued.

    Parameters
    ----------
    ae_title : str
        To whom.
    ended : str
        Why it does not count any more (``replaced``, ``revoked``, ``removed``); empty while it does.
    """

    ae_title: str
    ended: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What enrolling gave: files for the device, and how its certificate is known.

    Parameters
    ----------
    ae_title : str
        The device.
    key, certificate, authority : Path
        ``key.pem`` (mode 0600), ``cert.pem``, ``ca.pem``.
    fingerprint, serial : str
        Of the certificate, hexadecimal.
    not_after : datetime
        When it ends (UTC).
    """

    ae_title: str
    key: Path
    certificate: Path
    authority: Path
    fingerprint: str
    serial: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class AuthorityCertificate:
    """What devices know the archive by: no secret.

    Parameters
    ----------
    pem : bytes
        The certificate.
    not_after : datetime
        When it ends (UTC).
    """

    pem: bytes
    not_after: datetime


class Devices(SealedStore):
    """The enrolled devices of one archive.

    Parameters
    ----------
    path : Path
        The sealed database.
    key : bytes
        32 bytes: its key.
    audit : AuditLog
        Where changes are recorded.
    authority : Authority
        Who signs certificates.
    door : str
        For the records.
    clock : callable
        The time now (UTC).

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
        When the database cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        audit: AuditLog,
        authority: Authority,
        *,
        door: str = "cli",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(path, key, _SCHEMA, clock)
        self._audit = audit
        self._authority = authority
        self._door = door

    @property
    def today(self) -> date:
        """The day it is, in UTC."""
        return self.now.date()

    # --- asking ---------------------------------------------------------------

    def find(self, ae_title: str) -> Device | None:
        """Give a device, or None when there is none of this AE title."""
        with self._lock, translating(self._path.name):
            row = self._connection.execute(f"{_DEVICES} WHERE d.ae_title = ?", (ae_title,)).fetchone()
        return None if row is None else _device(row)

    def get(self, ae_title: str) -> Device:
        """Give a device.

        Raises
        ------
        NotHere
        """
        device = self.find(ae_title)
        if device is None:
            raise NotHere(f"No device is enrolled as {escape(ae_title[:64])}. See: leadglass device list")
        return device

    def list(self) -> list[Device]:
        """Give all devices, by AE title."""
        with self._lock, translating(self._path.name):
            rows = self._connection.execute(f"{_DEVICES} ORDER BY d.ae_title").fetchall()
        return [_device(row) for row in rows]

    def whose(self, fingerprint: str) -> Certificate | None:
        """Give what is known of a certificate, or None when this archive never issued it."""
        with self._lock, translating(self._path.name):
            row = self._connection.execute(
                "SELECT ae_title, coalesce(ended, '') FROM certificate WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
        return None if row is None else Certificate(row[0], row[1])

    @property
    def version(self) -> tuple[int, int]:
        """Two numbers of which one changes whenever an enrolment does: by others, and through this object."""
        with self._lock, translating(self._path.name):
            return self._connection.execute("PRAGMA data_version").fetchone()[0], self._connection.total_changes

    def look(self, caller: Caller, *, door: str = "") -> None:
        """See that a caller may know who is enrolled; a no goes on record.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.
        door : str
            For the record, where it is not the usual one.

        Raises
        ------
        Denied
        """
        said = {"asked": "devices"}
        decide_on_record(
            self._audit.append, caller, Action.MANAGE, door=door or self._door, detail=said, yes=False
        )  # fmt: skip

    def note_test(self, caller: Caller, device: Device, way: str, *, door: str = "") -> None:
        """Put on record that a device is tested, before it is.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.
        device : Device
            Which.
        way : str
            ``to`` or ``from``.
        door : str
            For the record, where it is not the usual one.

        Raises
        ------
        Denied
        """
        said = {"change": "test", "device": device.ae_title, "way": way}
        if way == "to" and device.receives:
            said["at"] = f"{device.host} port {device.port}"
        decide_on_record(self._audit.append, caller, Action.MANAGE, door=door or self._door, detail=said)

    @property
    def authority(self) -> AuthorityCertificate:
        """The certificate that devices know the archive by."""
        return AuthorityCertificate(self._authority.certificate_pem, self._authority.not_after)

    # --- changing -------------------------------------------------------------

    def add(self, caller: Caller, device: Device, *, replace: bool = False, door: str = "") -> None:
        """Enrol a device, or change one.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.
        device : Device
            What it may. Its certificate is not taken from here: it keeps the one it has.
        replace : bool
            Whether an enrolled device of this AE title is changed.
        door : str
            For the record, where it is not the usual one.

        Raises
        ------
        Denied, BadInput
        Conflict
            When the AE title is enrolled already and ``replace`` is not given.
        """
        device.check_new(self.today)
        change = "change" if replace and self.find(device.ae_title) is not None else "add"
        with self._changing(caller, change, device.ae_title, door, **_described(device)):
            if not replace and self.find(device.ae_title) is not None:
                raise Conflict(
                    f"{device.ae_title} is enrolled already. Give --replace to change it, or remove it first."
                )
            self._connection.execute(
                "INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    device.ae_title,
                    json.dumps([str(network) for network in device.addresses]),
                    json.dumps(sorted(device.allow)),
                    device.plaintext,
                    device.until.isoformat() if device.until else None,
                    device.host,
                    device.port,
                ),
            )
            self._connection.execute("DELETE FROM bulk WHERE ae_title = ?", (device.ae_title,))
            if device.bulk:
                until = device.bulk_until.isoformat() if device.bulk_until else None
                self._connection.execute("INSERT INTO bulk VALUES (?, ?, ?)", (device.ae_title, device.bulk, until))
            self._connection.execute("DELETE FROM lane WHERE ae_title = ?", (device.ae_title,))
            if device.why_plaintext:
                self._connection.execute("INSERT INTO lane VALUES (?, ?)", (device.ae_title, device.why_plaintext))

    def remove(self, caller: Caller, ae_title: str, *, door: str = "") -> None:
        """Remove a device; its certificate ends with it.

        Raises
        ------
        Denied, NotHere
        """
        self.get(ae_title)
        with self._changing(caller, "remove", ae_title, door):
            self._end_certificate(ae_title, "removed")
            self._connection.execute("DELETE FROM device WHERE ae_title = ?", (ae_title,))
            self._connection.execute("DELETE FROM bulk WHERE ae_title = ?", (ae_title,))
            self._connection.execute("DELETE FROM lane WHERE ae_title = ?", (ae_title,))

    def revoke(self, caller: Caller, ae_title: str, *, door: str = "") -> None:
        """End a device's certificate at once; the device stays enrolled.

        Raises
        ------
        Denied, NotHere
        Conflict
            When it has none.
        """
        fingerprint = self.get(ae_title).fingerprint
        if not fingerprint:
            raise Conflict(f"{ae_title} has no certificate.")
        with self._changing(caller, "revoke", ae_title, door, fingerprint=fingerprint):
            self._end_certificate(ae_title, "revoked")

    def issue(
        self,
        caller: Caller,
        ae_title: str,
        *,
        instead_of: str,
        request: x509.CertificateSigningRequest | None = None,
        days: int = DEVICE_DAYS,
        door: str = "",
    ) -> Issued:
        """Issue a certificate to a device for somebody to carry there; one it had before ends.

        What is given back is kept nowhere: whoever loses it asks for another.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.
        ae_title : str
            An enrolled device.
        instead_of : str
            Fingerprint of the certificate that the caller saw it have, empty for
            none: so that asking twice does not end what was handed out before.
        request : CertificateSigningRequest, optional
            What the device made, with its own key; by default a key is made here.
        days : int
            How long the certificate lives.
        door : str
            For the record, where it is not the usual one.

        Raises
        ------
        Denied, NotHere, BadInput
        Conflict
            When it has another certificate by now.
        """
        device = self.get(ae_title)
        with self._issuing(caller, device, days, door, request, instead_of) as issued:
            return issued

    def enrol(self, caller: Caller, ae_title: str, out_dir: Path, *, days: int = DEVICE_DAYS) -> Enrolment:
        """Issue a certificate to a device; one it had before ends.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.
        ae_title : str
            An enrolled device.
        out_dir : Path
            Where ``key.pem`` (mode 0600), ``cert.pem`` and ``ca.pem`` go. The
            private key is nowhere else.
        days : int
            How long the certificate lives.

        Raises
        ------
        Denied, NotHere, BadInput
        Conflict
            When one of the files is there already.
        Misconfigured
            When they cannot be written.
        """
        device = self.get(ae_title)
        paths = [out_dir / name for name in (KEY_FILE, CERTIFICATE_FILE, AUTHORITY_FILE)]
        for path in paths:
            if path.exists() or path.is_symlink():
                raise Conflict(f"{path} is there already and is not overwritten. Name an empty folder with --out.")
        with self._issuing(caller, device, days, "", None, None) as issued:
            # Inside the transaction: without its files the certificate is of no use, and the old one should go on.
            _write_files(out_dir, paths, issued, self._authority.certificate_pem)
        key, certificate, authority = paths
        return Enrolment(ae_title, key, certificate, authority, issued.fingerprint, issued.serial, issued.not_after)

    @contextmanager
    def _issuing(
        self,
        caller: Caller,
        device: Device,
        days: int,
        door: str,
        request: x509.CertificateSigningRequest | None,
        instead_of: str | None,
    ) -> Generator[Issued]:
        """Issue a certificate on record; it counts when the block ends well."""
        if not 1 <= days <= 3_650:
            raise BadInput("A certificate lives 1 to 3650 days.")
        ae_title, names, now = device.ae_title, [device.host] if device.host else [], self._clock()
        if request is None:
            issued = self._authority.issue_device(ae_title, names=names, days=days, now=now)
        else:
            issued = self._authority.sign_device(ae_title, request, names=names, days=days, now=now)
        said = {"fingerprint": issued.fingerprint, "serial": issued.serial}
        key = "made here" if request is None else "made by the device"
        with self._changing(caller, "enrol", ae_title, door, **said, key=key):
            if instead_of is not None and self.get(ae_title).fingerprint != instead_of:
                raise Conflict(
                    f"A certificate was made for {ae_title} after this page was opened, and that one counts. Making "
                    "another ends it: do so only if its files are lost."
                )
            self._end_certificate(ae_title, "replaced")
            self._connection.execute(
                "INSERT INTO certificate (fingerprint, ae_title, serial, not_after) VALUES (?, ?, ?, ?)",
                (issued.fingerprint, ae_title, issued.serial, issued.not_after.isoformat()),
            )
            yield issued

    def _end_certificate(self, ae_title: str, why: str) -> None:
        self._connection.execute(
            "UPDATE certificate SET ended = ? WHERE ae_title = ? AND ended IS NULL", (why, ae_title)
        )

    @contextmanager
    def _changing(self, caller: Caller, change: str, ae_title: str, door: str, **detail: str | int) -> Generator[None]:
        """Decide, record, then change in one transaction; what fails is recorded too."""
        said = {"change": change, "device": ae_title, **detail}
        door = door or self._door
        decide_on_record(self._audit.append, caller, Action.MANAGE, door=door, detail=said)
        failing = failing_on_record(self._audit.append, caller, Action.MANAGE, door=door, detail=said)
        with self._lock, failing, transaction(self._connection, self._path.name):
            yield


_Row = tuple[str, str, str, int, str | None, str, int, str | None, str | None, str | None, str | None, str | None]


def _device(row: _Row) -> Device:
    ae_title, addresses, allow, plaintext, until, host, port, fingerprint, not_after, bulk, bulk_until, why = row
    device = Device(
        ae_title=ae_title,
        addresses=tuple(ip_network(text) for text in json.loads(addresses)),
        allow=frozenset(Action(word) for word in json.loads(allow)),
        plaintext=bool(plaintext),
        until=date.fromisoformat(until) if until else None,
        host=host,
        port=port,
        bulk=bulk or "",
        bulk_until=date.fromisoformat(bulk_until) if bulk_until else None,
        why_plaintext=why if why and plaintext else "",
    )
    if fingerprint is None or not_after is None:
        return device
    return replace(device, fingerprint=fingerprint, certificate_until=datetime.fromisoformat(not_after))


def _described(device: Device) -> dict[str, str | int]:
    """Say a device in the words of the audit log."""
    said: dict[str, str | int] = {
        "addresses": ", ".join(str(network) for network in device.addresses),
        "allow": ", ".join(sorted(device.allow)),
    }
    if device.until is not None:
        said["plaintext_until"] = device.until.isoformat()
    if device.why_plaintext:
        said["plaintext_reason"] = device.why_plaintext
    if device.bulk:
        said["bulk"] = device.bulk
        said["bulk_until"] = device.bulk_until.isoformat() if device.bulk_until else "further notice"
    if device.receives:
        said["receives_at"] = f"{device.host} port {device.port}"
    return said


def _write_files(out_dir: Path, paths: Iterable[Path], issued: Issued, authority_pem: bytes) -> None:
    """Write the three files, or none."""
    written: list[Path] = []
    try:
        # Not the folders above it: where a medium is not mounted, a key would end up on the machine's own disk.
        out_dir.mkdir(mode=0o700, exist_ok=True)
        for path, data in zip(paths, (issued.key_pem, issued.certificate_pem, authority_pem), strict=True):
            write_private(path, data)
            written.append(path)
    except BaseException as error:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            if not out_dir.parent.is_dir():
                raise Misconfigured(
                    f"{out_dir.parent} does not exist: is the medium there? Make it, or name another --out."
                ) from error
            raise Misconfigured(
                f"{out_dir} cannot be written to: {error.strerror}. Name another with --out."
            ) from error
        raise
