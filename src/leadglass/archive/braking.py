"""Braking: what every caller was given lately, and what the brakes say to its next wish.

Rule 1. It is counted by caller, not by session or door: who connects anew, or
many times at once, is who he was. Rule 2. Who was granted bulk is not counted.
Rule 3. Waiting is the door's: nothing here sleeps, and no lock is held for long.
Rule 4. Memory is bounded; past the bound more is counted, never less.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from math import ceil, isfinite
from secrets import token_bytes
from threading import Lock
from time import monotonic, time
from typing import Final, cast

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.brake_store import BrakeStore, Saved, SavedUsage, pack, unpack
from leadglass.archive.ledger import Ledger
from leadglass.archive.lists import Listing, Sheet
from leadglass.audit.event import Event, Outcome
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.tags import IssuerOfPatientID, PatientID, StudyInstanceUID, key
from leadglass.errors import Throttled
from leadglass.policy.action import Action
from leadglass.policy.brakes import DEFAULTS, FREE, HOUR, MINUTE, Brakes, Meter, Reading, Usage, Verdict
from leadglass.policy.caller import Caller, CallerKind

MAX_MARKS: Final = 1_000_000
"""Studies and patients remembered over all callers; about 120 MB, and 33 devices that are all at their limits."""

MAX_CALLERS: Final = 4_096
"""Callers told apart; those beyond are counted as one, by kind."""

MOST_DELAY: Final = 2.0
"""Seconds that one request is held up at most, unless told otherwise."""


class Braking:
    """The brakes of one archive, for all of its doors. Safe for threads.

    Parameters
    ----------
    limits : mapping of CallerKind to tuple of Brake
        Of each kind of caller; a kind that is not there has those of a link.
    most_delay : float
        Seconds that one request may be held up.
    store : BrakeStore, optional
        Where counts survive a restart.
    max_marks, max_callers : int
        Bounds on memory.
    clock, wall : callable
        Monotonic seconds, and those of the calendar.
    """

    def __init__(
        self,
        limits: Mapping[CallerKind, Brakes] = DEFAULTS,
        *,
        most_delay: float = MOST_DELAY,
        store: BrakeStore | None = None,
        max_marks: int = MAX_MARKS,
        max_callers: int = MAX_CALLERS,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self._limits = limits
        self._most_delay = most_delay
        self._store = store
        self._max_marks = max_marks
        self._max_callers = max_callers
        self._clock = clock
        self._wall = wall
        self._salt = token_bytes(32) if store is None else store.salt
        self._lock = Lock()
        self._marks = 0
        self._usages: dict[str, Usage] = {}
        self._changed: set[str] = set()
        for saved in () if store is None else store.load():
            self._restore(saved)

    # --- asking ---------------------------------------------------------------

    def query(self, caller: Caller) -> Verdict:
        """Count one query, or refuse it."""
        return self._judge(caller, Action.FIND, lambda usage, now, _: usage.charge(Meter.QUERIES, 1, now))

    def row(self, caller: Caller, match: Attributes) -> Verdict:
        """Count the patient or study a row is about, or refuse the row."""
        marks = (self._mark(_about(match)),)
        return self._judge(
            caller, Action.FIND, lambda usage, now, room: usage.charge_new(Meter.LISTED, marks, now, room=room)
        )

    def retrieval(self, caller: Caller, action: Action, study_uids: Iterable[str], octets: int) -> Verdict:
        """Count the studies of a retrieval, or refuse it; also when there is no room for its octets."""
        marks = [self._mark(uid) for uid in study_uids]

        def judge(usage: Usage, now: float, room: int) -> Verdict:
            verdict = usage.would_refuse(Meter.OCTETS, octets, now)
            return verdict if verdict.refused else usage.charge_new(Meter.STUDIES, marks, now, room=room)

        return self._judge(caller, action, judge)

    def octets(self, caller: Caller, action: Action, octets: int) -> Verdict:
        """Count the octets of one instance, or refuse it."""
        return self._judge(caller, action, lambda usage, now, _: usage.charge(Meter.OCTETS, octets, now))

    def has_room(self, caller: Caller, action: Action, study_uid: str, octets: int) -> bool:
        """Say whether so many octets of a study make nobody wait and need not be told of; nothing is counted."""
        brakes = self._brakes(caller.kind)
        if not brakes or _has_bulk(caller, action):
            return True
        mark = self._mark(study_uid)
        with self._lock:
            usage = self._usages.get(counted_as(str(caller)))
            if usage is None:
                return False
            before = usage.remembered
            has_room = usage.has_room(octets, mark, self._clock())
            self._marks += usage.remembered - before  # who looks lets go of what is over
            return has_room

    def _judge(self, caller: Caller, action: Action, judge: Callable[[Usage, float, int], Verdict]) -> Verdict:
        brakes = self._brakes(caller.kind)
        if not brakes or _has_bulk(caller, action):
            return FREE
        now = self._clock()
        with self._lock:
            name, usage = self._usage(caller, brakes, now)
            before = usage.remembered
            verdict = judge(usage, now, self._max_marks - self._marks)
            self._marks += usage.remembered - before
            self._changed.add(name)
        return verdict

    def _usage(self, caller: Caller, brakes: Brakes, now: float) -> tuple[str, Usage]:
        name = counted_as(str(caller))
        usage = self._usages.get(name)
        if usage is not None:
            return name, usage
        if len(self._usages) >= self._max_callers:
            self._let_go(now)
        if len(self._usages) >= self._max_callers:
            name = f"{caller.kind}:*"
        return name, self._usages.setdefault(name, Usage(brakes, self._most_delay))

    def _let_go(self, now: float) -> None:
        """Forget callers of whom nothing counts any more."""
        for name in [name for name, usage in self._usages.items() if usage.is_idle(now)]:
            del self._usages[name]
            self._changed.add(name)
        self._marks = sum(usage.remembered for usage in self._usages.values())

    def _brakes(self, kind: CallerKind) -> Brakes:
        return self._limits[kind] if kind in self._limits else DEFAULTS[CallerKind.LINK]

    def _mark(self, text: str) -> int:
        return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=8).digest())

    # --- keeping --------------------------------------------------------------

    def sync(self) -> list[str]:
        """Obey releases that others left, then save what changed, to be called every few seconds.

        Returns
        -------
        list of str
            The callers that were released.

        Raises
        ------
        Busy, Full, Corrupt
            When it could not be saved; it will be with the next call.
        """
        if self._store is None:
            return []
        released = self._store.take_releases()
        with self._lock:
            now = self._clock()
            for caller in released:
                self._usages.pop(caller, None)
                self._changed.add(caller)
            self._let_go(now)
            changed, self._changed = self._changed, set()
        saved: dict[str, SavedUsage | None] = {}
        try:
            for name in changed:
                with self._lock:  # for each anew: thousands of marks take a while, and others wait for nobody else's
                    usage = self._usages.get(name)
                    saved[name] = None if usage is None else pack(usage, self._clock())
            if saved:
                self._store.save(saved, self._wall())
        except BaseException:
            with self._lock:
                self._changed |= changed
            raise
        return released

    def show(self) -> dict[str, list[Reading]]:
        """Say what the brakes of each caller show, by the caller's name."""
        with self._lock:
            now = self._clock()
            return {name: usage.readings(now) for name, usage in sorted(self._usages.items())}

    def moment(self, age: float) -> str:
        """Say when something was, so many seconds ago (ISO 8601, UTC)."""
        return datetime.fromtimestamp(self._wall() - age, UTC).isoformat(timespec="seconds")

    def limits_of(self, kind: CallerKind) -> Brakes:
        """Give the limits of a kind of caller; none when it is not braked."""
        return self._brakes(kind)

    def _restore(self, saved: Saved) -> None:
        try:
            kind = CallerKind(saved.caller.partition(":")[0])
        except ValueError:
            return
        brakes = self._brakes(kind)
        if brakes and len(self._usages) < self._max_callers:
            usage = Usage(brakes, self._most_delay)
            unpack(saved, usage, self._clock(), self._wall())
            self._usages[saved.caller] = usage
            self._marks += usage.remembered


class Found(Iterator[Attributes]):
    """The answers to a query, counted one by one.

    Rule for doors: wait ``take_delay`` seconds between two pages, without
    holding anything that others wait for.

    Parameters
    ----------
    matches : iterator
        The answers; an empty one stands for a row that is no match.
    count : callable
        Counts one and gives seconds to wait; raises ``Throttled``.
    delay : float
        Seconds to wait already.
    listing : Listing, optional
        What knows how many matches are left, where only a part was asked for.
    sheet : Sheet, optional
        The page, where one was asked for.
    """

    def __init__(
        self,
        matches: Iterator[Attributes],
        count: Callable[[Attributes], float],
        delay: float,
        listing: Listing | None = None,
        sheet: Sheet | None = None,
    ) -> None:
        self._listing = listing
        self.sheet = sheet
        self._matches = matches
        self._count = count
        self._delay = delay
        self._over: Throttled | None = None

    def __next__(self) -> Attributes:
        """Give the next answer; raises ``Throttled``, again and again, when no more are given."""
        if self._over is not None:
            raise self._over
        match = next(self._matches)
        if match:
            try:
                self._delay = max(self._delay, self._count(match))
            except Throttled as error:
                self._over = error
                raise
        return match

    @property
    def remaining(self) -> int:
        """Matches after the part that was asked for, once all of it was given; or a lower bound that is not 0."""
        return self._listing.remaining if self._listing is not None else 0

    def take_delay(self) -> float:
        """Give, once, the seconds to wait before the next."""
        delay, self._delay = self._delay, 0.0
        return delay


class Pedal:
    """What one door's archive asks of the brakes; what they say goes on record.

    Each method counts, gives seconds to wait, and raises ``Throttled`` when no
    more is given. The operator is told once in a while, not with each request.

    Parameters
    ----------
    braking : Braking
        The brakes.
    ledger : Ledger
        Where the operator is told.
    door : str
        For the records.
    """

    __slots__ = ("_braking", "_door", "_ledger")

    def __init__(self, braking: Braking, ledger: Ledger, door: str) -> None:
        self._braking = braking
        self._ledger = ledger
        self._door = door

    def query(self, caller: Caller) -> float:
        """Count one query."""
        return self._press(caller, Action.FIND, self._braking.query(caller))

    def row(self, caller: Caller, match: Attributes) -> float:
        """Count one row of an answer."""
        return self._press(caller, Action.FIND, self._braking.row(caller, match))

    def retrieval(
        self, caller: Caller, action: Action, records: Sequence[InstanceRecord], *, is_whole: bool = True
    ) -> float:
        """Count the studies of a retrieval; refuse it, too, when its octets are too many (of whole instances)."""
        studies = dict.fromkeys(record.study_uid for record in records)
        octets = sum(record.size for record in records) if is_whole else 0
        return self._press(caller, action, self._braking.retrieval(caller, action, studies, octets))

    def study(self, caller: Caller, action: Action, study_uid: str, octets: int) -> float:
        """Count a study of which so many octets are given."""
        delay = self._press(caller, action, self._braking.retrieval(caller, action, (study_uid,), octets))
        return max(delay, self.octets(caller, action, octets))

    def has_room(self, caller: Caller, action: Action, study_uid: str, octets: int) -> bool:
        """Say whether ``retrieval`` and ``octets`` would give no seconds to wait, tell nobody and refuse nothing."""
        return self._braking.has_room(caller, action, study_uid, octets)

    def octets(self, caller: Caller, action: Action, octets: int) -> float:
        """Count the octets of one instance."""
        return self._press(caller, action, self._braking.octets(caller, action, octets))

    def _press(self, caller: Caller, action: Action, verdict: Verdict) -> float:
        if verdict.tell:
            # Owed, not demanded: it tells of what was given, or of a no.
            self._ledger.owe([event for each in verdict.tell for event in self._events(caller, action, verdict, each)])
        if verdict.refused is not None:
            raise throttled(verdict.refused)
        return verdict.delay

    def _events(self, caller: Caller, action: Action, verdict: Verdict, reading: Reading) -> Iterator[Event]:
        brake = reading.brake
        window = in_words(brake.window)
        is_stop = verdict.refused is not None
        limit = brake.stop if is_stop else brake.slow
        detail: dict[str, str | int] = {
            "brake": brake.meter.value,
            "count": reading.used,
            "limit": limit,
            "seconds": int(brake.window),
            "since": self._braking.moment(reading.age),
        }
        if is_stop:
            detail["refused"] = reading.refused
        said = (
            f"{'Stopped' if is_stop else 'Slowed'}: {reading.used:,} {brake.meter.value} within {window}; "
            f"the limit is {limit:,}. If this is its work, give it bulk (leadglass device add, token create) or "
            f"lift the brake now (leadglass brakes release {caller.name}); if not, remove it."
        )
        event = Event.of(caller, Outcome.ALERT, action, said, door=self._door, detail=detail)
        yield event
        if is_stop:
            yield replace(event, outcome=Outcome.REFUSED)


def _has_bulk(caller: Caller, action: Action) -> bool:
    return any(grant.bulk and action in grant.actions for grant in caller.grants)


def throttled(reading: Reading) -> Throttled:
    """Make the error that a caller hears: what the limit is about, and when to come back."""
    if not isfinite(reading.free_in):
        return Throttled("Refused: more than is given at one time. Ask for less.", reading.free_in)
    return Throttled(f"Limit reached: this is cut off. Try again in {in_words(reading.free_in)}.", reading.free_in)


def in_words(seconds: float) -> str:
    """Say a time in few words, rounded up."""
    if seconds <= MINUTE:
        return f"{max(1, ceil(seconds))} s"
    if seconds <= HOUR:
        return f"{ceil(seconds / MINUTE)} min"
    return f"{ceil(seconds / HOUR)} h"


def counted_as(caller: str) -> str:
    """Give under which name a caller is counted: all tokens of a person together, or more of them would do more."""
    return caller.partition("/")[0] if caller.startswith(f"{CallerKind.TOKEN}:") else caller


def _about(match: Attributes) -> str:
    """Say what a row is about: its study, else its patient, else nothing but itself."""
    study_uid = _first(match, StudyInstanceUID)
    if study_uid:
        return f"study {study_uid}"
    patient_id = _first(match, PatientID)
    if patient_id:
        return f"patient {_first(match, IssuerOfPatientID)} {patient_id}"
    return f"row {sorted(match.items())}"


def _first(match: Attributes, tag: int) -> str:
    values = cast("list[object]", match.get(key(tag), JsonElement(vr="")).get("Value", []))
    return str(values[0]) if values and values[0] else ""
