"""Contacts: when each device last spoke, from where and what came of it; and what arrives while somebody waits for it.

Rule 1. What arrives is noted in memory and costs a lock: nothing is written while
a device waits. Rule 2. What is known is saved about once a minute, in a database of
its own, so that saving it is no change of enrolments. What a crash forgets is in
the audit log. Rule 3. Strangers fill nothing: what is kept of them is bounded, and
only what claims an enrolled AE title is saved.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Final

from leadglass.crypto.database import transaction, translating
from leadglass.identity.device import Device
from leadglass.identity.peers import IpNetwork, is_inside, plain
from leadglass.identity.store import SealedStore
from leadglass.system import utc_now

CONTACTS_FILE: Final = "contacts.db"

MOST_CLAIMED: Final = 1_024
"""AE titles that are remembered between two savings, enrolled or claimed by strangers."""

MOST_WAITING: Final = 16
"""People who wait for a device at one time; the oldest gives way."""

MOST_SEEN: Final = 60
"""Arrivals that are kept for one who waits."""

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS contact (
        ae_title TEXT PRIMARY KEY,
        at TEXT, address TEXT NOT NULL, secured INTEGER NOT NULL, did TEXT NOT NULL,
        refused_at TEXT, refused_address TEXT NOT NULL, why TEXT NOT NULL
    )""",
)


class What(StrEnum):
    """What an arrival is."""

    LET_IN = "let in"
    ECHOED = "echoed"
    NOT_ECHOED = "not echoed"
    ENDED = "ended"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that came to the DICOM doors.

    Parameters
    ----------
    what : What
        What it is.
    address : str
        Where it came from.
    at : datetime
        When (UTC).
    secured : bool
        Whether it spoke TLS.
    calling, called : str
        AE titles as claimed; empty when none was heard. Hostile.
    why : str
        The kind of a refusal (``associations.Why``).
    said : str
        What the audit log says of it.
    """

    what: What
    address: str
    at: datetime
    secured: bool = False
    calling: str = ""
    called: str = ""
    why: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Contact:
    """What is known of a device's last words.

    Parameters
    ----------
    ae_title : str
        Which.
    at : datetime, optional
        When it was last let in (UTC).
    address : str
        From where.
    secured : bool
        Whether it spoke TLS.
    did : str
        What it did, in few words; may be empty.
    refused_at : datetime, optional
        When somebody of this name was last turned away.
    refused_address : str
        From where.
    why : str
        Why, by its kind (``associations.Why``).
    """

    ae_title: str
    at: datetime | None = None
    address: str = ""
    secured: bool = False
    did: str = ""
    refused_at: datetime | None = None
    refused_address: str = ""
    why: str = ""

    @property
    def latest(self) -> datetime | None:
        """When it was last heard of, whatever came of it."""
        known = [moment for moment in (self.at, self.refused_at) if moment is not None]
        return max(known, default=None)

    @property
    def was_refused_last(self) -> bool:
        """Whether the last that was heard of it is a refusal."""
        return self.refused_at is not None and (self.at is None or self.refused_at > self.at)


@dataclass(slots=True)
class Waiting:
    """Somebody who waits for a device; what arrives from where it is, or under its name, is kept.

    Parameters
    ----------
    ae_title : str
        Whose.
    addresses : tuple of networks
        Where it is enrolled.
    seen : deque of Arrival
        What came of it.
    strangers : deque of Arrival
        What came meanwhile and was not let in, under other names from other addresses.
    """

    ae_title: str
    addresses: tuple[IpNetwork, ...]
    seen: "deque[Arrival]" = field(default_factory=lambda: deque[Arrival](maxlen=MOST_SEEN))
    strangers: "deque[Arrival]" = field(default_factory=lambda: deque[Arrival](maxlen=MOST_SEEN))

    def take(self, arrival: Arrival) -> None:
        """Keep it, if it is of the device or may be."""
        if arrival.calling.strip(" ") == self.ae_title or is_inside(plain(arrival.address), self.addresses):
            self.seen.append(arrival)
        elif arrival.what in {What.REFUSED, What.FAILED}:
            self.strangers.append(arrival)


class Contacts(SealedStore):
    """Who was last heard of when. Safe for threads.

    Parameters
    ----------
    path : Path
        The sealed database.
    key : bytes
        32 bytes: its key.
    clock : callable
        The time now (UTC).

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
        When the database cannot be opened.
    """

    def __init__(self, path: Path, key: bytes, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(path, key, _SCHEMA, clock)
        self._noting = Lock()
        self._known: OrderedDict[str, Contact] = OrderedDict()
        self._unsaved: set[str] = set()
        self._waiting: list[Waiting] = []

    # --- noting: in memory ------------------------------------------------------

    def note(self, arrival: Arrival) -> None:
        """Note that something arrived; nothing is written now."""
        with self._noting:
            for waiting in self._waiting:
                waiting.take(arrival)
            title = arrival.calling.strip(" ")
            if title and (arrival.what is not What.FAILED):
                self._remember(_with(self._known.get(title) or Contact(title), arrival))

    def _remember(self, contact: Contact) -> None:
        title = contact.ae_title
        self._known[title] = contact
        self._known.move_to_end(title)
        self._unsaved.add(title)
        if len(self._known) > MOST_CLAIMED:
            gone, _ = self._known.popitem(last=False)
            self._unsaved.discard(gone)

    def wait_for(self, device: Device) -> Waiting:
        """Begin to keep what arrives of a device."""
        waiting = Waiting(device.ae_title, device.addresses)
        with self._noting:
            self._waiting.append(waiting)
            del self._waiting[:-MOST_WAITING]
        return waiting

    def stop_waiting(self, waiting: Waiting) -> None:
        """Stop; what was kept stays with it."""
        with self._noting:
            self._waiting = [each for each in self._waiting if each is not waiting]

    def arrived(self, waiting: Waiting) -> tuple[tuple[Arrival, ...], tuple[Arrival, ...]]:
        """Give what came so far: of the device, and of strangers."""
        with self._noting:
            return tuple(waiting.seen), tuple(waiting.strangers)

    # --- asking -----------------------------------------------------------------

    def of(self, ae_titles: Iterable[str]) -> dict[str, Contact]:
        """Give what is known of each; nothing for who was never heard of.

        Raises
        ------
        Busy, Corrupt, Misconfigured
        """
        with self._lock, translating(self._path.name):
            rows: list[_Row] = self._connection.execute("SELECT * FROM contact").fetchall()
        known = {row[0]: _contact(row) for row in rows}
        with self._noting:
            for title in self._unsaved:
                known[title] = _joined(known.get(title), self._known[title])
        wanted = set(ae_titles)
        return {title: contact for title, contact in known.items() if title in wanted}

    # --- saving -----------------------------------------------------------------

    def save(self, enrolled: Iterable[str]) -> None:
        """Save what is new of enrolled devices, and forget everybody else.

        Parameters
        ----------
        enrolled : iterable of str
            Their AE titles.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
            When it cannot be; what is unsaved stays so.
        """
        titles = set(enrolled)
        with self._noting:
            new = [self._known[title] for title in self._unsaved]
        with self._lock:
            if new:
                with transaction(self._connection, self._path.name):
                    kept: list[_Row] = self._connection.execute("SELECT * FROM contact").fetchall()
                    old = {row[0]: _contact(row) for row in kept}
                    self._connection.executemany(
                        "DELETE FROM contact WHERE ae_title = ?", [(title,) for title in old.keys() - titles]
                    )
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO contact VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        [_row(_joined(old.get(each.ae_title), each)) for each in new if each.ae_title in titles],
                    )
        with self._noting:
            for contact in new:
                if self._known.get(contact.ae_title) == contact:  # nothing came meanwhile
                    self._unsaved.discard(contact.ae_title)
                    del self._known[contact.ae_title]


def _with(contact: Contact, arrival: Arrival) -> Contact:
    """Add what arrived to what is known."""
    match arrival.what:
        case What.LET_IN:
            return replace(contact, at=arrival.at, address=arrival.address, secured=arrival.secured, did="")
        case What.ECHOED | What.NOT_ECHOED | What.ENDED:
            return replace(contact, did=arrival.said or contact.did)
        case What.REFUSED:
            return replace(contact, refused_at=arrival.at, refused_address=arrival.address, why=arrival.why)
        case What.FAILED:
            return contact


def _joined(old: Contact | None, new: Contact) -> Contact:
    """Let what is new count, and what was saved where nothing is."""
    if old is None:
        return new
    if new.at is None:
        did = new.did or old.did
        new = replace(new, at=old.at, address=old.address, secured=old.secured, did=did)
    if new.refused_at is None:
        new = replace(new, refused_at=old.refused_at, refused_address=old.refused_address, why=old.why)
    return new


_Row = tuple[str, str | None, str, int, str, str | None, str, str]


def _row(contact: Contact) -> _Row:
    return (
        contact.ae_title,
        contact.at.isoformat() if contact.at else None,
        contact.address,
        int(contact.secured),
        contact.did,
        contact.refused_at.isoformat() if contact.refused_at else None,
        contact.refused_address,
        contact.why,
    )


def _contact(row: _Row) -> Contact:
    title, at, address, secured, did, refused_at, refused_address, why = row
    return Contact(
        title,
        datetime.fromisoformat(at) if at else None,
        address,
        bool(secured),
        did,
        datetime.fromisoformat(refused_at) if refused_at else None,
        refused_address,
        why,
    )
