"""State: what was looked at and what was found, kept so that a run can go on after a crash.

Rule 1. Nothing in it comes from a peer but what a finding may hold. Rule 2. A target
counts as done in the transaction that keeps its findings. Rule 3. Two surveys do not
write at once. Addresses of open servers are worth protecting: it is its owner's alone.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Final, Self, cast

from leadglass.errors import BadInput, Busy, Misconfigured, NotHere
from leadglass.survey.engine import Outcome, Target
from leadglass.survey.findings import Exposure, Finding, Severity
from leadglass.survey.safekeeping import damaged, prepare, require_own
from leadglass.survey.scope import SurveyScope

FILE: Final = "survey.db"
JOURNAL: Final = "journal.jsonl"
SWEEP: Final = "scope"
"""The source of a run that sweeps its scope."""

STOP: Final = "STOP"
"""Make a file of this name in the folder, and a run that goes on there stops."""

_AT_ONCE: Final = 10_000
"""Targets that are kept in one transaction."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS run (
    id TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    started TEXT NOT NULL,
    ended TEXT,
    status TEXT NOT NULL,
    level INTEGER NOT NULL,
    vantage TEXT NOT NULL,
    owner TEXT NOT NULL,
    authorised_by TEXT NOT NULL,
    source TEXT NOT NULL,
    targets INTEGER NOT NULL,
    next INTEGER NOT NULL DEFAULT 0,
    open INTEGER NOT NULL DEFAULT 0,
    connections INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS ahead (run TEXT NOT NULL, target INTEGER NOT NULL, PRIMARY KEY (run, target)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS given (
    run TEXT NOT NULL, number INTEGER NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
    run TEXT NOT NULL,
    finding TEXT NOT NULL,
    check_id TEXT NOT NULL,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    transport TEXT NOT NULL,
    title TEXT NOT NULL,
    exposure INTEGER NOT NULL,
    severity TEXT NOT NULL,
    said TEXT NOT NULL,
    PRIMARY KEY (run, finding)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS untested (
    run TEXT NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL, check_id TEXT NOT NULL,
    PRIMARY KEY (run, address, port, check_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS looked (
    run TEXT NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL, PRIMARY KEY (run, address, port)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shut (
    run TEXT NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL, PRIMARY KEY (run, address, port)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unproven (
    run TEXT NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL, check_id TEXT NOT NULL,
    PRIMARY KEY (run, address, port, check_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS made (run TEXT NOT NULL, check_id TEXT NOT NULL, PRIMARY KEY (run, check_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS extent (run TEXT NOT NULL PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heard (run TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_at ON seen (address, port);
"""


class Status(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    STOPPED = "stopped"
    """By a person or a crash: it can go on."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Parameters
    ----------
    id : str
        Random.
    number : int
        Of this folder, from 1.
    started, ended : datetime
        When; None where it has not ended.
    status : Status
        How it stands.
    level : int
        How far it went.
    vantage : str
        From where.
    owner, authorised_by : str
        Of its scope.
    source : str
        ``scope`` for a sweep, ``targets`` for a list that was imported, ``retest``.
    targets, done, open : int
        How many there are, were looked at, answered.
    connections : int
        How many were opened.
    """

    id: str
    number: int
    started: datetime
    ended: datetime | None
    status: Status
    level: int
    vantage: str
    owner: str
    authorised_by: str
    source: str
    targets: int
    done: int
    open: int
    connections: int


class State:
    """What a folder knows of its surveys. For one process at a time that writes, and one thread.

    Parameters
    ----------
    folder : Path
        Made when it is not there, for its owner alone.
    writes : bool
        Whether a run is to be made.

    Raises
    ------
    Busy
        When a run goes on there.
    Misconfigured
        When the folder cannot be written.
    """

    def __init__(self, folder: Path, *, writes: bool = False) -> None:
        self.folder = folder
        self._lock: int | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            require_own(folder)
            if writes:
                self._lock = os.open(folder / "survey.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path = folder / FILE
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        except BlockingIOError as error:
            self._unlock()
            raise Busy(f"A survey goes on in {folder}. Wait for it, or stop it: touch {folder / STOP}") from error
        except (OSError, sqlite3.Error) as error:
            self._unlock()
            raise Misconfigured(f"The folder {folder} of the survey cannot be used ({error}).") from error
        try:
            prepare(self._connection, folder, _SCHEMA, writes=writes)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The database, for the register of findings, which lies in it too."""
        return self._connection

    # --- runs -----------------------------------------------------------------

    def begin(self, scope: SurveyScope, source: str, targets: int) -> Run:
        """Begin a run."""
        return self._begin(token_hex(8), scope, source, targets)

    def begin_with(self, scope: SurveyScope, source: str, targets: Iterable[Target]) -> Run | None:
        """Begin a run of listed targets, however many; None, and none is begun, where there are none.

        They are kept as they come, some at a time, so that neither memory nor whoever
        writes beside it has to hold them all. Where the list cannot be read to its
        end, what it raises is raised, and no run is begun.
        """
        run, count, coming = token_hex(8), 0, iter(targets)
        try:
            self._connection.execute("DELETE FROM given WHERE run NOT IN (SELECT id FROM run)")  # of one cut off
            while some := list(islice(coming, _AT_ONCE)):
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    self._connection.executemany(
                        "INSERT INTO given VALUES (?, ?, ?, ?, ?)",
                        [
                            (run, number, str(target.address), target.port, target.name)
                            for number, target in enumerate(some, count)
                        ],
                    )
                count += len(some)
            return self._begin(run, scope, source, count) if count else None
        except BaseException:
            self._connection.execute("DELETE FROM given WHERE run = ?", (run,))
            raise

    def _begin(self, run: str, scope: SurveyScope, source: str, targets: int) -> Run:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            number = self._connection.execute("SELECT coalesce(max(number), 0) + 1 FROM run").fetchone()[0]
            self._connection.execute(
                "INSERT INTO run (id, number, started, status, level, vantage, owner, authorised_by, source, targets)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run,
                    number,
                    _now(),
                    Status.RUNNING,
                    int(scope.level),
                    scope.vantage,
                    scope.owner,
                    scope.authorised_by,
                    source,
                    targets,
                ),
            )
            extent = scope.extent(with_addresses=source == SWEEP)
            self._connection.execute("INSERT INTO extent VALUES (?, ?)", (run, extent))
        return self.run(run)

    def require_same(self, run: Run, scope: SurveyScope) -> None:
        """Refuse to go on with a run under a scope that goes elsewhere, further, or from another vantage.

        What is left of a sweep is known by its place among all targets: among others
        it would be another one, and some would be taken for looked at.

        Raises
        ------
        Misconfigured
        """
        row = self._connection.execute("SELECT digest FROM extent WHERE run = ?", (run.id,)).fetchone()
        if row is not None and row[0] != scope.extent(with_addresses=run.source == SWEEP):
            raise Misconfigured(
                f"The scope, or what its names point at, is not what run {run.number} was begun with. Begin a new run, "
                "without --resume."
            )

    def runs(self) -> list[Run]:
        """Give every run, the newest first."""
        with closing(self._connection.execute(_RUNS + " ORDER BY number DESC")) as rows:
            return [_run_of(row) for row in rows]

    def run(self, run: str) -> Run:
        """Give one run; raises ``NotHere``."""
        row = self._connection.execute(_RUNS + " WHERE id = ?", (run,)).fetchone()
        if row is None:
            raise NotHere("There is no such run. See: leadglass survey status")
        return _run_of(row)

    def latest(self, *, ended: bool = False) -> Run | None:
        """Give the newest run, or the newest that ended."""
        return next((run for run in self.runs() if run.status is Status.DONE or not ended), None)

    def unfinished(self) -> Run | None:
        """Give the newest run, where it did not come to its end."""
        newest = self.latest()
        return None if newest is None or newest.status is Status.DONE else newest

    def end(self, run: str, connections: int = 0, *, stopped: bool) -> None:
        """Say that a run ended, or was stopped, and how many connections it took that no target counted."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "UPDATE run SET ended = ?, status = ?, connections = connections + ? WHERE id = ?",
                (_now(), Status.STOPPED if stopped else Status.DONE, connections, run),
            )
            if not stopped:  # nobody goes on with it: its list is not needed any more
                self._connection.execute("DELETE FROM given WHERE run = ?", (run,))

    def makes(self, run: str, checks: Iterable[str]) -> None:
        """Say which checks a run makes; one that goes on has made those alone that it makes before and after."""
        wanted = set(checks)
        before = set(self.checks_of(run))
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for check in before - wanted:
                self._connection.execute("DELETE FROM made WHERE run = ? AND check_id = ?", (run, check))
            if not before:
                self._connection.executemany(
                    "INSERT INTO made VALUES (?, ?)", ((run, check) for check in sorted(wanted))
                )

    def heard(self, run: str) -> None:
        """Say that something answered or refused in a run: its line was up."""
        self._connection.execute("INSERT OR IGNORE INTO heard VALUES (?)", (run,))

    # --- targets ---------------------------------------------------------------

    def give(self, run: str, targets: Iterable[Target]) -> int:
        """Keep the targets of a run that are no sweep of its scope; gives how many."""
        count = 0
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for count, target in enumerate(targets, 1):
                self._connection.execute(
                    "INSERT INTO given VALUES (?, ?, ?, ?, ?)",
                    (run, count - 1, str(target.address), target.port, target.name),
                )
            self._connection.execute("UPDATE run SET targets = ? WHERE id = ?", (count, run))
        return count

    def given(self, run: str) -> Iterator[Target]:
        """Give the targets that were kept, in their order."""
        after = -1
        while True:
            rows = self._connection.execute(
                "SELECT number, address, port, name FROM given WHERE run = ? AND number > ? ORDER BY number LIMIT 1000",
                (run, after),
            ).fetchall()
            if not rows:
                return
            for number, address, port, name in rows:
                after = number
                yield Target(ip_address(address), port, name)

    def left(self, run: str, targets: Iterable[Target]) -> Iterator[Target]:
        """Give those of a run's targets that were not looked at yet, numbered by their place."""
        first = self._connection.execute("SELECT next FROM run WHERE id = ?", (run,)).fetchone()[0]
        ahead = {row[0] for row in self._connection.execute("SELECT target FROM ahead WHERE run = ?", (run,))}
        for number, target in enumerate(targets):
            if number >= first and number not in ahead:
                yield Target(target.address, target.port, target.name, number)

    def done(self, run: str, *outcomes: Outcome, connections: int = 0) -> None:
        """Keep what was found at some targets, and how many connections that took; then they are done."""
        opened = sum(outcome.is_open for outcome in outcomes)
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for outcome in outcomes:
                if outcome.is_open or outcome.findings or outcome.not_tested or outcome.unproven:
                    self._keep(run, outcome)
            self._connection.executemany(  # kept where something was found before: it may be gone
                "INSERT OR IGNORE INTO shut SELECT ?1, ?2, ?3"
                " WHERE EXISTS (SELECT 1 FROM seen WHERE address = ?2 AND port = ?3)",
                [
                    (run, str(outcome.target.address), outcome.target.port)
                    for outcome in outcomes
                    if outcome.is_looked_at and not outcome.is_open
                ],
            )
            place = self._advanced(run, {outcome.target.number for outcome in outcomes})
            self._connection.execute(
                "UPDATE run SET next = ?, open = open + ?, connections = connections + ? WHERE id = ?",
                (place, opened, connections, run),
            )

    def _keep(self, run: str, outcome: Outcome) -> None:
        at = (run, str(outcome.target.address), outcome.target.port)
        for finding in outcome.findings:
            self._connection.execute(
                "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _row_of(run, finding)
            )
        if outcome.is_open:
            self._connection.execute("INSERT OR IGNORE INTO looked VALUES (?, ?, ?)", at)
        for check in outcome.not_tested:
            self._connection.execute("INSERT OR IGNORE INTO untested VALUES (?, ?, ?, ?)", (*at, check))
        for check in outcome.unproven:
            self._connection.execute("INSERT OR IGNORE INTO unproven VALUES (?, ?, ?, ?)", (*at, check))

    def _advanced(self, run: str, numbers: set[int]) -> int:
        """Give the place up to which all is done; what is done beyond it is noted one by one."""
        place: int = self._connection.execute("SELECT next FROM run WHERE id = ?", (run,)).fetchone()[0]
        while True:
            if place in numbers:
                numbers.remove(place)
            elif not self._connection.execute("DELETE FROM ahead WHERE run = ? AND target = ?", (run, place)).rowcount:
                break
            place += 1
        self._connection.executemany(
            "INSERT OR IGNORE INTO ahead VALUES (?, ?)", [(run, number) for number in numbers if number > place]
        )
        return place

    # --- what was found ----------------------------------------------------------

    def findings(self, run: str) -> list[Finding]:
        """Give what a run found, the worst first."""
        rows = self._connection.execute(
            "SELECT check_id, address, port, transport, title, exposure, severity, said FROM seen WHERE run = ?", (run,)
        )
        found = [_finding_of(row) for row in rows]
        order = list(Severity)
        return sorted(found, key=lambda f: (-order.index(f.severity), -f.exposure, str(f.address), f.port, f.check))

    def last_found(self, address: str, port: int, vantage: str) -> dict[str, Finding]:
        """Give what was ever found at an endpoint from a vantage, as it was found last, by id."""
        rows = self._connection.execute(
            "SELECT check_id, seen.address, port, transport, title, exposure, seen.severity, said FROM seen"
            " JOIN run ON run.id = seen.run WHERE seen.address = ? AND port = ? AND vantage = ? ORDER BY number",
            (address, port, vantage),
        )
        return {finding.id: finding for finding in map(_finding_of, rows)}

    def answered(self, run: str) -> list[tuple[str, int]]:
        """Give every endpoint that answered: address and port."""
        return list(self._connection.execute("SELECT address, port FROM looked WHERE run = ? ORDER BY 1, 2", (run,)))

    def untested(self, run: str) -> list[tuple[str, int, str]]:
        """Give every check that could not be made to its end: address, port, check."""
        return list(
            self._connection.execute(
                "SELECT address, port, check_id FROM untested WHERE run = ? ORDER BY 1, 2, 3", (run,)
            )
        )

    def unproven(self, run: str) -> list[tuple[str, int, str]]:
        """Give every check whose silence proves nothing, since one before it could not be made to its end."""
        return list(
            self._connection.execute(
                "SELECT address, port, check_id FROM unproven WHERE run = ? ORDER BY 1, 2, 3", (run,)
            )
        )

    def shut(self, run: str) -> list[tuple[str, int]]:
        """Give every endpoint where something was found once, and nothing answered in this run."""
        return list(self._connection.execute("SELECT address, port FROM shut WHERE run = ? ORDER BY 1, 2", (run,)))

    def checks_of(self, run: str) -> list[str]:
        """Give the ids of the checks that a run made."""
        return [
            row[0] for row in self._connection.execute("SELECT check_id FROM made WHERE run = ? ORDER BY 1", (run,))
        ]

    def was_heard(self, run: str) -> bool:
        """Say whether something answered or refused in a run."""
        return self._connection.execute("SELECT 1 FROM heard WHERE run = ?", (run,)).fetchone() is not None


_RUNS: Final = (
    "SELECT id, number, started, ended, status, level, vantage, owner, authorised_by, source, targets,"
    " next + (SELECT count(*) FROM ahead WHERE ahead.run = run.id), open, connections FROM run"
)


def _run_of(row: tuple[object, ...]) -> Run:
    try:
        return _run_from(row)
    except (ValueError, TypeError):
        raise damaged() from None


def _run_from(row: tuple[object, ...]) -> Run:
    started, ended = cast("str", row[2]), cast("str | None", row[3])
    return Run(
        id=cast("str", row[0]),
        number=cast("int", row[1]),
        started=datetime.fromisoformat(started),
        ended=None if ended is None else datetime.fromisoformat(ended),
        status=Status(cast("str", row[4])),
        level=cast("int", row[5]),
        vantage=cast("str", row[6]),
        owner=cast("str", row[7]),
        authorised_by=cast("str", row[8]),
        source=cast("str", row[9]),
        targets=cast("int", row[10]),
        done=cast("int", row[11]),
        open=cast("int", row[12]),
        connections=cast("int", row[13]),
    )


def _row_of(run: str, finding: Finding) -> tuple[object, ...]:
    said = {
        "proof": dict(finding.proof),
        "not_tested": finding.not_tested,
        "fixes": finding.fixes,
        "controls": finding.controls,
        "inferred": finding.inferred,
    }
    address = "" if finding.address is None else str(finding.address)
    return (
        run,
        finding.id,
        finding.check,
        address,
        finding.port,
        finding.transport,
        finding.title,
        int(finding.exposure),
        finding.severity.value,
        json.dumps(said),
    )


def _finding_of(row: tuple[object, ...]) -> Finding:
    try:
        return _finding_from(row)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise damaged() from None


def _finding_from(row: tuple[object, ...]) -> Finding:
    said = cast("Mapping[str, object]", json.loads(cast("str", row[7])))

    def texts(name: str) -> tuple[str, ...]:
        return tuple(cast("list[str]", said[name]))

    address = cast("str", row[1])
    return Finding(
        check=cast("str", row[0]),
        address=ip_address(address) if address else None,
        port=cast("int", row[2]),
        transport=cast("str", row[3]),
        title=cast("str", row[4]),
        exposure=Exposure(cast("int", row[5])),
        severity=Severity(cast("str", row[6])),
        proof=cast("dict[str, str | int]", said["proof"]),
        not_tested=texts("not_tested"),
        fixes=texts("fixes"),
        controls=texts("controls"),
        inferred=bool(said["inferred"]),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def folder_of(scope: Path) -> Path:
    """Give the folder where the surveys of a scope file are kept: beside it, ``NAME.survey``."""
    if scope.suffix != ".toml":
        raise BadInput("A scope file ends with .toml. Make one with: leadglass survey init FILE.toml")
    return scope.with_suffix(".survey")
