"""Brakes: how much one caller may be given within a time before it is slowed, and before it is stopped.

Rule 1. What counts is what is new to the caller: a list that is refreshed costs
nothing twice. Rule 2. What is refused is not counted, and what is counted was
given. Rule 3. Where memory ends, more is counted, never less. Rule 4. No I/O and
no clock: the time is an argument, in seconds of a clock that never goes back.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from leadglass.policy.caller import CallerKind

MINUTE: Final = 60.0
HOUR: Final = 3_600.0
DAY: Final = 86_400.0

GIB: Final = 1024**3

_PARTS: Final = 60
"""Parts of a window that are counted together: what was given is forgotten up to a sixtieth too late."""

_TICK: Final = 0.001
"""Seconds that nobody minds, and that are more than what rounding loses."""

TELL_EVERY: Final = HOUR
"""Seconds between two records of one brake, at least; what was refused in between is counted in the next."""


class Meter(StrEnum):
    """What is counted. The value is shown to people."""

    QUERIES = "queries"
    LISTED = "patients and studies listed"
    """Different ones whose rows were handed out by queries."""
    STUDIES = "studies retrieved"
    """Different ones of which instances were handed out."""
    OCTETS = "octets retrieved"


@dataclass(frozen=True, slots=True)
class Brake:
    """One limit.

    Parameters
    ----------
    meter : Meter
        What is counted.
    window : float
        Seconds in which.
    slow : int
        Above this many the caller is slowed, and the operator told.
    stop : int
        More than this many are refused.
    """

    meter: Meter
    window: float
    slow: int
    stop: int

    @property
    def cost(self) -> float:
        """Seconds for each one above ``slow``, so that ``stop`` is reached no sooner than after a window."""
        return self.window / max(1, self.stop - self.slow)


Brakes = tuple[Brake, ...]
"""The limits of one kind of caller; none: it is not braked."""


def brakes_of(
    *,
    queries_per_minute: int,
    listed_per_hour: int,
    listed_per_day: int,
    studies_per_hour: int,
    studies_per_day: int,
    gib_per_hour: int,
    gib_per_day: int,
    slow_from_percent: int = 50,
) -> Brakes:
    """Make the limits of one kind of caller from where it is stopped.

    Parameters
    ----------
    slow_from_percent : int
        The share of each limit above which the caller is slowed.
    """
    stops = (
        (Meter.QUERIES, MINUTE, queries_per_minute),
        (Meter.LISTED, HOUR, listed_per_hour),
        (Meter.LISTED, DAY, listed_per_day),
        (Meter.STUDIES, HOUR, studies_per_hour),
        (Meter.STUDIES, DAY, studies_per_day),
        (Meter.OCTETS, HOUR, gib_per_hour * GIB),
        (Meter.OCTETS, DAY, gib_per_day * GIB),
    )
    return tuple(Brake(meter, window, stop * slow_from_percent // 100, stop) for meter, window, stop in stops)


_WORKSTATION: Final = brakes_of(
    queries_per_minute=600,
    listed_per_hour=5_000,
    listed_per_day=20_000,
    studies_per_hour=1_000,
    studies_per_day=3_000,
    gib_per_hour=200,
    gib_per_day=1_000,
)
"""A busy reading day: 100 patients with 20 priors listed and 10 fetched each, lists refreshed all day.
``sections.Brakes`` says the reason for each number."""

_PROGRAM: Final = brakes_of(  # a program that was given to one purpose
    queries_per_minute=600,
    listed_per_hour=1_000,
    listed_per_day=5_000,
    studies_per_hour=200,
    studies_per_day=1_000,
    gib_per_hour=50,
    gib_per_day=200,
)

DEFAULTS: Final[Mapping[CallerKind, Brakes]] = MappingProxyType(
    {
        CallerKind.DEVICE: _WORKSTATION,
        CallerKind.COMMAND_LINE: (),  # holds the keys and could lift any brake; what it does is on record
        CallerKind.PERSON: _WORKSTATION,  # reads at a browser what others read at a workstation
        CallerKind.TOKEN: _PROGRAM,
        CallerKind.CLIENT: _PROGRAM,
        CallerKind.WEBHOOK: _PROGRAM,  # is told ids
        CallerKind.LINK: brakes_of(  # some studies of one patient, shown to a few people
            queries_per_minute=120,
            listed_per_hour=200,
            listed_per_day=500,
            studies_per_hour=50,
            studies_per_day=100,
            gib_per_hour=20,
            gib_per_day=100,
        ),
        CallerKind.PROVIDER: brakes_of(  # has no right to ask for anything
            queries_per_minute=10,
            listed_per_hour=10,
            listed_per_day=10,
            studies_per_hour=10,
            studies_per_day=10,
            gib_per_hour=10,
            gib_per_day=10,
        ),
    }
)
"""The limits of each kind of caller."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one brake shows.

    Parameters
    ----------
    brake : Brake
        Which.
    used : int
        How many are counted.
    age : float
        Seconds since the first of them.
    free_in : float
        Seconds after which some are free again; 0 when there are now.
    refused : int
        Requests refused because of it since that was last told, this one included.
    """

    brake: Brake
    used: int
    age: float = 0.0
    free_in: float = 0.0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a request, or with one more row.

    Parameters
    ----------
    refused : Reading or None
        The brake that says no; nothing was counted then.
    delay : float
        Seconds to wait before the next.
    tell : tuple of Reading
        What the operator should hear now: each brake that slows or stops, once
        in a while.
    """

    refused: Reading | None = None
    delay: float = 0.0
    tell: tuple[Reading, ...] = ()


FREE: Final = Verdict()
"""Go on."""


@dataclass(slots=True)
class Gauge:
    """How many of something in one window, in parts of it; and when it was last told of."""

    parts: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])
    """When each part ends, and how many it holds."""
    used: int = 0
    told_slow: float | None = None
    told_stop: float | None = None
    refused: int = 0

    def forget(self, before: float) -> None:
        """Let go of the parts that ended by a time."""
        while self.parts and self.parts[0][0] <= before:
            self.used -= self.parts.popleft()[1]

    def add(self, amount: int, now: float, part: float) -> None:
        """Count some more."""
        self.used += amount
        if self.parts and now <= self.parts[-1][0]:
            ends, count = self.parts[-1]
            self.parts[-1] = (ends, count + amount)
        else:
            self.parts.append((now + part, amount))

    def freed_at(self, amount: int) -> float:
        """Give the end of the part with which so many have gone; infinity when there are not so many."""
        for ends, count in self.parts:
            amount -= count
            if amount <= 0:
                return ends
        return float("inf")


@dataclass(slots=True)
class Usage:
    """What one caller was given lately.

    Parameters
    ----------
    brakes : tuple of Brake
        Its limits.
    most_delay : float
        Seconds that one request may be held up.
    """

    brakes: Brakes
    most_delay: float
    gauges: dict[tuple[Meter, float], Gauge] = field(default_factory=dict[tuple[Meter, float], Gauge])
    known: dict[Meter, dict[int, float]] = field(default_factory=dict[Meter, dict[int, float]])
    """What was given and when, as marks: oldest first."""
    latest: float = float("-inf")
    free_at: float = float("-inf")
    longest: dict[Meter, float] = field(default_factory=dict[Meter, float])
    """The longest window of each meter, in seconds: until then marks are remembered."""

    def __post_init__(self) -> None:
        for brake in self.brakes:
            self.gauges.setdefault((brake.meter, brake.window), Gauge())
            self.longest[brake.meter] = max(brake.window, self.longest.get(brake.meter, 0.0))

    @property
    def remembered(self) -> int:
        """How many marks are in memory."""
        return sum(map(len, self.known.values()))

    def is_idle(self, now: float) -> bool:
        """Say whether nothing counts any more."""
        self._forget(now)
        return not any(gauge.used or gauge.refused for gauge in self.gauges.values())

    def charge(self, meter: Meter, amount: int, now: float) -> Verdict:
        """Count ``amount``, or refuse all of it."""
        now = self._forget(now)
        brakes = [brake for brake in self.brakes if brake.meter is meter]
        for brake in brakes:
            gauge = self.gauges[meter, brake.window]
            if amount and gauge.used + amount > brake.stop:
                return self._refuse(brake, gauge, amount, now)
        told: list[Reading] = []
        cost = 0.0
        for brake in brakes:
            gauge = self.gauges[meter, brake.window]
            gauge.add(amount, now, brake.window / _PARTS)
            over = min(amount, gauge.used - brake.slow)
            if over > 0:
                cost = max(cost, over * brake.cost)
                if _is_due(gauge.told_slow, now, max(brake.window, TELL_EVERY)):
                    gauge.told_slow = now
                    told.append(self._read(brake, gauge, now))
        return Verdict(delay=self._delay(cost, now), tell=tuple(told)) if cost else FREE

    def charge_new(self, meter: Meter, marks: Iterable[int], now: float, *, room: int) -> Verdict:
        """Count those of ``marks`` that were not given before, or refuse all of them.

        Parameters
        ----------
        marks : iterable of int
            What stands for the patients or studies.
        room : int
            How many more may be remembered. What is not remembered is counted
            again when it is given again.
        """
        now = self._forget(now)
        known = self.known.setdefault(meter, {})
        new = {mark for mark in marks if mark not in known}
        if not new:
            return FREE
        verdict = self.charge(meter, len(new), now)
        if verdict.refused is None:
            for mark in list(new)[: max(0, room)]:
                known[mark] = now
        return verdict

    def would_refuse(self, meter: Meter, amount: int, now: float) -> Verdict:
        """Say whether so many would be refused; nothing is counted when not."""
        now = self._forget(now)
        for brake in self.brakes:
            gauge = self.gauges[brake.meter, brake.window]
            if brake.meter is meter and gauge.used + amount > brake.stop:
                return self._refuse(brake, gauge, amount, now)
        return FREE

    def has_room(self, octets: int, study: int, now: float) -> bool:
        """Say whether so many octets of a study that was given before are far from every limit; counts nothing."""
        now = self._forget(now)
        was_given = study in self.known.get(Meter.STUDIES, {})
        return all(
            was_given
            if brake.meter is Meter.STUDIES
            else self.gauges[brake.meter, brake.window].used + octets <= min(brake.slow, brake.stop)
            for brake in self.brakes
            if brake.meter in (Meter.STUDIES, Meter.OCTETS)
        )

    def readings(self, now: float) -> list[Reading]:
        """Say what each brake shows."""
        now = self._forget(now)
        return [self._read(brake, self.gauges[brake.meter, brake.window], now) for brake in self.brakes]

    def _forget(self, now: float) -> float:
        """Let go of what is over; gives the time, which does not go back."""
        self.latest = now = max(now, self.latest)
        for brake in self.brakes:
            self.gauges[brake.meter, brake.window].forget(now - brake.window)
        for meter, known in self.known.items():
            before = now - self.longest.get(meter, 0.0)
            while known and known[mark := next(iter(known))] <= before:
                del known[mark]
        return now

    def _refuse(self, brake: Brake, gauge: Gauge, amount: int, now: float) -> Verdict:
        gauge.refused += 1
        reading = self._read(brake, gauge, now, amount)
        if not _is_due(gauge.told_stop, now, TELL_EVERY):
            return Verdict(refused=reading)
        gauge.told_stop = now
        gauge.refused = 0
        return Verdict(refused=reading, tell=(reading,))

    def _delay(self, cost: float, now: float) -> float:
        """Give how long to wait: whoever asks over several lines waits on all of them."""
        self.free_at = min(max(self.free_at, now) + cost, now + self.most_delay)
        return self.free_at - now

    @staticmethod
    def _read(brake: Brake, gauge: Gauge, now: float, wanted: int = 1) -> Reading:
        age = max(0.0, now + brake.window / _PARTS - gauge.parts[0][0]) if gauge.parts else 0.0
        missing = gauge.used + wanted - brake.stop
        free_in = max(0.0, gauge.freed_at(missing) + brake.window - now) + _TICK if missing > 0 else 0.0
        return Reading(brake, gauge.used, age, free_in, gauge.refused)


def _is_due(told: float | None, now: float, every: float) -> bool:
    return told is None or now - told >= every
