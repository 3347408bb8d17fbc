"""Inspection: the log looked at, verified and given away by who reads it, each of it on record.

Rule 1. Whoever looks is permitted and recorded first; who looks into a damaged log
must see it, so that only there it is shown without a record. Rule 2. One
verification at a time: it hashes every record.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from queue import Queue
from threading import Lock, Thread
from typing import Final

from leadglass.audit.decision import decide_on_record
from leadglass.audit.dicom_xml import to_xml
from leadglass.audit.event import Event, Outcome
from leadglass.audit.export import export
from leadglass.audit.fhir import to_fhir
from leadglass.audit.log import AuditLog
from leadglass.audit.reading import Reader, Selection
from leadglass.audit.record import Record, decode
from leadglass.audit.verification import Verification
from leadglass.errors import Busy, Corrupt, LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.system import utc_now

NEWEST: Final = 1 << 62
"""A number that no record reaches."""

FORMATS: Final = ("leadglass", "dicom-xml", "fhir")
"""How the log is given away: verifiable anywhere; PS3.15 A.5 messages, one a line; AuditEvents as NDJSON."""

_MOST_CALLERS: Final = 200
_BLOCKS: Final = 16
"""Blocks of an export that wait for who reads it."""
_BLOCK: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Leaf:
    """A page of the log, newest first.

    Parameters
    ----------
    records : tuple of Record or int
        The records; of one that cannot be read, the number.
    older : int, optional
        Before which record the next page begins; None: there is none.
    is_recorded : bool
        Whether looking is on record; not where the log is damaged.
    """

    records: tuple[Record | int, ...]
    older: int | None
    is_recorded: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification came to.

    Parameters
    ----------
    by : str
        Who had it done.
    began, ended : datetime
        From when to when it ran (UTC).
    result : Verification, optional
        What was found; None when it could not be done.
    reason : str
        Why it could not be done.
    """

    by: str
    began: datetime
    ended: datetime
    result: Verification | None
    reason: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was touched; the copy of the newest signed head beside the log is part of the record."""
        return self.result is not None and self.result.ok and not self.result.warnings

    @property
    def root(self) -> str:
        """The tree's head, in base64."""
        return b64encode(self.result.root).decode() if self.result else ""


@dataclass(frozen=True, slots=True)
class Verifying:
    """A verification that runs."""

    by: str
    began: datetime
    checked: int
    size: int


class Inspection:
    """The log for those who read it, at one door. Safe for threads.

    Parameters
    ----------
    log : AuditLog
        The log.
    door : str
        For the records.
    source : str
        What the archive calls itself in messages of PS3.15 A.5 and FHIR.
    ended : callable
        Told of each verification that came to its end: whether the log is whole.
    clock : callable
        The time now (UTC).
    """

    def __init__(
        self,
        log: AuditLog,
        *,
        door: str,
        source: str,
        ended: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._ended = ended
        self._door = door
        self._source = source
        self._clock = clock
        self._lock = Lock()
        self._running: Verifying | None = None
        self._last: Verified | None = None

    # --- looking ------------------------------------------------------------------

    def look(self, caller: Caller, selection: Selection, before: int = NEWEST, count: int = 50) -> Leaf:
        """Give the newest records before one that meet every condition.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``AUDIT``.
        selection : Selection
            Which records.
        before : int
            The record before which the page begins.
        count : int
            How many.

        Raises
        ------
        Denied, Busy, Misconfigured
        """
        asked = {"asked": "show", **selection.to_json()}
        if before != NEWEST:
            asked["before"] = str(before)
        is_recorded = self._decide(caller, asked)
        with self._log.reader() as reader:
            rows = reader.newest(selection, before, count + 1)
        shown = tuple(_record(row.sequence, row.body or "") for row in rows[:count])
        return Leaf(shown, rows[count - 1].sequence if len(rows) > count else None, is_recorded)

    def callers(self, caller: Caller) -> list[str]:
        """Give who is on record by name, for a form; raises as ``look``."""
        decide_on_record(self._log.append, caller, Action.AUDIT, door=self._door, detail={"asked": "names"}, yes=False)
        with self._log.reader() as reader:
            return reader.callers(_MOST_CALLERS)

    # --- verifying ----------------------------------------------------------------

    def state(self, caller: Caller) -> tuple[Verifying | None, Verified | None]:
        """Give the verification that runs, and what the last one came to; raises ``Denied``."""
        said = {"asked": "state"}
        decide_on_record(self._log.append, caller, Action.AUDIT, door=self._door, detail=said, yes=False)
        with self._lock:
            return self._running, self._last

    def begin_verifying(self, caller: Caller) -> None:
        """Have every record hashed again, in a thread of its own.

        Raises
        ------
        Denied
        Busy
            When one runs.
        """
        self._decide(caller, {"asked": "verify"})
        with self._log.reader() as reader:
            size = reader.size()
        with self._lock:
            if self._running is not None:
                raise Busy("The log is being verified already. Wait for that.")
            self._running = Verifying(str(caller), self._clock(), 0, size)
        Thread(target=self._verify, args=(caller,), name="audit-verify", daemon=True).start()

    def _verify(self, caller: Caller) -> None:
        began = self._clock()

        def progress(checked: int) -> None:
            with self._lock:
                if self._running is not None:
                    self._running = Verifying(str(caller), began, checked, max(checked, self._running.size))

        result: Verification | None = None
        reason = "it ended before its time"
        try:
            result = self._log.verify(progress=progress)
            reason = ""
        except LeadglassError as error:
            reason = error.message
        finally:
            verified = Verified(str(caller), began, self._clock(), result, reason)
            try:
                self._tell(caller, verified)  # on record before anybody is shown it
            finally:
                with self._lock:
                    self._running, self._last = None, verified
        if verified.result is not None:
            self._ended(verified.is_whole)

    def _tell(self, caller: Caller, verified: Verified) -> None:
        """Put on record what came of it, where the log still takes records."""
        found = verified.result
        detail: dict[str, str | int] = {"asked": "verify"}
        if found is not None:
            detail |= {"records": found.records, "signed": found.signed, "root": verified.root}
        if verified.is_whole:
            outcome, said = Outcome.DONE, "The audit log is whole."
        else:
            fault = f"Record {found.fault.sequence} {found.fault.what}." if found and found.fault else ""
            warnings = " ".join(found.warnings) if found else verified.reason
            outcome = Outcome.ALERT
            said = " ".join(f"The audit log was touched, or cannot be verified. {fault} {warnings}".split())
        try:
            self._log.append(Event.of(caller, outcome, Action.AUDIT, said, door=self._door, detail=detail))
        except LeadglassError:
            return  # it is shown all the same

    # --- giving away --------------------------------------------------------------

    def give(self, caller: Caller, form: str, selection: Selection) -> Generator[bytes]:
        """Give records away, as ``leadglass audit export`` does: decided when this returns, made while it is read.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``AUDIT``.
        form : str
            One of ``FORMATS``.
        selection : Selection
            Which records.

        Raises
        ------
        Denied
        Corrupt
            While it is read, when the log does not fit its signed head.
        """
        decide_on_record(
            self._log.append,
            caller,
            Action.AUDIT,
            door=self._door,
            detail={"asked": "export", "format": form, **selection.to_json()},
        )
        if form == "leadglass":
            return _blocks(_pushed(lambda write: export(self._log, selection, write)))
        return _blocks(self._messages(form, selection))

    def _messages(self, form: str, selection: Selection) -> Generator[bytes]:
        with self._log.reader() as reader:
            yield from messages(reader, form, selection, self._source)

    # --- within -------------------------------------------------------------------

    def _decide(self, caller: Caller, detail: dict[str, str]) -> bool:
        """Decide over looking and put it on record; gives whether it is."""
        is_recorded = True

        def record(event: Event) -> None:
            nonlocal is_recorded
            try:
                self._log.append(event)
            except Corrupt:
                if event.outcome is not Outcome.PERMITTED:
                    raise
                is_recorded = False

        decide_on_record(record, caller, Action.AUDIT, door=self._door, detail=detail)
        return is_recorded


def messages(reader: Reader, form: str, selection: Selection, source: str) -> Generator[bytes]:
    """Give the selected records as messages of another format, a line each.

    Parameters
    ----------
    reader : Reader
        Of the log.
    form : str
        ``dicom-xml`` or ``fhir``.
    selection : Selection
        Which records.
    source : str
        What the archive calls itself.

    Raises
    ------
    Corrupt
        At a record that cannot be read.
    """
    for row in reader.selected(selection, reader.size()):
        record = decode(row.body or "")
        if form == "fhir":
            line = json.dumps(to_fhir(record, source), separators=(",", ":"), ensure_ascii=False)
        else:
            line = to_xml(record, source)
        yield line.encode("utf-8", "backslashreplace") + b"\n"


def _record(sequence: int, body: str) -> Record | int:
    try:
        return decode(body)
    except Corrupt:
        return sequence


def _blocks(lines: Generator[bytes]) -> Generator[bytes]:
    """Gather lines into blocks that are worth sending."""
    gathered = bytearray()
    try:
        for line in lines:
            gathered += line
            if len(gathered) >= _BLOCK:
                yield bytes(gathered)
                gathered.clear()
        if gathered:
            yield bytes(gathered)
    finally:
        lines.close()


class _StoppedError(Exception):
    """Nobody reads on."""


def _pushed(write_all: Callable[[Callable[[bytes], object]], object]) -> Generator[bytes]:
    """Give what a function writes, which runs in a thread beside who reads; a few blocks ahead at most."""
    queue: Queue[bytes | BaseException | None] = Queue(_BLOCKS)
    is_wanted = True
    gathered = bytearray()

    def write(data: bytes) -> None:
        if not is_wanted:
            raise _StoppedError
        gathered.extend(data)
        if len(gathered) >= _BLOCK:
            queue.put(bytes(gathered))
            gathered.clear()

    def run() -> None:
        try:
            write_all(write)
            queue.put(bytes(gathered))
            queue.put(None)
        except BaseException as error:  # noqa: BLE001 - the border: whoever reads gets it
            queue.put(error)

    thread = Thread(target=run, name="audit-export", daemon=True)
    thread.start()
    try:
        while (block := queue.get()) is not None:
            if isinstance(block, BaseException):
                raise block
            yield block
    finally:
        is_wanted = False
        while thread.is_alive():
            if not queue.empty():
                queue.get_nowait()
            thread.join(0.01)
