"""The work behind Storage Commitment: transactions are checked and reported, for as long as it takes (PS3.4 J.3.3).

Rule 1. Nothing is reported that was not looked at with the rights of now; what
was read once is looked up again before each later attempt. Rule 2. A device that
cannot be reached, or does not answer, holds up nobody else. Rule 3. What cannot
be reported within the operator's patience is given up, with an alert.

The report goes over the association that asked, when it is open and silent; else
over a new one to where the device is registered; else the transaction waits until
the device associates again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from time import monotonic
from typing import Final, Protocol

import msgspec

from leadglass.archive.archive import Archive
from leadglass.archive.commitment import Check, Reference, Verdict
from leadglass.dicom import sop_classes
from leadglass.doors.dimse import commitment_report
from leadglass.doors.dimse.commitment import CommitmentDesk, unpack
from leadglass.doors.dimse.commitment_lines import Lines
from leadglass.doors.dimse.commitment_report import Report
from leadglass.doors.dimse.move import DestinationUnknown
from leadglass.doors.dimse.negotiation import Services
from leadglass.doors.dimse.plan import Proposal
from leadglass.doors.dimse.settings import DimseSettings
from leadglass.doors.threads import Threads
from leadglass.errors import Denied, LeadglassError, Misconfigured, NotHere, Unsupported
from leadglass.jobs.queue import Job, JobKind, JobState, Queue
from leadglass.policy.caller import Caller
from leadglass.wire.association import AcceptedContext, Association, ClientAssociation
from leadglass.wire.errors import place
from leadglass.wire.items import Role

LOG: Final = logging.getLogger(__name__)

LOOK: Final = 60.0
"""Seconds after which the queue is looked at, whatever it said before."""

TROUBLE: Final = 1.0
"""Seconds of rest when the queue cannot be read or written."""

SWEEP: Final = 3_600.0
"""Seconds between two times that old transactions are forgotten."""

PATIENCE: Final = 2.0
"""Seconds for which a line that is busy is waited for when there is another way."""

_VERDICTS: Final = msgspec.json.Decoder(list[int])


class Receiver(Protocol):
    """A registered device that reports can be sent to."""

    def report(
        self, proposals: Sequence[Proposal], roles: Mapping[str, Role]
    ) -> AbstractAsyncContextManager[ClientAssociation]:
        """Open an association in which we are the SCP of what we propose.

        Raises
        ------
        LeadglassError
            When there is none to be had.
        """
        ...


class Receivers(Protocol):
    """The devices that reports are sent to."""

    def find(self, ae_title: str) -> Receiver:
        """Look a device up, in a thread.

        Raises
        ------
        DestinationUnknown
            When it is not registered to receive, or not any more.
        """
        ...


Callers = Callable[[str, str], Caller | None]
"""Given an AE title and the session that asked: who that is now; None when it is nobody any more."""


class CommitmentService:
    """Storage Commitment of one door: the desk that takes requests, the lines, and the work.

    Parameters
    ----------
    archive : Archive
        Decides, finds and records.
    queue : Queue
        Where transactions wait.
    callers : callable
        Who a device is now.
    receivers : Receivers
        Where it is reached.
    threads : Threads
        Where all of these are called.
    settings : DimseSettings
        What the operator set.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        archive: Archive,
        queue: Queue,
        callers: Callers,
        receivers: Receivers,
        *,
        threads: Threads,
        settings: DimseSettings,
        clock: Callable[[], float],
    ) -> None:
        self.desk = CommitmentDesk(archive, queue, settings.commitment)
        self.lines = Lines(self._line_opened)
        self.clock = clock
        self._archive = archive
        self._queue = queue
        self._callers = callers
        self._receivers = receivers
        self._threads = threads
        self._settings = settings.commitment
        self._slice = settings.slice
        self._ae_title = settings.ae_title
        self._services = Services(settings.private_storage, settings.private_syntaxes)
        self._checks = asyncio.Semaphore(self._settings.checks)
        self._wake = asyncio.Event()
        self._working: dict[str, asyncio.Task[None]] = {}
        self._waiting: set[str] = set()
        """Devices that could not be reached: a new line of theirs is worth an attempt."""
        self._called: set[str] = set()
        """Those of them that opened one."""
        self._swept = 0.0

    def wake(self) -> None:
        """Have the queue looked at now."""
        self._wake.set()

    def _line_opened(self, owner: str) -> None:
        if owner in self._waiting:
            self._waiting.discard(owner)
            self._called.add(owner)
            self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    pause = await self._look()
                except LeadglassError as error:
                    LOG.warning("commitments not looked at", extra={"kind": error.kind.value, "reason": error.message})
                    await asyncio.sleep(TROUBLE)
                    continue
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            working = list(self._working.values())
            for task in working:
                task.cancel()
            if working:
                await asyncio.wait(working)

    async def _look(self) -> float:
        """Begin what is due; gives the seconds until something is."""
        now = self.clock()
        if now - self._swept >= SWEEP or now < self._swept:
            await self._threads.run(self._queue.sweep, now)
            self._swept = now
        for owner in sorted(self._called):
            await self._threads.run(self._queue.hasten, JobKind.COMMITMENT, owner, now)
            self._called.discard(owner)
        heads, later = await self._threads.run(self._queue.due, JobKind.COMMITMENT, now, frozenset(self._working))
        for owner, number in heads.items():
            if len(self._working) >= self._settings.reports:
                break  # one that ends looks again
            self._working[owner] = asyncio.create_task(self._work(owner, number))
        return LOOK if later is None else min(LOOK, max(0.01, later - now))

    async def _work(self, owner: str, number: int) -> None:
        """Make one attempt at one transaction; whatever goes wrong ends with it."""
        try:
            await self._attempt(number)
        except NotHere:
            pass  # it is over already
        except LeadglassError as error:
            LOG.warning("commitment not worked on", extra={"kind": error.kind.value, "reason": error.message})
            await asyncio.sleep(TROUBLE)
        except Exception as error:  # noqa: BLE001 - the border: a defect holds up one attempt, not the archive
            LOG.error("commitment failed", extra={"place": place(error)})  # noqa: TRY400 - a traceback may hold UIDs
            await asyncio.sleep(TROUBLE)
        finally:
            self._working.pop(owner, None)
            self._wake.set()

    async def _attempt(self, number: int) -> None:
        run, queue, now = self._threads.run, self._queue, self.clock()
        job = await run(queue.get, number)
        pause = min(self._settings.pace.pause(job.attempts + 1), max(job.until - now, TROUBLE))
        await run(queue.begin, number, now, pause)
        work, outcome = await run(queue.work, number)
        session, references = unpack(work)
        if now >= job.until:
            await self._give_up(job, session, f"Last: {job.note or 'it was never tried'}")
            return
        job = replace(job, attempts=job.attempts + 1)
        caller = await run(self._callers, job.owner, session)
        if caller is None:
            await self._give_up(job, session, "The device is not enrolled any more.")
            return
        before = _VERDICTS.decode(outcome) if outcome else None
        try:
            verdicts = await self._judge(caller, job.name, references, before)
        except Denied as error:
            await self._give_up(job, session, error.message)
            return
        except LeadglassError as error:
            await run(queue.note, number, error.message)
            raise
        if verdicts != before:
            await run(self._archive.commitments.decided, caller, job.name, verdicts)
            await run(queue.note, number, "", msgspec.json.encode(verdicts))
        await self._deliver(job, caller, Report(job.name, references, verdicts, self._ae_title))

    # --- finding out ----------------------------------------------------------

    async def _judge(
        self, caller: Caller, transaction_uid: str, references: tuple[Reference, ...], before: list[int] | None
    ) -> list[int]:
        """Judge every reference; what was read at an earlier attempt is only looked up."""
        async with self._checks:
            check = await self._threads.run(self._archive.commitments.check, caller, transaction_uid, references)
            verdicts: list[int] = []
            while len(verdicts) < len(references):
                await self._threads.run(self._judge_some, check, references, before, verdicts)
        return verdicts

    def _judge_some(
        self, check: Check, references: tuple[Reference, ...], before: list[int] | None, verdicts: list[int]
    ) -> None:
        """Judge for a slice of time, in a thread."""
        until = monotonic() + self._slice
        for position in range(len(verdicts), len(references)):
            reference = references[position]
            read = before is None or before[position] != Verdict.COMMITTED
            verdict = check.judge(reference, read=read)
            if verdict is Verdict.NO_SUCH_OBJECT_INSTANCE and not self._services.is_storage(reference.sop_class_uid):
                verdict = Verdict.REFERENCED_SOP_CLASS_NOT_SUPPORTED
            verdicts.append(int(verdict))
            if monotonic() >= until:
                return

    # --- telling --------------------------------------------------------------

    async def _deliver(self, job: Job, caller: Caller, report: Report) -> None:
        """Send the report over whatever way there is; without success the transaction stays in the queue."""
        run = self._threads.run
        try:
            how = await self._send(job, caller, report)
        except LeadglassError as error:
            LOG.warning(
                "commitment not reported", extra={"to": job.owner, "attempts": job.attempts, "reason": error.message}
            )
            await run(self._queue.note, job.number, error.message)
            return
        await run(self._archive.commitments.reported, caller, job.name, how)
        failed = sum(each != Verdict.COMMITTED for each in report.verdicts)
        note = f"{len(report.verdicts) - failed} committed, {failed} failed"
        await run(self._queue.close_job, job.number, JobState.DONE, note, self.clock())

    async def _send(self, job: Job, caller: Caller, report: Report) -> str:
        """Send the report once; gives over what.

        Raises
        ------
        LeadglassError
            When it did not arrive.
        """
        receiver, why = await self._receiver(job.owner)
        line = self.lines.of(job.owner, caller.session)
        if line is not None and (receiver is None or (job.attempts == 1 and line.caller.session == caller.session)):
            patience = self._settings.answer if receiver is None else PATIENCE
            if await line.is_silent(self._settings.quiet, patience):
                how = "its association" if line.caller.session == caller.session else "a later association of its own"
                try:
                    await self._report(report, line.association, line.context)
                except LeadglassError:
                    if receiver is None:
                        self._waiting.add(job.owner)
                        raise
                else:
                    return how
        if receiver is None:
            self._waiting.add(job.owner)
            raise NotHere(f"{why} It waits until the device associates again.")
        async with receiver.report(commitment_report.PROPOSALS, commitment_report.ROLES) as association:
            await self._report(report, association, _context(association))
        return "an association of ours"

    async def _receiver(self, owner: str) -> tuple[Receiver | None, str]:
        try:
            return await self._threads.run(self._receivers.find, owner), ""
        except DestinationUnknown as error:
            return None, error.message

    async def _report(self, report: Report, association: Association, context: AcceptedContext) -> None:
        await commitment_report.send(report, association, context, threads=self._threads, seconds=self._settings.answer)

    async def _give_up(self, job: Job, session: str, why: str) -> None:
        LOG.warning("commitment given up", extra={"to": job.owner, "attempts": job.attempts, "reason": why})
        run = self._threads.run
        await run(self._archive.commitments.given_up, f"device:{job.owner}", job.name, session, why)
        await run(self._queue.close_job, job.number, JobState.GIVEN_UP, why, self.clock())


def _context(association: ClientAssociation) -> AcceptedContext:
    """Give the context over which we report.

    A receiver that takes the class and says nothing of roles is taken at its
    word about the class: many have never heard of role selection. One that says
    no to our role is not.
    """
    uid = sop_classes.STORAGE_COMMITMENT_PUSH_MODEL
    context = next((each for each in association.contexts.values() if each.abstract_syntax == uid), None)
    if context is None:
        raise Unsupported(
            "The device does not take reports of Storage Commitment: it refused the presentation context."
        )
    role = association.answer.roles.get(uid)
    if role is not None and not role.scp:
        raise Misconfigured("The device does not let the archive be the SCP of Storage Commitment on this association.")
    return context
