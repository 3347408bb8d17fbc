"""Register: every finding that was ever made, where it stands, whose it is, and when it is looked at again.

Rule 1. It lies in the surveys' own database, and each step is kept with its day and
who took it. Rule 2. A run moves a finding once, however often it is concluded.
Rule 3. What people write is one printable line.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from ipaddress import ip_address, ip_network
from typing import Final, cast

from leadglass.errors import BadInput, NotHere
from leadglass.survey import standing as rules
from leadglass.survey.entries import Asset, Entry, Notice, Step, Tally, line
from leadglass.survey.findings import Exposure, Finding, Severity
from leadglass.survey.looking import is_open, look_of
from leadglass.survey.safekeeping import damaged
from leadglass.survey.standing import CLOSED, TO_RETEST, Standing
from leadglass.survey.state import Run, State

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entry (
    finding TEXT NOT NULL,
    vantage TEXT NOT NULL,
    check_id TEXT NOT NULL,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    transport TEXT NOT NULL,
    title TEXT NOT NULL,
    exposure INTEGER NOT NULL,
    worst INTEGER NOT NULL,
    severity TEXT NOT NULL,
    standing TEXT NOT NULL,
    since TEXT NOT NULL,
    looked TEXT NOT NULL,
    first_seen TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    accepted_until TEXT,
    reason TEXT NOT NULL DEFAULT '',
    said TEXT NOT NULL DEFAULT '',
    run INTEGER NOT NULL,
    PRIMARY KEY (finding, vantage)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS step (
    number INTEGER PRIMARY KEY,
    finding TEXT NOT NULL,
    vantage TEXT NOT NULL,
    at TEXT NOT NULL,
    was TEXT NOT NULL,
    became TEXT NOT NULL,
    by TEXT NOT NULL,
    note TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS asset (
    network TEXT NOT NULL, port INTEGER NOT NULL, unit TEXT NOT NULL, owner TEXT NOT NULL, contact TEXT NOT NULL,
    PRIMARY KEY (network, port)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notice (
    finding TEXT NOT NULL, vantage TEXT NOT NULL, day TEXT NOT NULL, PRIMARY KEY (finding, vantage, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (
    run TEXT NOT NULL PRIMARY KEY, new INTEGER NOT NULL, back INTEGER NOT NULL, gone INTEGER NOT NULL,
    still INTEGER NOT NULL
) WITHOUT ROWID;
"""

_COLUMNS: Final = (
    "finding, vantage, check_id, address, port, transport, title, exposure, worst, severity, standing, since, looked,"
    " first_seen, last_seen, accepted_until, reason, said, run"
)

_LEAST_OF_AN_ID: Final = 6


class Register:
    """The follow-up of a folder's findings.

    Parameters
    ----------
    state : State
        Whose database it lies in.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._connection: sqlite3.Connection = state.connection
        self._connection.executescript(_SCHEMA)

    # --- reading ------------------------------------------------------------------

    def entries(self, vantage: str | None = None) -> list[Entry]:
        """Give every entry, the worst and oldest first."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM entry WHERE ?1 IS NULL OR vantage = ?1", (vantage,))  # noqa: S608 - our own names
        order = list(Severity)
        return sorted(
            map(_entry_of, rows), key=lambda e: (-order.index(e.severity), e.first_seen, e.address, e.port, e.finding)
        )

    def of(self, which: str) -> list[Entry]:
        """Give the entries somebody means: a finding's id or its beginning, ``ADDRESS`` or ``ADDRESS:PORT``.

        Raises
        ------
        NotHere
            When there is none, or the beginning is that of several findings.
        """
        entries = self.entries()
        where = _where(which)
        if where is not None:
            found = [each for each in entries if each.address == where[0] and where[1] in {0, each.port}]
        else:
            found = [each for each in entries if len(which) >= _LEAST_OF_AN_ID and each.finding.startswith(which)]
            if len({each.finding for each in found}) > 1:
                raise NotHere("Several findings begin like that. Write more of the id.")
        if not found:
            raise NotHere("There is no such finding. See them with: leadglass survey register")
        return found

    def steps(self, entry: Entry) -> list[Step]:
        """Give the history of an entry, the oldest first."""
        rows = self._connection.execute(
            "SELECT at, was, became, by, note FROM step WHERE finding = ? AND vantage = ? ORDER BY number",
            (entry.finding, entry.vantage),
        )
        return [Step(datetime.fromisoformat(at), was, became, by, note) for at, was, became, by, note in rows]

    def tallies(self) -> Mapping[str, Tally]:
        """Give what each run changed, by the run's id."""
        rows = self._connection.execute("SELECT run, new, back, gone, still FROM tally")
        return {row[0]: Tally(*row[1:]) for row in rows}

    def to_retest(self, today: date, *, due_only: bool, vantage: str) -> list[tuple[str, int]]:
        """Give the endpoints of what is not closed or accepted, address and port; files are no endpoints."""
        self.expire(today)
        found = [
            each
            for each in self.entries(vantage)
            if each.standing in TO_RETEST
            and each.address
            and each.port
            and (not due_only or (each.due or today) <= today)
        ]
        return list(dict.fromkeys((each.address, each.port) for each in found))

    def changed_by(self, run: Run) -> list[tuple[str, str, str]]:
        """Give what a run moved: id of the finding, where it stood (empty: nowhere), and where it stands since."""
        return list(
            self._connection.execute(
                "SELECT finding, was, became FROM step WHERE by = ? AND vantage = ? ORDER BY number",
                (f"run {run.number}", run.vantage),
            )
        )

    def notices(self) -> Mapping[tuple[str, str], Notice]:
        """Give what owners were told of and is not closed since, by id and vantage."""
        days: dict[tuple[str, str], list[date]] = {}
        rows = self._connection.execute(
            "SELECT finding, vantage, day FROM notice UNION SELECT finding, vantage, since FROM entry AS e"
            " WHERE standing = ? AND NOT EXISTS"  # told of before notices were kept
            " (SELECT 1 FROM notice AS n WHERE n.finding = e.finding AND n.vantage = e.vantage) ORDER BY 3",
            (Standing.TOLD,),
        )
        for finding, vantage, day in rows:
            days.setdefault((finding, vantage), []).append(date.fromisoformat(day))
        return {which: Notice(told[0], told[-1], len(told)) for which, told in days.items()}

    def found(self, entries: Sequence[Entry]) -> Mapping[tuple[str, str], Finding]:
        """Give the findings of entries as they were made last, by id and vantage: proof, limits and fixes."""
        wanted = {(each.finding, each.vantage) for each in entries}
        places = dict.fromkeys((each.address, each.port, each.vantage) for each in entries)
        return {
            (id_, vantage): finding
            for address, port, vantage in places
            for id_, finding in self._state.last_found(address, port, vantage).items()
            if (id_, vantage) in wanted
        }

    # --- assets --------------------------------------------------------------------

    def assign(self, asset: Asset) -> None:
        """Say whose an address or a network is; what is left empty stays as it was. Raises ``BadInput``."""
        if "%" in str(asset.network):  # a zone may be any text
            raise BadInput("An asset is an address or a network without a zone, as in 192.0.2.0/28.")
        key = (str(asset.network), asset.port)
        row = self._connection.execute(
            "SELECT unit, owner, contact FROM asset WHERE network = ? AND port = ?", key
        ).fetchone() or ("", "", "")
        new = (asset.unit, asset.owner, asset.contact)
        texts = [
            line(given, "A name") or before for given, before in zip(new, cast("tuple[str, ...]", row), strict=True)
        ]
        self._connection.execute("INSERT OR REPLACE INTO asset VALUES (?, ?, ?, ?, ?)", (*key, *texts))

    def assets(self) -> list[Asset]:
        """Give what is assigned, the narrowest first."""
        rows = self._connection.execute("SELECT network, port, unit, owner, contact FROM asset")
        assets = [Asset(ip_network(row[0]), *row[1:]) for row in rows]
        return sorted(assets, key=lambda each: (-each.network.prefixlen, each.port == 0, str(each.network)))

    # --- people --------------------------------------------------------------------

    def told(self, which: str, by: str, note: str, today: date) -> list[Entry]:
        """Say that the owner of a finding was told; raises ``NotHere``, ``Conflict``.

        Who is told again is reminded: re-tests are counted from the first time on.
        """

        def moved(entry: Entry) -> Entry:
            became = rules.told(entry.standing)
            if became is entry.standing:
                return entry
            return replace(entry, standing=became, since=today, reason="", accepted_until=None)

        return self._said(which, by, note, today, moved, is_notice=True)

    def fixed(self, which: str, by: str, note: str, today: date) -> list[Entry]:
        """Say that a finding was fixed; a run has to prove it. Raises ``NotHere``, ``Conflict``."""

        def moved(entry: Entry) -> Entry:
            became = rules.fixed(entry.standing)
            return replace(entry, standing=became, since=today, said=_now(), reason="", accepted_until=None)

        return self._said(which, by, note, today, moved)

    def accept(self, which: str, by: str, reason: str, until: date, today: date) -> list[Entry]:
        """Accept a finding until a day, with a reason; raises ``NotHere``, ``Conflict``, ``BadInput``."""
        if not reason.strip():
            raise BadInput("A risk is accepted with a reason. Give one: --reason TEXT")

        def accepted(entry: Entry) -> Entry:
            became = rules.accepted(entry.standing, until, today)
            return replace(entry, standing=became, accepted_until=until, reason=line(reason, "A reason"))

        return self._said(which, by, f"until {until}: {reason}", today, accepted)

    def _said(
        self,
        which: str,
        by: str,
        note: str,
        today: date,
        change: Callable[[Entry], Entry],
        *,
        is_notice: bool = False,
    ) -> list[Entry]:
        by, note = line(by, "A name") or "somebody", line(note, "A note")
        self.expire(today)
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            entries = self.of(which)
            several = len(entries) > 1
            moved = [(each, change(each)) for each in entries if not (several and each.standing in CLOSED)]
            if not moved:
                raise NotHere("All of that is closed already.")
            for was, became in moved:
                self._put(was, became, by, note, is_said=True)
                if is_notice:
                    self._connection.execute(
                        "INSERT OR IGNORE INTO notice VALUES (?, ?, ?)",
                        (became.finding, became.vantage, today.isoformat()),
                    )
        return [became for _, became in moved]

    # --- runs ----------------------------------------------------------------------

    def expire(self, today: date) -> None:
        """Open again what was accepted until an earlier day."""
        accepted = self._connection.execute(
            "SELECT min(coalesce(accepted_until, '')) FROM entry WHERE standing = ?", (Standing.ACCEPTED,)
        ).fetchone()[0]
        if accepted is None or accepted >= today.isoformat():
            return  # who only reads waits for no run that writes
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for entry in self.entries():
                became = rules.expired(entry.standing, entry.accepted_until, today)
                if became is not entry.standing:
                    opened = replace(entry, standing=became, since=today, accepted_until=None, reason="")
                    self._put(entry, opened, "calendar", "the acceptance ended")

    def conclude(self, run: Run, today: date) -> Tally:
        """Move every finding by what a run proves; again for a run that went on, and each finding once.

        Parameters
        ----------
        run : Run
            Ended or stopped.
        today : date
            The day it is.
        """
        self.expire(today)
        seen = {finding.id: finding for finding in self._state.findings(run.id)}
        look = look_of(self._state, run)
        new = back = gone = still = 0
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            known = {entry.finding: entry for entry in self.entries(run.vantage)}
            for id_, finding in seen.items():
                entry = known.get(id_)
                if entry is None:
                    if is_open(finding):
                        self._put(None, _entry_from(finding, run, today), f"run {run.number}", "")
                        new += 1
                elif entry.run < run.number:
                    after = _after_sight(entry, finding, run, today)
                    back += after.standing is Standing.REGRESSED and entry.standing in CLOSED
                    gone += after.standing in CLOSED and entry.standing not in CLOSED
                    still += after.standing not in CLOSED and entry.standing not in CLOSED
                    self._put(entry, after, f"run {run.number}", "")
            for id_, entry in known.items():
                if id_ in seen or entry.run >= run.number or not look.proves_gone(_as_finding(entry)):
                    continue
                after = replace(entry, standing=rules.missed(entry.standing), looked=today, run=run.number)
                gone += entry.standing not in CLOSED
                self._put(entry, after, f"run {run.number}", "")
            self._connection.execute(
                "INSERT INTO tally VALUES (?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET new = new + excluded.new,"
                " back = back + excluded.back, gone = gone + excluded.gone, still = still + excluded.still",
                (run.id, new, back, gone, still),
            )
        return self.tallies()[run.id]

    def _put(self, was: Entry | None, entry: Entry, by: str, note: str, *, is_said: bool = False) -> None:
        self._connection.execute(
            f"INSERT OR REPLACE INTO entry ({_COLUMNS}) VALUES ({', '.join('?' * 19)})",  # noqa: S608 - our own names
            (
                entry.finding,
                entry.vantage,
                entry.check,
                entry.address,
                entry.port,
                entry.transport,
                entry.title,
                int(entry.exposure),
                int(entry.worst),
                entry.severity.value,
                entry.standing.value,
                entry.since.isoformat(),
                entry.looked.isoformat(),
                entry.first_seen.isoformat(),
                entry.last_seen.isoformat(),
                None if entry.accepted_until is None else entry.accepted_until.isoformat(),
                entry.reason,
                entry.said,
                entry.run,
            ),
        )
        if entry.standing in CLOSED:  # what is found again later is told of anew
            self._connection.execute(
                "DELETE FROM notice WHERE finding = ? AND vantage = ?", (entry.finding, entry.vantage)
            )
        if was is None or was.standing is not entry.standing or is_said:
            self._connection.execute(
                "INSERT INTO step (finding, vantage, at, was, became, by, note) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (entry.finding, entry.vantage, _now(), "" if was is None else was.standing, entry.standing, by, note),
            )


def _where(which: str) -> tuple[str, int] | None:
    """Read ``ADDRESS``, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``; None where it is none of them."""
    for text, port in ((which, "0"), which.rpartition(":")[::2]):
        try:
            address = ip_address(text.removeprefix("[").removesuffix("]"))
        except ValueError:
            continue
        if port.isascii() and port.isdigit() and int(port) < 65_536:
            return str(address), int(port)
    return None


def _entry_from(finding: Finding, run: Run, today: date) -> Entry:
    return Entry(
        finding=finding.id,
        vantage=run.vantage,
        check=finding.check,
        address="" if finding.address is None else str(finding.address),
        port=finding.port,
        transport=finding.transport,
        title=finding.title,
        exposure=finding.exposure,
        worst=finding.exposure,
        severity=finding.severity,
        standing=Standing.OPEN,
        since=today,
        looked=today,
        first_seen=today,
        last_seen=today,
        run=run.number,
    )


def _after_sight(entry: Entry, finding: Finding, run: Run, today: date) -> Entry:
    """Give an entry after a run that made the finding again."""
    is_there = is_open(finding)
    became = rules.seen(entry.standing) if is_there else rules.missed(entry.standing)
    if is_there and entry.standing is Standing.FIXED_UNVERIFIED and entry.said > run.started.isoformat():
        became = entry.standing  # it may have been looked at before it was fixed
    return replace(
        entry,
        title=finding.title,
        exposure=finding.exposure,
        worst=max(entry.worst, finding.exposure),
        severity=finding.severity,
        standing=became,
        since=today if became is Standing.REGRESSED is not entry.standing else entry.since,
        looked=today,
        last_seen=today if is_there else entry.last_seen,
        run=run.number,
    )


def _as_finding(entry: Entry) -> Finding:
    return Finding(
        check=entry.check,
        address=ip_address(entry.address) if entry.address else None,
        port=entry.port,
        transport=entry.transport,
        title=entry.title,
        exposure=entry.exposure,
        severity=entry.severity,
    )


def _entry_of(row: tuple[object, ...]) -> Entry:
    try:
        return _entry_read(row)
    except (ValueError, TypeError):
        raise damaged() from None


def _entry_read(row: tuple[object, ...]) -> Entry:
    texts = cast("tuple[str, ...]", row)
    until = cast("str | None", row[15])
    return Entry(
        finding=texts[0],
        vantage=texts[1],
        check=texts[2],
        address=texts[3],
        port=cast("int", row[4]),
        transport=texts[5],
        title=texts[6],
        exposure=Exposure(cast("int", row[7])),
        worst=Exposure(cast("int", row[8])),
        severity=Severity(texts[9]),
        standing=Standing(texts[10]),
        since=date.fromisoformat(texts[11]),
        looked=date.fromisoformat(texts[12]),
        first_seen=date.fromisoformat(texts[13]),
        last_seen=date.fromisoformat(texts[14]),
        accepted_until=None if until is None else date.fromisoformat(until),
        reason=texts[16],
        said=texts[17],
        run=cast("int", row[18]),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
