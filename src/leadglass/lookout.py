"""Lookout: the self-check inside the server: at start, every day, and when somebody asks; part of the composition root.

Rule: it is in nobody's way. It runs in a thread, after the doors are open, and what
goes wrong in it is said in the log and ends nothing.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from threading import Lock
from time import monotonic
from typing import Final

from leadglass.config import FILE_NAME
from leadglass.doors.cli.application import Ready
from leadglass.doors.pages.system.desk import SystemDesk
from leadglass.doors.web.strangers import Strangers
from leadglass.errors import BadInput, LeadglassError, Misconfigured
from leadglass.exposure import surroundings
from leadglass.exposure.facts import Facts, Opened, Running, Work
from leadglass.exposure.report import Occasion, Report
from leadglass.exposure.selfcheck import seconds_until
from leadglass.exposure.store import ServerNote
from leadglass.gathering import Gatherer, Live, commitments, opened, self_check_of
from leadglass.identity.contacts import Contacts
from leadglass.parts import Parts
from leadglass.system import utc_now

LOG: Final = logging.getLogger(__name__)

_FRESH: Final = 10.0
"""Seconds for which facts that were gathered for a page are good enough for the next."""

_NOTING: Final = 2.0
"""Seconds between two looks at whether there is something new to leave for the command line."""


class Lookout:
    """Looks after the self-check of a running server.

    Parameters
    ----------
    parts : Parts
        What every command needs.
    contacts : Contacts
        When devices were last there.
    busy : callable
        Says how many threads there are, how many work, and how many calls wait.
    associations : callable
        Counts open DICOM associations.

    Raises
    ------
    Misconfigured
        When the time of day in the settings is none.
    """

    def __init__(
        self,
        parts: Parts,
        contacts: Contacts,
        busy: Callable[[], tuple[int, int, int]],
        associations: Callable[[], int],
    ) -> None:
        try:
            seconds_until(parts.config.exposure.at, utc_now())
        except BadInput as error:
            raise Misconfigured(f"[exposure] at in leadglass.toml: {error.message}") from error
        self._parts = parts
        self._busy = busy
        self._associations = associations
        self.strangers = Strangers()
        self.contexts: dict[str, ssl.SSLContext] = {}
        self._doors: tuple[Opened, ...] = ()
        self._running = Running(
            started=utc_now(),
            version=version("leadglass"),
            settings=surroundings.digest_of(parts.folder.path / FILE_NAME),
            is_root=surroundings.is_root(),
            leaves_core=surroundings.leaves_core(),
        )
        self._left: ServerNote | None = None
        self._gatherer = Gatherer(parts, "web", Live(self._note, self.contexts, contacts, self._work))
        self._check = self_check_of(self._gatherer, "pages")
        self._gathering = Lock()
        self._gathered: tuple[float, Facts] | None = None

    @property
    def desk(self) -> SystemDesk:
        """What the system page works with."""
        return SystemDesk(self._check, self.facts)

    def facts(self) -> Facts:
        """Give the facts, at most some seconds old; raises what gathering raises."""
        with self._gathering:
            if self._gathered is None or monotonic() - self._gathered[0] > _FRESH:
                self._gathered = (monotonic(), self._gatherer.facts())
            return self._gathered[1]

    async def run(self, doors: Sequence[Ready]) -> None:
        """Look at once, and then every day; and leave for the command line what the server alone knows."""
        self._doors = tuple(opened(ready.door, ready.address) for ready in doors)
        await self._leave()
        await self._look(Occasion.START)
        nightly = asyncio.create_task(self._every_day())
        try:
            while True:
                await asyncio.sleep(_NOTING)
                await self._leave()
        finally:
            nightly.cancel()

    def close(self) -> None:
        """Wait for a look that goes on, and say that the server has ended."""
        self._check.end()
        with suppress(LeadglassError):
            self._parts.open_exposure().note_server(None)

    async def _every_day(self) -> None:
        while True:
            await asyncio.sleep(seconds_until(self._parts.config.exposure.at, utc_now()))
            await self._look(Occasion.NIGHT)

    async def _look(self, occasion: Occasion) -> None:
        try:
            report = await asyncio.to_thread(self._check.run, occasion)
        except LeadglassError as error:
            LOG.warning("self-check not made", extra={"kind": error.kind.value, "reason": error.message})
        except OSError as error:
            LOG.warning("self-check not made", extra={"error": type(error).__name__})
        else:
            _tell(report)

    async def _leave(self) -> None:
        """Write down what the server says of itself, when that is new."""
        note = self._note()
        if note == self._left:
            return
        try:
            await asyncio.to_thread(self._parts.open_exposure().note_server, note)
        except LeadglassError as error:
            LOG.warning("server not noted", extra={"kind": error.kind.value, "reason": error.message})
        else:
            self._left = note

    def _note(self) -> ServerNote:
        return ServerNote(self._running, self._doors, self.strangers.seen())

    def _work(self) -> Work:
        threads, busy, waiting = self._busy()
        said = self._parts.config.webhooks
        return Work(
            threads=threads,
            busy=busy,
            waiting=waiting,
            commitments=commitments(self._parts),
            receivers=len(said.receivers) + len(said.unsafe_loopback_receivers),
            associations=self._associations(),
        )


def _tell(report: Report) -> None:
    """Say in the log what a run came to: the score, and what is high or worse by its name."""
    counts = {severity.value: count for severity, count in report.counts.items() if count}
    said = {"points": report.points, "grade": report.grade, "occasion": report.occasion.value, **counts}
    if report.is_fine:
        LOG.info("self-check", extra=said)
    else:
        LOG.warning("self-check: see leadglass exposure", extra=said)
