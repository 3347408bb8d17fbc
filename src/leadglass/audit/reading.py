"""Reading the log in order and in bounded memory, for exports and for the collector.

Rule: what is read is the bytes that were hashed; nothing here judges them.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Self, final

from leadglass.audit.event import Outcome
from leadglass.audit.record import to_text
from leadglass.crypto.database import open_sealed, translating
from leadglass.policy.caller import CallerKind

_AT_ONCE: Final = 1_000
"""Records fetched at a time."""

TO_LOOK_AT: Final = frozenset({Outcome.ALERT, Outcome.FAILED, Outcome.REFUSED})
"""Outcomes that somebody should look at; they have an index of their own."""

PEER: Final = "iif(json_valid(body), body ->> '$.peer', NULL)"
DOOR: Final = "iif(json_valid(body), body ->> '$.door', NULL)"
IS_TO_LOOK_AT: Final = "outcome IN ('alert', 'failed', 'refused')"
"""As the indexes have them: a query that says them otherwise does without."""

MOST_STUDIES: Final = 500
"""Studies that one selection may name."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are meant: those that meet every condition.

    Parameters
    ----------
    since, until : datetime, optional
        From the first on, and before the second; with their zone.
    action : str, optional
        The action's word.
    outcome : Outcome, optional
        How it ended.
    caller : str, optional
        As in the log (``device:CT1``), or only the name (``CT1``).
    study_uid : str, optional
        Study Instance UID.
    peer : str, optional
        The address, or ``local``.
    door : str, optional
        The door's word.
    study_uids : tuple of str, optional
        Any of these studies; the empty tuple is none.
    is_to_look_at : bool
        Only what somebody should look at: refusals, failures and alerts.
    """

    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    outcome: Outcome | None = None
    caller: str | None = None
    study_uid: str | None = None
    peer: str | None = None
    door: str | None = None
    study_uids: tuple[str, ...] | None = None
    is_to_look_at: bool = False

    def to_json(self) -> dict[str, str]:
        """Give the conditions in words; empty when every record is meant."""
        said = {
            "since": to_text(self.since) if self.since else None,
            "until": to_text(self.until) if self.until else None,
            "action": self.action,
            "outcome": self.outcome.value if self.outcome else None,
            "caller": self.caller,
            "study": self.study_uid,
            "peer": self.peer,
            "door": self.door,
            "studies": None if self.study_uids is None else " ".join(self.study_uids),
            "outcomes": " ".join(sorted(TO_LOOK_AT)) if self.is_to_look_at else None,
        }
        return {name: value for name, value in said.items() if value is not None}

    def condition(self) -> tuple[str, dict[str, str]]:
        """Give the conditions in SQL, and the values to bind."""
        clauses = {
            "since": "time >= :since",
            "until": "time < :until",
            "action": "action = :action",
            "outcome": "outcome = :outcome",
            "caller": "(caller = :caller OR substr(caller, instr(caller, ':') + 1) = :caller)",
            "study": "study_uid = :study",
            "peer": f"{PEER} = :peer",
            "door": f"{DOOR} = :door",
            "studies": "study_uid IN (SELECT value FROM json_each(:studies))",
            "outcomes": IS_TO_LOOK_AT,
        }
        values = self.to_json()
        said = " AND ".join(clauses[name] for name in values) or "TRUE"
        if self.study_uids is not None:
            values["studies"] = json.dumps(self.study_uids)
        values.pop("outcomes", None)
        return said, values


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it lies in the log.

    Parameters
    ----------
    sequence : int
        Its number.
    leaf : bytes
        Its leaf hash, as the log has it.
    body : str, optional
        Its canonical JSON; None when it was not selected.
    """

    sequence: int
    leaf: bytes
    body: str | None


@final
class Reader:
    """A reader of the log beside whoever writes; for one thread.

    Parameters
    ----------
    path : Path
        The sealed database.
    key : bytes
        Its key.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._name = path.name
        self._connection = open_sealed(path, key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def size(self) -> int:
        """Give the number of the last record."""
        with translating(self._name):
            return self._connection.execute("SELECT coalesce(max(sequence), 0) FROM record").fetchone()[0]

    def walk(self, selection: Selection, last: int) -> Iterator[Row]:
        """Give every record up to ``last``, in order, with the bodies of those that are selected."""
        condition, values = selection.condition()
        query = (
            f"SELECT sequence, leaf, iif({condition}, body, NULL) FROM record "  # noqa: S608 - ours only
            "WHERE sequence <= :last ORDER BY sequence"
        )
        yield from self._rows(query, values | {"last": last})

    def selected(self, selection: Selection, last: int) -> Iterator[Row]:
        """Give the selected records up to ``last``, in order."""
        condition, values = selection.condition()
        query = (
            f"SELECT sequence, leaf, body FROM record WHERE ({condition}) "  # noqa: S608 - ours only
            "AND sequence <= :last ORDER BY sequence"
        )
        yield from self._rows(query, values | {"last": last})

    def after(self, sequence: int, count: int) -> list[Row]:
        """Give the next ``count`` records after one."""
        query = "SELECT sequence, leaf, body FROM record WHERE sequence > :after ORDER BY sequence LIMIT :count"
        return list(self._rows(query, {"after": sequence, "count": count}))

    def newest(self, selection: Selection, before: int, count: int) -> list[Row]:
        """Give the newest ``count`` records before one that are selected, newest first.

        What is looked at grows with what a study, a caller, an address, a time
        or what is to look at comes to, not with the log. For other conditions it is the
        log without its bodies, less than hundred bytes a record.
        """
        condition, values = replace(selection, caller=None).condition()
        index = "record_sought"
        if selection.is_to_look_at or selection.outcome in TO_LOOK_AT:
            index = "record_to_look_at"
            condition += f" AND {IS_TO_LOOK_AT}"
        if selection.caller is not None:
            named = self._callers_named(selection.caller)
            if not named:
                return []
            values["callers"] = json.dumps(named)
            condition += " AND caller IN (SELECT value FROM json_each(:callers))"
            if len(named) == 1:
                condition, values["named"] = f"{condition} AND caller = :named", named[0]
            index = "record_of_caller"
        elif selection.peer is not None:
            index = "record_of_peer"
        if selection.study_uid is not None or selection.study_uids is not None:
            index = "record_of_study"
            condition += " AND study_uid IS NOT NULL"
        if selection.since is not None or selection.until is not None:
            first, last = self._bounds(selection)
            condition = f"{condition} AND sequence >= {first}"
            before = min(before, last + 1)
        query = (
            f"SELECT sequence FROM record INDEXED BY {index} WHERE ({condition}) "  # noqa: S608 - ours only
            "AND sequence < :before ORDER BY sequence DESC LIMIT :count"
        )
        with translating(self._name):
            found = [row[0] for row in self._connection.execute(query, values | {"before": before, "count": count})]
        chosen = "SELECT sequence, leaf, body FROM record WHERE sequence IN (SELECT value FROM json_each(:chosen))"
        return list(self._rows(f"{chosen} ORDER BY sequence DESC", {"chosen": json.dumps(found)}))

    def _bounds(self, selection: Selection) -> tuple[int, int]:
        """Give the first and the last record of a time: clocks are set back, so that both are looked for."""
        condition, values = Selection(since=selection.since, until=selection.until).condition()
        query = f"SELECT min(sequence), max(sequence) FROM record INDEXED BY record_of_time WHERE {condition}"  # noqa: S608
        with translating(self._name):
            first, last = self._connection.execute(query, values).fetchone()
        return (1, 0) if first is None else (int(first), int(last))

    def callers(self, most: int) -> list[str]:
        """Give who is on record, by name; without reading more of the log than that."""
        query = """
            WITH RECURSIVE known (caller) AS (
                SELECT min(caller) FROM record WHERE caller NOT NULL
                UNION ALL
                SELECT (SELECT min(caller) FROM record WHERE caller > known.caller) FROM known WHERE caller NOT NULL
            )
            SELECT caller FROM known WHERE caller NOT NULL LIMIT ?
        """
        with translating(self._name):
            return [str(row[0]) for row in self._connection.execute(query, (most,))]

    def _callers_named(self, name: str) -> list[str]:
        """Give who is meant: as the log has it (``device:CT1``), or every kind of a name."""
        meant = [name, *(f"{kind}:{name}" for kind in CallerKind)]
        query = "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM record WHERE caller = value)"
        with translating(self._name):
            return [str(row[0]) for row in self._connection.execute(query, (json.dumps(meant),))]

    def heads(self) -> list[int]:
        """Give the sizes at which a head was signed, smallest first."""
        with translating(self._name):
            return [row[0] for row in self._connection.execute("SELECT size FROM checkpoint ORDER BY size")]

    def newest_note(self, last: int) -> tuple[int, str] | None:
        """Give the newest signed head over at most ``last`` records: its size and the note."""
        query = "SELECT size, note FROM checkpoint WHERE size <= ? ORDER BY size DESC LIMIT 1"
        with translating(self._name):
            row = self._connection.execute(query, (last,)).fetchone()
        return None if row is None else (int(row[0]), str(row[1]))

    def _rows(self, query: str, values: "dict[str, str | int] | dict[str, str]") -> Iterator[Row]:
        with translating(self._name), closing(self._connection.execute(query, values)) as cursor:
            while rows := cursor.fetchmany(_AT_ONCE):
                for sequence, leaf, body in rows:
                    yield Row(int(sequence), bytes(leaf), None if body is None else str(body))
