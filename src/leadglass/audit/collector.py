"""Collector: the audit log goes to the operator's syslog collector, over mutual TLS, and nothing is lost on the way.

Rule 1. The log itself is the queue: what was handed over is a number, kept beside
it, that moves only when the collector has confirmed (``link``). Rule 2. At least
once: after an outage or a crash, what was not confirmed is sent again, and each
message bears its record's number. Rule 3. It works in a thread of its own and
with bounded memory; nobody who stores or reads waits for it. Rule 4. There is no
way without TLS.
"""

import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path
from random import uniform
from threading import Event as Signal
from threading import Thread
from time import monotonic
from typing import Final

from leadglass.audit import cursor as cursors
from leadglass.audit.cursor import Cursor
from leadglass.audit.event import Event, Outcome
from leadglass.audit.link import Link
from leadglass.audit.log import AuditLog
from leadglass.audit.meaning import COLLECT
from leadglass.audit.outage import Outage
from leadglass.audit.reading import Reader
from leadglass.audit.syslog import Sender
from leadglass.errors import LeadglassError
from leadglass.system import utc_now

LOG: Final = logging.getLogger(__name__)

FILE: Final = "audit.collector"
"""Where the cursor is, in the data folder."""

_AT_ONCE: Final = 200
"""Records read and sent at a time: at most some MB."""

_FIRST_WAIT, _LAST_WAIT = 0.5, 60.0
"""Seconds between attempts, doubled from the first to the last."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the collector works; seconds unless it says otherwise.

    Parameters
    ----------
    poll : float
        Between two looks at the log.
    patience : float
        For which the collector may take nothing.
    confirm_records : int
        Records sent until they are to be confirmed.
    confirm_after : float
        Until records that were sent are to be confirmed though few.
    silence : float
        To wait for the collector to confirm.
    heartbeat : float
        After which the newest signed head is sent again, though nothing is new.
    alert_after : float
        Of failing until it is on record.
    """

    poll: float = 1.0
    patience: float = 30.0
    confirm_records: int = 5_000
    confirm_after: float = 10.0
    silence: float = 10.0
    heartbeat: float = 900.0
    alert_after: float = 600.0


class Collector:
    """Hands the log over until it is closed.

    Parameters
    ----------
    log : AuditLog
        The log.
    state : Path
        Where the cursor is kept.
    address : tuple of str and int
        The collector's name, as in its certificate, and port.
    context : callable
        Makes the TLS context, anew for each connection, so that a renewed
        certificate counts; raises ``Misconfigured``.
    sender : Sender
        Writes the messages.
    pace : Pace
        How fast and how patiently.
    clock : callable
        The time now, with its zone.
    """

    def __init__(
        self,
        log: AuditLog,
        state: Path,
        address: tuple[str, int],
        context: Callable[[], ssl.SSLContext],
        sender: Sender,
        *,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._state = state
        self._address = address
        self._context = context
        self._sender = sender
        self._pace = pace or Pace()
        self._clock = clock
        self._cursor = cursors.load(state)
        what = f"The audit collector {address[0]} port {address[1]}"
        since, is_told = self._cursor.failing_since, self._cursor.alerted
        self._outage = Outage(log, what, self._pace.alert_after, clock, since, is_told=is_told)
        self._link: Link | None = None
        self._sent = self._cursor.sequence
        self._head = self._cursor.checkpoint
        self._sent_at = self._head_at = monotonic()
        self._is_courteous = True
        self._stop = Signal()
        self._thread = Thread(target=self._run, name="audit collector", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, grace: float = 5.0) -> None:
        """Hand over what is left if that is quick, and end; the rest goes with the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(grace)

    # --- the thread -----------------------------------------------------------

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            if self._try():
                wait = _FIRST_WAIT
                self._stop.wait(self._pace.poll)
            else:
                self._stop.wait(uniform(wait / 2, wait))  # noqa: S311 - so that many archives do not come at once
                wait = min(2 * wait, _LAST_WAIT)
        if self._outage.since is None:
            with suppress(LeadglassError):
                self._log.checkpoint()
            self._try(is_last=True)

    def _try(self, *, is_last: bool = False) -> bool:
        """Hand over what there is; says whether that went well."""
        try:
            with self._log.reader() as reader:
                self._check_end(reader)
                self._deliver(reader, is_last=is_last)
        except (LeadglassError, OSError) as error:
            self._drop()
            self._sent, self._head = self._cursor.sequence, self._cursor.checkpoint
            self._head_at = -inf  # so that there is something to try with, even when no record waits
            self._failed(error)
            return False
        return True

    def _check_end(self, reader: Reader) -> None:
        """Compare the cursor with where the log ends: a log that was put back is behind it."""
        size, had = reader.size(), self._cursor.sequence
        if had <= size:
            return
        self._save(sequence=size, checkpoint=0)
        self._sent, self._head = size, 0
        reason = (
            "The audit log ends before what the collector has of it: it was put back to an earlier state. "
            "What is recorded from now on is sent; compare with what the collector has."
        )
        detail: dict[str, str | int] = {"log": size, "collector": had}
        self._log.append(Event(Outcome.ALERT, COLLECT, peer="local", door="system", reason=reason, detail=detail))

    def _deliver(self, reader: Reader, *, is_last: bool) -> None:
        while True:
            rows = reader.after(self._sent, _AT_ONCE)
            if rows:
                self._connected().send(b"".join(self._sender.of_record(row.body or "") for row in rows))
                self._sent, self._sent_at = rows[-1].sequence, monotonic()
            self._send_head(reader)
            waits = self._sent - self._cursor.sequence
            if self._link is not None and (waits >= self._pace.confirm_records or is_last or self._is_due()):
                self._confirm()
            if len(rows) < _AT_ONCE or (self._stop.is_set() and not is_last):
                return

    def _is_due(self) -> bool:
        # While it fails, each success is worth knowing at once: it ends the outage.
        return self._outage.since is not None or monotonic() - self._sent_at >= self._pace.confirm_after

    def _send_head(self, reader: Reader) -> None:
        newest = reader.newest_note(self._sent)
        if newest is None:
            return
        size, note = newest
        if size > self._head or monotonic() - self._head_at >= self._pace.heartbeat:
            self._connected().send(self._sender.of_note(note, size, self._clock()))
            self._head = size
            self._head_at = self._sent_at = monotonic()

    def _connected(self) -> Link:
        if self._link is None:
            host, port = self._address
            self._link = Link(host, port, self._context(), patience=self._pace.patience)
        return self._link

    def _confirm(self) -> None:
        """End the connection, and move the cursor: the collector has all that was sent."""
        link, self._link = self._link, None
        if link is None:
            return
        was_courteous = self._is_courteous
        self._is_courteous = link.end(silence=self._pace.silence if was_courteous else min(1.0, self._pace.silence))
        if was_courteous and not self._is_courteous:
            LOG.warning("the audit collector does not end connections; its machine's acknowledgement has to do")
        self._outage.worked()
        self._save(sequence=self._sent, checkpoint=self._head, confirmed=self._clock())

    def _failed(self, error: LeadglassError | OSError) -> None:
        reason = _why(error)
        waiting = 0
        with suppress(LeadglassError), self._log.reader() as reader:
            waiting = reader.size() - self._cursor.sequence
        if self._outage.since is None:
            LOG.warning("audit collector not reached", extra={"reason": reason, "waiting": waiting})
        before = (self._outage.since, self._outage.is_told, self._outage.reason)
        self._outage.failed(reason, waiting)
        if before != (self._outage.since, self._outage.is_told, self._outage.reason):
            with suppress(LeadglassError):
                self._save(sequence=self._cursor.sequence, checkpoint=self._cursor.checkpoint)

    def _save(self, *, sequence: int, checkpoint: int, confirmed: datetime | None = None) -> None:
        cursor = Cursor(
            sequence=sequence,
            checkpoint=checkpoint,
            confirmed=confirmed or self._cursor.confirmed,
            failing_since=self._outage.since,
            alerted=self._outage.is_told,
            reason=self._outage.reason,
        )
        cursors.save(self._state, cursor)
        self._cursor = cursor

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def _why(error: LeadglassError | OSError) -> str:
    """Say why in words, without what a stranger on the other side could have put in."""
    match error:
        case LeadglassError():
            return error.message
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted ({error.verify_message})."
        case ssl.SSLError():
            return f"TLS failed ({error.reason or 'the connection ended'}); see whether it accepts our certificate."
        case TimeoutError():
            return "it took nothing for too long."
        case _:
            return f"{error.strerror or 'the connection failed'}."
