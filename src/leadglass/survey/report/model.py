"""Model: one report, made once of what is kept, and written in every format from that.

Rule 1. Only what a finding may hold and what the operator wrote is in it. Rule 2. What
follows from a version and was not tried lifts nobody on the ladder. Rule 3. It says
what was not tested, and what was not looked at.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from leadglass.survey.check import Check
from leadglass.survey.entries import Asset, Entry, Tally, owner_of
from leadglass.survey.findings import Exposure, Finding, Severity
from leadglass.survey.looking import Change, compared, known_before, look_of
from leadglass.survey.recipes import RECIPES, Recipe
from leadglass.survey.register import Register
from leadglass.survey.report.scoring import Score, score_of
from leadglass.survey.scope import Address
from leadglass.survey.standing import Standing
from leadglass.survey.state import Run, State

UNASSIGNED: Final = "not assigned"
"""The unit of what nobody assigned to one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address is, by the operator's own file.

    Parameters
    ----------
    country, organisation : str
        Empty where the file does not say.
    """

    country: str = ""
    organisation: str = ""


Places = Callable[[Address], Place]


@dataclass(frozen=True, slots=True)
class Item:
    """One finding in a report.

    Parameters
    ----------
    finding : Finding
        What was proved.
    change : Change or None
        Against what was known before; None for what was known and not looked at again.
    entry : Entry or None
        How it is followed.
    asset : Asset or None
        Whose it is.
    place : Place
        Where it is.
    was_closed : bool
        Whether it was found, and closed, before.
    score : Score or None
        By CVSS, where a vector says no more than was proved.
    """

    finding: Finding
    change: Change | None
    entry: Entry | None
    asset: Asset | None
    place: Place
    was_closed: bool = False
    score: Score | None = None

    @property
    def where(self) -> str:
        """The endpoint, as people write it."""
        return where_of(self.finding)

    @property
    def unit(self) -> str:
        """The part of the house."""
        return (self.asset.unit if self.asset else "") or UNASSIGNED

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """How it is closed."""
        return tuple(RECIPES[each] for each in self.finding.fixes if each in RECIPES)


class Grade(StrEnum):
    """How a part of the house stands."""

    GOOD = "good"
    """Nothing above low."""
    BAD = "bad"
    """Something medium or high."""
    UGLY = "ugly"
    """Something critical, or open to the reading of images."""


@dataclass(frozen=True, slots=True)
class Group:
    """A unit, a country or an organisation.

    Parameters
    ----------
    name : str
        Which.
    grade : Grade
        How it stands.
    hosts : int
        Hosts with something found.
    findings : int
        Of them, above information.
    worst : Exposure
        The highest on the ladder.
    """

    name: str
    grade: Grade
    hosts: int
    findings: int
    worst: Exposure


@dataclass(frozen=True, slots=True)
class Press:
    """What those who counted from outside would have counted, in hosts.

    Parameters
    ----------
    answering : int
        Where DICOM answers: counts of that kind found some 2,770 in 2016.
    taking : int
        Those that make an association with anybody: 719 of them.
    queried : int
        Those that answer anybody's questions: the 590 of 2019.
    readable : int
        Those whose images or files anybody can read.
    shares : int
        Of them, by web pages and shares: the 2,140 of 2020 were of that kind.
    """

    answering: int = 0
    taking: int = 0
    queried: int = 0
    readable: int = 0
    shares: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """One run of the trend.

    Parameters
    ----------
    run : Run
        Which.
    tally : Tally
        New, back, gone and still, apart.
    severities : mapping of Severity to int
        Of what it found.
    """

    run: Run
    tally: Tally
    severities: Mapping[Severity, int]


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Parameters
    ----------
    version : str
        Of Leadglass.
    made : datetime
        When.
    run : Run
        Of which run.
    baseline : int or None
        Number of the newest run before it, from the same vantage.
    items, absent, unlooked : tuple of Item
        What was found; what is gone; what was known, and not looked at in this run.
    checks : tuple of Check
        Those that were made.
    not_made : tuple of Check
        Those that were not, since the scope does not go that far.
    unfinished : tuple of (str, int, str)
        Address, port and check, where one could not be made to its end.
    ladder : mapping of Exposure to int
        Hosts by the highest that was proved of them.
    severities : mapping of Severity to int
        Findings.
    units, countries, organisations : tuple of Group
        How each stands, the worst first.
    press : Press
        What the press would have counted.
    trend : tuple of Point
        The runs of this vantage up to this one, the oldest first.
    tally : Tally
        What this run changed.
    standings : mapping of Standing to int
        The register today.
    due : int
        How many are to be looked at again by today.
    """

    version: str
    made: datetime
    run: Run
    baseline: int | None
    items: tuple[Item, ...]
    absent: tuple[Item, ...]
    unlooked: tuple[Item, ...]
    checks: tuple[Check, ...]
    not_made: tuple[Check, ...]
    unfinished: tuple[tuple[str, int, str], ...]
    ladder: Mapping[Exposure, int]
    severities: Mapping[Severity, int]
    units: tuple[Group, ...]
    countries: tuple[Group, ...]
    organisations: tuple[Group, ...]
    press: Press
    trend: tuple[Point, ...]
    tally: Tally
    standings: Mapping[Standing, int]
    due: int

    @property
    def endpoints(self) -> list[tuple[str, list[Item]]]:
        """What was found, by endpoint, the worst first."""
        grouped: dict[str, list[Item]] = {}
        for item in self.items:
            grouped.setdefault(item.where, []).append(item)
        return list(grouped.items())

    @property
    def recipes(self) -> list[Recipe]:
        """Every recipe that is needed, once, in the order of what needs it."""
        return list({recipe.id: recipe for item in self.items for recipe in item.recipes}.values())


def where_of(finding: Finding) -> str:
    """Write an endpoint as people do."""
    return endpoint("" if finding.address is None else str(finding.address), finding.port)


def endpoint(address: str, port: int) -> str:
    """Write an address and a port."""
    if not address:
        return "configuration file"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def build(
    state: State,
    register: Register,
    run: Run,
    checks: Sequence[Check],
    *,
    made: datetime,
    version: str,
    places: Places = lambda _: Place(),
) -> Report:
    """Make the report of a run.

    Parameters
    ----------
    state : State
        What was found.
    register : Register
        How it is followed.
    run : Run
        Which.
    checks : sequence of Check
        All there are.
    made : datetime
        The time now (UTC).
    version : str
        Of Leadglass.
    places : callable
        Says where an address is.
    """
    today = made.date()
    register.expire(today)
    known, look = known_before(state, run), look_of(state, run)
    changes, absent, unlooked = compared(state.findings(run.id), known, look)
    entries = {each.finding: each for each in register.entries(run.vantage)}
    assets = register.assets()

    def item(finding: Finding, change: Change | None) -> Item:
        address = "" if finding.address is None else str(finding.address)
        return Item(
            finding=finding,
            change=change,
            entry=entries.get(finding.id),
            asset=owner_of(assets, address, finding.port),
            place=Place() if finding.address is None else places(finding.address),
            was_closed=change is Change.NEW and finding.id in known.ever,
            score=score_of(finding, run.vantage),
        )

    items = tuple(item(finding, change) for finding, change in changes)
    tallies = register.tallies()
    return Report(
        version=version,
        made=made,
        run=run,
        baseline=known.run,
        items=items,
        absent=tuple(item(each, Change.ABSENT) for each in absent),
        unlooked=tuple(item(each, None) for each in unlooked),
        checks=tuple(each for each in checks if each.id in look.checks),
        not_made=tuple(each for each in checks if each.id not in look.checks),
        unfinished=tuple(state.untested(run.id)),
        ladder=_ladder(items),
        severities=_severities(each.finding for each in items),
        units=_groups(items, lambda each: each.unit),
        countries=_groups(items, lambda each: each.place.country),
        organisations=_groups(items, lambda each: each.place.organisation),
        press=_press(items),
        trend=trend(state, register, run.vantage, until=run.number),
        tally=tallies.get(run.id, Tally()),
        standings=_standings(entries.values()),
        due=sum(1 for each in entries.values() if each.due is not None and each.due <= today),
    )


def trend(state: State, register: Register, vantage: str, *, until: int | None = None) -> tuple[Point, ...]:
    """Give the runs of a vantage that came to something, the oldest first."""
    tallies = register.tallies()
    runs = sorted(state.runs(), key=lambda each: each.number)
    return tuple(
        Point(run, tallies[run.id], _severities(state.findings(run.id)))
        for run in runs
        if run.vantage == vantage and run.id in tallies and (until is None or run.number <= until)
    )


def is_due(entry: Entry, today: date) -> bool:
    """Say whether an entry is to be looked at again by today."""
    return entry.due is not None and entry.due <= today


def _severities(found: Iterable[Finding]) -> dict[Severity, int]:
    counted = Counter(each.severity for each in found)
    return {each: counted[each] for each in reversed(Severity)}


def _standings(entries: Iterable[Entry]) -> dict[Standing, int]:
    counted = Counter(each.standing for each in entries)
    return {each: counted[each] for each in Standing}


def _proved(items: Iterable[Item]) -> dict[Address, Exposure]:
    """Give the highest that was proved of each host."""
    highest: dict[Address, Exposure] = {}
    for item in items:
        address = item.finding.address
        if address is not None and not item.finding.inferred:
            highest[address] = max(highest.get(address, Exposure.E0), item.finding.exposure)
    return highest


def _ladder(items: Iterable[Item]) -> dict[Exposure, int]:
    counted = Counter(_proved(items).values())
    return {each: counted[each] for each in Exposure}


def _press(items: Sequence[Item]) -> Press:
    dicom = _proved(each for each in items if each.finding.check.startswith("dicom-"))
    others = _proved(each for each in items if not each.finding.check.startswith("dicom-"))
    every = _proved(items)

    def least(hosts: Mapping[Address, Exposure], exposure: Exposure) -> int:
        return sum(1 for each in hosts.values() if each >= exposure)

    return Press(
        answering=least(dicom, Exposure.E1),
        taking=least(dicom, Exposure.E2),
        queried=least(dicom, Exposure.E3),
        readable=least(every, Exposure.E4),
        shares=least(others, Exposure.E4),
    )


def _groups(items: Sequence[Item], name: Callable[[Item], str]) -> tuple[Group, ...]:
    grouped: dict[str, list[Item]] = {}
    for item in items:
        if name(item):
            grouped.setdefault(name(item), []).append(item)
    order = list(Grade)
    groups = [_group(each, within) for each, within in grouped.items()]
    return tuple(sorted(groups, key=lambda each: (-order.index(each.grade), -each.findings, each.name)))


def _group(name: str, items: Sequence[Item]) -> Group:
    found = {each.finding.severity for each in items}
    worst = max(_proved(items).values(), default=Exposure.E0)
    grade = Grade.GOOD
    if found & {Severity.MEDIUM, Severity.HIGH}:
        grade = Grade.BAD
    if Severity.CRITICAL in found or worst >= Exposure.E4:
        grade = Grade.UGLY
    return Group(
        name=name,
        grade=grade,
        hosts=len({each.finding.address for each in items}),
        findings=sum(1 for each in items if each.finding.severity is not Severity.INFO),
        worst=worst,
    )
