"""CheckpointFolder: signed heads go to a folder elsewhere, such as a share that can be written once.

Rule: each head is a file of its own, never changed and never removed; it works in
a thread of its own, because a share may hang.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import Final

from leadglass.audit.log import AuditLog
from leadglass.audit.outage import Outage
from leadglass.errors import LeadglassError
from leadglass.system import utc_now

POLL: Final = 5.0
"""Seconds between two looks for a newer head."""


class CheckpointFolder:
    """Puts the log's newest head into a folder until it is closed.

    Parameters
    ----------
    log : AuditLog
        The log.
    folder : Path
        Where they go.
    alert_after : float
        Seconds of failing until it is on record.
    poll : float
        Seconds between two looks.
    clock : callable
        The time now, with its zone.
    """

    def __init__(
        self,
        log: AuditLog,
        folder: Path,
        *,
        alert_after: float,
        poll: float = POLL,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._folder = folder
        self._poll = poll
        self._outage = Outage(log, "The folder for signed heads", alert_after, clock)
        self._kept = 0
        self._stop = Signal()
        self._thread = Thread(target=self._run, name="audit checkpoints", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, grace: float = 5.0) -> None:
        """Keep the last head if that is quick, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(grace)

    def _run(self) -> None:
        while True:
            is_last = self._stop.wait(self._poll if self._kept or self._outage.since else 0)
            if is_last:
                with suppress(LeadglassError):
                    self._log.checkpoint()
            self._try()
            if is_last:
                return

    def _try(self) -> None:
        try:
            with self._log.reader() as reader:
                newest = reader.newest_note(reader.size())
            if newest is not None and newest[0] > self._kept:
                self._keep(*newest)
                self._kept = newest[0]
        except OSError as error:
            self._outage.failed(f"{error.strerror or 'it cannot be written'}.", 0)
        except LeadglassError as error:
            self._outage.failed(error.message, 0)
        else:
            self._outage.worked()

    def _keep(self, size: int, note: str) -> None:
        name = f"{self._log.verifier.origin.rpartition('/')[2]}-{size:012}.checkpoint"
        path = self._folder / name
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            return  # from before a restart
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                path.unlink()  # half of one; where nothing can be removed, the next head will do
            raise
