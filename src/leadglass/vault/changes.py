"""Changes: what happened in the archive, numbered in the order in which it was committed.

Rule 1. A change is recorded in the transaction that makes it, so numbers have no
gap and none goes back. Rule 2. Numbers are for those who may see every study.
To others a number would tell how much happens elsewhere: they get sealed cursors.
Rule 3. UIDs only; what a deletion has to remember for scopes, it keeps as marks.
Rule 4. One call looks at so many changes and no more.
"""

import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import msgspec

from leadglass.archive.changed import Change, ChangeKind, Changes
from leadglass.crypto.database import driver
from leadglass.crypto.wrap import KeyWrap
from leadglass.errors import BadInput, Corrupt
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Clause, Condition, Field, Scope
from leadglass.vault.aside import Execute
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import ask
from leadglass.vault.reading import Reading

_KINDS: Final = {
    1: ChangeKind.STUDY_NEW,
    2: ChangeKind.INSTANCE_STORED,
    3: ChangeKind.INSTANCE_REMOVED,
    4: ChangeKind.STUDY_CHANGED,
    5: ChangeKind.STUDY_DELETED,
}
"""As they stand in the index; numbers are never used for another kind."""
_NUMBERS: Final = {kind: number for number, kind in _KINDS.items()}

_SCANNED: Final = 20_000
"""Changes looked at in one call for somebody who may see only some: some 50 ms."""

_LARGEST: Final = 2**63 - 1
_START: Final = ("", "0")
NOW: Final = "now"
"""The cursor of who wants to hear of what comes, and of nothing that was."""
_MARK: Final = 16


class _Marks(msgspec.Struct, frozen=True):
    """The facts of a deleted study, as marks."""

    patient: str
    sources: list[str]
    labels: list[str]
    referrers: list[str] = []
    issuer: str = ""
    """Empty for what was deleted before it was remembered: then who may see a patient is not told of it."""


class Recorder:
    """Records changes, inside of the transaction that makes them.

    Parameters
    ----------
    execute : callable
        Runs a statement on the writing connection.
    """

    __slots__ = ("_execute",)

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def study_new(self, study_uid: str) -> None:
        """Record that a study has its first instance."""
        self._record(ChangeKind.STUDY_NEW, study_uid)

    def study_changed(self, study_uid: str) -> None:
        """Record that an identity that was missing is known now."""
        self._record(ChangeKind.STUDY_CHANGED, study_uid)

    def instance_stored(self, study_uid: str, sop_instance_uid: str) -> None:
        """Record that an instance has its row."""
        self._record(ChangeKind.INSTANCE_STORED, study_uid, sop_instance_uid)

    def instance_removed(self, study_uid: str, sop_instance_uid: str) -> None:
        """Record that an instance went to quarantine."""
        self._record(ChangeKind.INSTANCE_REMOVED, study_uid, sop_instance_uid)

    def study_deleted(self, facts: StudyFacts) -> None:
        """Record that a study and its key are gone."""
        key = _secret(self._execute("SELECT key FROM secret WHERE name = 'changes'"))
        marks = _Marks(
            _mark(key, Field.PATIENT, facts.patient_id),
            sorted(_mark(key, Field.SOURCE, each) for each in facts.sources),
            sorted(_mark(key, Field.LABEL, each) for each in facts.labels),
            sorted(_mark(key, Field.REFERRER, each) for each in facts.referrers),
            _mark(key, Field.ISSUER, facts.issuer_of_patient_id),
        )
        self._record(ChangeKind.STUDY_DELETED, facts.study_uid, None, msgspec.json.encode(marks))

    def _record(
        self, kind: ChangeKind, study_uid: str, sop_instance_uid: str | None = None, facts: bytes | None = None
    ) -> None:
        self._execute(
            "INSERT INTO change (kind, study_uid, sop_instance_uid, moment, facts) VALUES (?, ?, ?, ?, ?)",
            (_NUMBERS[kind], study_uid, sop_instance_uid, int(time.time()), facts),
        )


def newest(reading: Reading) -> int:
    """Give the number of the newest change; 0 when there was none."""
    with reading.connected() as connection:
        return _newest(connection)


def is_unchanged(reading: Reading, study_uid: str, after: int) -> bool:
    """Say whether nothing happened to a study after a change; False, too, where too many happened to look."""
    with reading.connected() as connection:
        if _newest(connection) - after > _SCANNED:
            return False
        found = ask(
            connection, "SELECT 1 FROM change WHERE sequence > ? AND +study_uid = ? LIMIT 1", (after, study_uid)
        )
        return found.fetchone() is None


def since(reading: Reading, permit: Permit, cursor: str, limit: int) -> Changes:
    """Give what happened after a cursor, as far as the permit covers it.

    Raises
    ------
    BadInput
        When the cursor is none of this archive and this caller, or lies ahead of
        the newest change: then the index was put back to an earlier state.
    """
    is_everything = Clause() in permit.scope.clauses
    belongs_to = str(permit.caller).encode()
    with reading.connected() as connection:
        key = _secret(ask(connection, "SELECT key FROM secret WHERE name = 'changes'"))
        last = _newest(connection)
        after = last if cursor == NOW else _opened(cursor, key, belongs_to, may_be_number=is_everything)
        if after > last:
            raise BadInput("since is ahead of the newest change; the archive was restored. Start again from 0.")
        if is_everything:
            rows = _all(connection, after, limit + 1)
            end = last
        else:
            end = min(last, after + _SCANNED)
            rows = _some(connection, permit, after, end, key)
    found = rows[:limit]
    is_cut = len(rows) > limit

    def spoken(sequence: int) -> str:
        return str(sequence) if is_everything else _sealed(sequence, key, belongs_to)

    return Changes(
        tuple(
            Change(
                spoken(sequence),
                sequence if is_everything else None,
                _KINDS[kind],
                study_uid,
                sop_instance_uid or "",
                moment,
            )
            for sequence, kind, study_uid, sop_instance_uid, moment, _ in found
        ),
        next=spoken(found[-1][0] if is_cut and found else end),
        is_last=not is_cut and end == last,
    )


_Row = tuple[int, int, str, str | None, int, bytes | None]


def _all(connection: "driver.Connection", after: int, limit: int) -> list[_Row]:
    return ask(
        connection,
        "SELECT sequence, kind, study_uid, sop_instance_uid, moment, facts FROM change"
        " WHERE sequence > ? ORDER BY sequence LIMIT ?",
        (after, limit),
    ).fetchall()


def _some(connection: "driver.Connection", permit: Permit, after: int, end: int, key: bytes) -> list[_Row]:
    """Give those of studies that are here and covered, and the deletions of those that were."""
    scope = where(permit.scope)
    rows: list[_Row] = ask(
        connection,
        "SELECT change.sequence, change.kind, change.study_uid, change.sop_instance_uid, change.moment, change.facts"
        " FROM change LEFT JOIN study ON study.study_uid = change.study_uid"
        " WHERE change.sequence > ? AND change.sequence <= ?"
        " AND (change.facts IS NOT NULL OR (study.id IS NOT NULL AND (" + scope.text + ")))"
        " ORDER BY change.sequence",
        (after, end, *scope.values),
    ).fetchall()
    blind = _blinded(permit.scope, key)
    return [row for row in rows if row[5] is None or blind.covers(_facts(row[2], row[5]))]


def _newest(connection: "driver.Connection") -> int:
    return int(ask(connection, "SELECT coalesce(max(sequence), 0) FROM change").fetchone()[0])


# --- marks --------------------------------------------------------------------


def _mark(key: bytes, field: Field, value: str) -> str:
    text = f"{field.value}\0{value}".encode("utf-8", "surrogatepass")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[: 2 * _MARK]


def _facts(study_uid: str, blob: bytes) -> StudyFacts:
    marks = msgspec.json.decode(blob, type=_Marks)
    return StudyFacts(
        study_uid,
        marks.patient,
        marks.issuer,
        frozenset(marks.sources),
        frozenset(marks.labels),
        frozenset(marks.referrers),
    )


def _blinded(scope: Scope, key: bytes) -> Scope:
    """Give the scope in terms of marks; Study Instance UIDs stay as they are."""
    return Scope(
        frozenset(
            frozenset(
                each
                if each.field is Field.STUDY
                else Condition(each.field, frozenset(_mark(key, each.field, value) for value in each.values))
                for each in clause
            )
            for clause in scope.clauses
        )
    )


# --- cursors ------------------------------------------------------------------


def _secret(rows: "driver.Cursor") -> bytes:
    row = rows.fetchone()
    if row is None:
        raise Corrupt("The index lacks the key of its changes. Restore it from a backup.")
    return bytes(row[0])


def _sealed(sequence: int, key: bytes, belongs_to: bytes) -> str:
    return urlsafe_b64encode(KeyWrap(key).wrap(sequence.to_bytes(8), belongs_to)).decode().rstrip("=")


def _opened(cursor: str, key: bytes, belongs_to: bytes, *, may_be_number: bool) -> int:
    if cursor in _START:
        return 0
    if may_be_number and cursor.isdecimal() and cursor.isascii() and len(cursor) < 20 and int(cursor) <= _LARGEST:
        return int(cursor)
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        return int.from_bytes(KeyWrap(key).unwrap(raw, belongs_to))
    except (ValueError, Corrupt):
        raise BadInput("since is no cursor that this archive gave to this caller. Start again from 0.") from None
