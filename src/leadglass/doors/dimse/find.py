"""C-FIND as SCP (PS3.4 C.4.1, PS3.7 9.1.2).

Rule 1. Matches are fetched and encoded a page at a time, in a thread, and the
next page is fetched only when the last one is on its way. Rule 2. A C-CANCEL,
and the loss of the association, is seen between any two rows that are looked
for, and between any two writes; a write has a few rows. Rule 3. Only a
few queries work at one time, each for a slice and then the next: the others
wait without a thread. One that works long without a match is ended. Rule 4. A
caller that the archive slows waits between its pages, without a thread and
without a turn; one that it stops gets what was found so far, and then hears that
this is not all.

Status: FF00 match · FF01 match, an optional key is not supported · 0000 done ·
FE00 cancelled · 0124 not authorized · A700 out of resources · A900 identifier
does not match · C001 unable to process.
"""

from asyncio import Semaphore, sleep
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Final, cast

from leadglass.archive.archive import Archive
from leadglass.archive.braking import Found
from leadglass.dicom.codec_io import decode_identifier, encode_identifier
from leadglass.dicom.matching import Root, query_from_identifier
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.tags import (
    InstanceAvailability,
    QueryRetrieveLevel,
    RetrieveAETitle,
    SpecificCharacterSet,
    key,
)
from leadglass.doors.budget import Budget
from leadglass.doors.dimse.negotiation import Extras
from leadglass.doors.dimse.status import Status
from leadglass.doors.threads import Threads
from leadglass.errors import Busy, Throttled
from leadglass.policy.caller import Caller


@dataclass(frozen=True, slots=True)
class Question:
    """A C-FIND as received.

    Parameters
    ----------
    identifier : bytes
        Encoded keys.
    transfer_syntax_uid : str
        Of the identifier, and of the answers.
    root : Root
        The information model.
    extras : Extras
        What was negotiated.
    """

    identifier: bytes
    transfer_syntax_uid: str
    root: Root
    extras: Extras


@dataclass(frozen=True, slots=True)
class Pace:
    """How much a query may do before others get their turn, and before it is ended.

    Parameters
    ----------
    page : int
        Matches of one hop.
    slice : float
        Seconds of one hop.
    patience : float
        Seconds of work without a match.
    octets : int
        Bytes of matches, encoded, after which a hop ends.
    clock : callable
        Monotonic seconds.
    """

    page: int = 64
    slice: float = 0.25
    patience: float = 120.0
    octets: int = 1 << 20
    clock: Callable[[], float] = monotonic


TOGETHER: Final = 16
"""Answers of one write: the client is woken once for them, not sixteen times."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some answers, encoded, whether they are the last, and seconds to wait before the next."""

    answers: list[bytes]
    is_last: bool
    delay: float = 0.0


class Answers:
    """The answers to one question, encoded page by page in a thread.

    Parameters
    ----------
    archive, caller, question
        Who asks what.
    pace : Pace
        How much to do in one hop.
    cancelled : callable
        Whether nobody waits for the answers any more; asked between rows, in
        the thread.
    """

    __slots__ = (
        "_archive",
        "_caller",
        "_cancelled",
        "_charset",
        "_fixed",
        "_fruitless",
        "_matches",
        "_pace",
        "_question",
        "_stopped",
        "pending",
    )

    def __init__(
        self, archive: Archive, caller: Caller, question: Question, pace: Pace, cancelled: Callable[[], bool]
    ) -> None:
        self._archive = archive
        self._caller = caller
        self._question = question
        self._pace = pace
        self._cancelled = cancelled
        self._fruitless = 0.0
        self._matches: Found | None = None
        self._stopped: Throttled | None = None
        self._charset: tuple[str, ...] = ()
        self._fixed: Attributes = {}
        self.pending = Status.PENDING

    def _ask(self, ae_title: str) -> Found:
        question = self._question
        identifier = decode_identifier(question.identifier, question.transfer_syntax_uid)
        query = query_from_identifier(
            identifier,
            root=question.root,
            relational=question.extras.relational,
            combined_date_time=question.extras.combined_date_time,
            empty_value=question.extras.empty_value,
        )
        element = identifier.get(key(SpecificCharacterSet), JsonElement(vr="CS"))
        self._charset = tuple(str(value or "") for value in cast("list[object]", element.get("Value", [])))
        self._fixed = {
            key(QueryRetrieveLevel): JsonElement(vr="CS", Value=[query.level.value]),
            key(RetrieveAETitle): JsonElement(vr="AE", Value=[ae_title]),
        }
        if key(InstanceAvailability) in identifier:
            self._fixed[key(InstanceAvailability)] = JsonElement(vr="CS", Value=["ONLINE"])
        if query.ignored - self._fixed.keys():
            self.pending = Status.PENDING_OPTIONAL_KEYS
        return self._archive.find(self._caller, query)

    def page(self, ae_title: str) -> Page:
        """Give some further answers, encoded: none when the slice was over or the request cancelled before the next.

        Raises
        ------
        Busy
            When the work since the last match took longer than the pace allows.
        Throttled
            When the caller is given no more; what it was given before has been
            given as a page.
        """
        if self._stopped is not None:
            raise self._stopped
        pace = self._pace
        began = since = pace.clock()
        if self._matches is None:
            self._matches = self._ask(ae_title)
        matches = self._matches
        encoded: list[bytes] = []
        octets = 0
        for match in self._unless_stopped(matches):
            now = pace.clock()
            if match:
                encoded.append(
                    encode_identifier(match | self._fixed, self._question.transfer_syntax_uid, self._charset)
                )
                octets += len(encoded[-1])
                self._fruitless, since = 0.0, now
            elif self._fruitless + now - since > pace.patience:
                raise Busy("The query takes too long without a match. Ask for less.")
            is_full = len(encoded) >= pace.page or octets >= pace.octets
            if is_full or now - began >= pace.slice or self._cancelled():
                self._fruitless += now - since
                return Page(encoded, is_last=False, delay=matches.take_delay())
        return Page(encoded, is_last=self._stopped is None, delay=matches.take_delay())

    def _unless_stopped(self, matches: Found) -> Iterator[Attributes]:
        """Give matches as long as the archive does, and keep in mind when it stops."""
        try:
            yield from matches
        except Throttled as error:
            self._stopped = error


async def find(
    archive: Archive,
    caller: Caller,
    question: Question,
    *,
    threads: Threads,
    turns: Semaphore,
    pace: Pace,
    ae_title: str,
    cancelled: Callable[[], bool],
    budget: Budget | None = None,
) -> AsyncIterator[tuple[Status, list[bytes]]]:
    """Answer a question: matches, a few at a time, as a pending status with their identifiers; then the final status.

    Parameters
    ----------
    archive, caller, question
        Who asks what.
    threads : Threads
        Where the archive is called.
    turns : Semaphore
        As many as there are queries that may work at one time.
    pace : Pace
        How much to do in one turn.
    ae_title : str
        Our own, as Retrieve AE Title (0008,0054).
    cancelled : callable
        Whether a C-CANCEL-RQ has arrived or the association is over; asked in
        threads too.
    budget : Budget, optional
        Room for what is about to be sent, of all queries.

    Raises
    ------
    LeadglassError
        When the question cannot be answered.
    """
    answers = Answers(archive, caller, question, pace, cancelled)
    while True:
        async with turns:
            if cancelled():
                yield Status.CANCEL, []
                return
            page = await threads.run(answers.page, ae_title)
        if page.delay:
            await sleep(page.delay)
        room = None if budget is None else budget.answer(str(caller))
        try:
            if room is not None:
                room.add(sum(map(len, page.answers)))
            for start in range(0, len(page.answers), TOGETHER):
                if cancelled():
                    break
                yield answers.pending, page.answers[start : start + TOGETHER]
            else:
                if page.is_last:
                    yield Status.SUCCESS, []
                    return
        except Busy:
            page.answers.clear()  # an exception holds what its frames do until it is collected itself
            raise
        finally:
            if room is not None:
                room.close()
        del page  # large, maybe, and the next may have to be waited for
