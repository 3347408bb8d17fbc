"""Follow-up: what surveys of the network came to, read and followed at a door of the archive.

Rule 1. Nothing is sent from here: the command line and its scope file are the only
place where a survey begins. Rule 2. Who reads needs MANAGE or AUDIT, who changes
MANAGE; each change, letter and report is on record before it is made. Rule 3. What is
kept of a survey is not the archive's: it is opened for one question, and where it
cannot be, only that page says so.
"""

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

from leadglass import languages
from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Event
from leadglass.errors import BadInput, Busy, LeadglassError, Misconfigured, NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.survey import letters
from leadglass.survey import scope as scopes
from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.entries import Asset, Entry, Step, Tally, owner_of
from leadglass.survey.findings import Exposure, Finding, Severity
from leadglass.survey.register import Register
from leadglass.survey.report import model
from leadglass.survey.report.document import document
from leadglass.survey.report.page import page
from leadglass.survey.report.places import Places
from leadglass.survey.report.sarif import sarif
from leadglass.survey.report.table import table
from leadglass.survey.scope import SurveyScope
from leadglass.survey.standing import CLOSED, Standing
from leadglass.survey.state import FILE, Run, State, folder_of
from leadglass.system import utc_now

MEDIA: Final = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "sarif": "application/sarif+json",
}
"""The forms of a report, and what each is."""

_SEVERITIES: Final = tuple(Severity)


class Stage(StrEnum):
    """How far somebody is."""

    UNNAMED = "unnamed"
    """No survey is named in the settings."""
    WITHOUT_SCOPE = "without-scope"
    """The scope file that is named is not there."""
    NEVER_RUN = "never-run"
    """There is a scope, and no run yet."""
    UNREADABLE = "unreadable"
    """What is kept cannot be opened."""
    KEPT = "kept"
    """There is something to see."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint, with what is followed there.

    Parameters
    ----------
    address, port : str and int
        Where; the address is empty for configuration files.
    entries : tuple of Entry
        The worst first.
    asset : Asset or None
        Whose it is.
    """

    address: str
    port: int
    entries: tuple[Entry, ...]
    asset: Asset | None

    @property
    def where(self) -> str:
        """As people write it."""
        return model.endpoint(self.address, self.port)

    @property
    def open(self) -> tuple[Entry, ...]:
        """What is not closed."""
        return tuple(each for each in self.entries if each.standing not in CLOSED)

    @property
    def exposure(self) -> Exposure:
        """How far up the ladder, by what is not closed."""
        return max((each.exposure for each in self.open), default=Exposure.E0)

    @property
    def severity(self) -> Severity | None:
        """How bad, likewise; None where all is closed."""
        return max((each.severity for each in self.open), key=_SEVERITIES.index, default=None)

    @property
    def due(self) -> date | None:
        """When it is looked at again."""
        return min((each.due for each in self.entries if each.due is not None), default=None)

    @property
    def standings(self) -> list[tuple[Standing, int, date | None]]:
        """Where its findings stand, how many each, and until when the last of them is accepted."""
        found: list[tuple[Standing, int, date | None]] = []
        for standing in Standing:
            these = [each for each in self.entries if each.standing is standing]
            until = max((each.accepted_until for each in these if each.accepted_until), default=None)
            if these:
                found.append((standing, len(these), until if standing is Standing.ACCEPTED else None))
        return found


@dataclass(frozen=True, slots=True)
class Overview:
    """How the survey stands.

    Parameters
    ----------
    stage : Stage
        How far somebody is; what follows is empty before the last.
    file : Path or None
        The scope file.
    fault : str
        What is wrong with the scope file, or with what is kept.
    scope : SurveyScope or None
        What it says; names in it are not looked up.
    run : Run or None
        The newest.
    tally : Tally
        What it changed.
    runs : tuple of Run
        All, the newest first.
    endpoints : tuple of Endpoint
        The worst first.
    new, back, gone : frozenset of str
        Ids of findings that the newest run moved so.
    owed : tuple of Owed
        Owners with something to close.
    trend : tuple of Point
        The runs of the newest run's vantage, the oldest first.
    """

    stage: Stage
    file: Path | None = None
    fault: str = ""
    scope: SurveyScope | None = None
    run: Run | None = None
    tally: Tally = field(default_factory=Tally)
    runs: tuple[Run, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    new: frozenset[str] = frozenset()
    back: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    owed: tuple[letters.Owed, ...] = ()
    trend: tuple[model.Point, ...] = ()

    @property
    def entries(self) -> list[Entry]:
        """Everything that is followed."""
        return [entry for each in self.endpoints for entry in each.entries]


@dataclass(frozen=True, slots=True)
class Followed:
    """One finding with all that is known of it.

    Parameters
    ----------
    entry : Entry
        How it is followed.
    finding : Finding or None
        As it was made last: proof, what was not tested, fixes.
    steps : tuple of Step
        The oldest first.
    """

    entry: Entry
    finding: Finding | None
    steps: tuple[Step, ...]


class FollowUp:
    """The follow-up of one survey. Safe for threads: each question opens what is kept anew.

    Parameters
    ----------
    file : Path or None
        The scope file; None where none is named.
    append : callable
        Puts an event on record, or raises.
    door : str
        For the records.
    version : str
        Of Leadglass, for reports.
    geo : sequence of Path
        Files in the MaxMind DB format, for reports.
    today : callable
        The day it is.
    """

    def __init__(
        self,
        file: Path | None,
        append: Callable[[Event], object],
        *,
        door: str,
        version: str,
        geo: Sequence[Path] = (),
        today: Callable[[], date] = scopes.today,
    ) -> None:
        self._file = file
        self._append = append
        self._door = door
        self._version = version
        self._geo = tuple(geo)
        self._today = today

    @property
    def today(self) -> date:
        """The day it is."""
        return self._today()

    # --- reading ------------------------------------------------------------------

    def overview(self, caller: Caller) -> Overview:
        """Say how it stands; raises ``Denied``, ``Busy``."""
        self._demand_reading(caller)
        if self._file is None:
            return Overview(Stage.UNNAMED)
        scope, fault = self._scope()
        try:
            with self._register() as (state, register):
                return self._kept(state, register, scope, fault)
        except NotHere:
            is_there = scope is not None or self._file.is_file()
            return Overview(Stage.NEVER_RUN if is_there else Stage.WITHOUT_SCOPE, self._file, fault, scope)
        except Misconfigured as error:
            return Overview(Stage.UNREADABLE, self._file, error.message, scope)

    def _kept(self, state: State, register: Register, scope: SurveyScope | None, fault: str) -> Overview:
        register.expire(self.today)
        runs = tuple(state.runs())
        run = runs[0] if runs else None
        if run is None:
            return Overview(Stage.NEVER_RUN, self._file, fault, scope)
        moved = register.changed_by(run)
        return Overview(
            stage=Stage.KEPT,
            file=self._file,
            fault=fault,
            scope=scope,
            run=run,
            tally=register.tallies().get(run.id, Tally()),
            runs=runs,
            endpoints=_endpoints(register),
            new=frozenset(finding for finding, was, _ in moved if not was),
            back=frozenset(finding for finding, _, became in moved if became == Standing.REGRESSED),
            gone=frozenset(finding for finding, _, became in moved if became in CLOSED),
            owed=tuple(letters.owing(register, run.vantage)),
            trend=model.trend(state, register, run.vantage),
        )

    def endpoint(self, caller: Caller, address: str, port: int) -> tuple[Endpoint, list[Followed]]:
        """Give one endpoint, and each finding there; raises ``Denied``, ``NotHere``, ``Busy``, ``Misconfigured``."""
        self._demand_reading(caller)
        with self._register() as (_, register):
            register.expire(self.today)
            found = next((e for e in _endpoints(register) if (e.address, e.port) == (address, port)), None)
            if found is None:
                raise NotHere("Nothing is followed at that endpoint.")
            findings = register.found(found.entries)
            return found, [
                Followed(each, findings.get((each.finding, each.vantage)), tuple(register.steps(each)))
                for each in found.entries
            ]

    def report(self, caller: Caller, form: str, number: int | None, language: str) -> tuple[Run, str]:
        """Write a report of a run, by default of the newest; raises ``Denied``, ``NotHere``, ``BadInput``, ``Busy``."""
        if form not in MEDIA:
            raise BadInput(f"A report is one of {', '.join(MEDIA)}.")
        self._demand_reading(caller, what="take out a report of the survey", form=form, run=number or 0)
        with self._register() as (state, register), Places(self._geo) as places:
            run = next((each for each in state.runs() if number in {None, each.number}), None)
            if run is None:
                raise NotHere("There is no such run.")
            made = model.build(
                state, register, run, CHECKS, made=utc_now(), version=self._version, places=places
            )  # fmt: skip
        match form:
            case "html":
                return run, page(made, languages.chosen(language))
            case "json":
                return run, document(made)
            case "csv":
                return run, table(made)
            case _:
                return run, sarif(made)

    # --- changing -----------------------------------------------------------------

    def assign(self, caller: Caller, asset: Asset) -> None:
        """Say whose an address or a network is; raises ``Denied``, ``BadInput``, ``NotHere``, ``Busy``."""
        self._demand(
            caller, what="assign an asset of the survey", network=str(asset.network), port=asset.port,
            unit=asset.unit, owner=asset.owner, contact=asset.contact,
        )  # fmt: skip
        with self._register() as (_, register):
            register.assign(asset)

    def told(self, caller: Caller, which: str, note: str) -> list[Entry]:
        """Say that an owner was told; raises ``Denied``, ``NotHere``, ``Conflict``, ``BadInput``, ``Busy``."""
        self._demand(caller, what="say that an owner was told", finding=which[:100], note=note[:200])
        with self._register() as (_, register):
            return register.told(which, str(caller), note, self.today)

    def told_owner(self, caller: Caller, owner: str) -> int:
        """Say that an owner was told of all that is open of theirs; gives of how much. Raises as ``told``."""
        self._demand(caller, what="say that an owner was told", owner=owner[:200])
        with self._register() as (_, register):
            which = letters.to_tell(register, owner)
            if not which:
                raise NotHere("Nothing that is open belongs to that owner.")
            return sum(len(register.told(each, str(caller), "by a letter", self.today)) for each in which)

    def fixed(self, caller: Caller, which: str, note: str) -> list[Entry]:
        """Say that something is fixed; raises as ``told``."""
        self._demand(caller, what="say that a finding of the survey is fixed", finding=which[:100], note=note[:200])
        with self._register() as (_, register):
            return register.fixed(which, str(caller), note, self.today)

    def accept(self, caller: Caller, which: str, until: date, reason: str) -> list[Entry]:
        """Accept something until a day; raises as ``told``."""
        self._demand(
            caller, what="accept a finding of the survey", finding=which[:100], until=str(until), why=reason[:200]
        )
        with self._register() as (_, register):
            return register.accept(which, str(caller), reason, until, self.today)

    def letter(self, caller: Caller, owner: str, language: str) -> letters.Letter:
        """Write the letter to an owner; raises ``Denied``, ``NotHere``, ``Misconfigured``, ``Busy``."""
        self._demand(caller, what="write a letter of the survey", owner=owner[:200])
        scope, fault = self._scope()
        if scope is None:
            raise Misconfigured(fault or "No scope file is named: it says who surveys, and whom to answer.")
        with self._register() as (_, register):
            register.expire(self.today)
            entries = letters.owed_to(register, owner, scope.vantage)
            found, notices = register.found(entries), register.notices()
        chosen = languages.chosen(language)
        return letters.letter(scope, entries, found, notices, owner, self.today, language=chosen)

    # --- opening ------------------------------------------------------------------

    def _scope(self) -> tuple[SurveyScope | None, str]:
        """Read the scope file, and look up no name in it; gives what is wrong with it, else nothing."""
        if self._file is None:
            return None, ""
        try:
            return scopes.load(self._file, look_up=lambda _: ()), ""
        except LeadglassError as error:
            return None, error.message

    @contextmanager
    def _register(self) -> Generator[tuple[State, Register]]:
        if self._file is None:
            raise NotHere("No survey is named in leadglass.toml: [survey] scope.")
        try:
            folder = folder_of(self._file)
        except BadInput as error:  # a scope file that does not end with .toml
            raise Misconfigured(error.message) from error
        try:
            if not (folder / FILE).is_file():
                raise NotHere("No survey was made yet.")
            with State(folder) as state:
                yield state, Register(state)
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise Busy("A survey is writing what it found. Ask again in a moment.") from error
            raise Misconfigured(_UNREADABLE.format(folder)) from error
        except (sqlite3.Error, OSError) as error:
            raise Misconfigured(_UNREADABLE.format(folder)) from error

    # --- on record ----------------------------------------------------------------

    def _demand(self, caller: Caller, **detail: str | int) -> None:
        decide_on_record(self._append, caller, Action.MANAGE, door=self._door, detail=detail)

    def _demand_reading(self, caller: Caller, **detail: str | int) -> None:
        """Let in who manages the archive, and who reads its audit log; on record where something is taken out."""
        manages = any(Action.MANAGE in grant.actions for grant in caller.grants)
        reads = any(Action.AUDIT in grant.actions for grant in caller.grants)
        action = Action.AUDIT if reads and not manages else Action.MANAGE
        decide_on_record(
            self._append, caller, action, door=self._door, detail=detail or {"asked": "survey"}, yes=bool(detail)
        )


_UNREADABLE: Final = (
    "What is kept of the survey ({}) cannot be opened. It has to belong to the user that the archive runs as: make "
    "the survey as that user."
)


def _endpoints(register: Register) -> tuple[Endpoint, ...]:
    """Give every endpoint with what is followed there, the worst first."""
    assets = register.assets()
    grouped: dict[tuple[str, int], list[Entry]] = {}
    for entry in register.entries():
        grouped.setdefault((entry.address, entry.port), []).append(entry)
    made = [
        Endpoint(address, port, tuple(entries), owner_of(assets, address, port))
        for (address, port), entries in grouped.items()
    ]
    # Entries are in order already; an endpoint whose worst is closed stands where its worst open one belongs.
    return tuple(
        sorted(made, key=lambda each: -1 - _SEVERITIES.index(each.severity) if each.severity is not None else 0)
    )
