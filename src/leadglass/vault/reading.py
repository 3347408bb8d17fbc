"""Reading: what the index knows, for a permit.

Rule 1. Every query carries the permit's scope (``facts`` alone does not: it is
what decisions are made from). Rule 2. No read transaction outlives its call.
Rule 3. What is read of an instance that was located is of the same content, and
to be seen as it was then: the row's number alone says neither, for numbers are
used again, and labels and senders change.
"""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, LiteralString

from leadglass.archive.backroom import Described, InstanceRecord, Kept, Selection
from leadglass.crypto.database import SealedReaders, driver, translating
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.json_text import JsonText
from leadglass.dicom.matching import Level
from leadglass.dicom.model import Attributes
from leadglass.errors import BadInput, Busy, Corrupt, NotHere
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Field, Scope
from leadglass.vault.index import packed
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import Sql, all_of, ask, one_of
from leadglass.vault.keys import Keys, object_identity
from leadglass.vault.objects import Place, place_of
from leadglass.vault.recent import Key, Recent, Row
from leadglass.vault.rows import taken

_PAGE: Final = 500

_TEXTS: Final = 2 << 20
"""Bytes of metadata, packed, that are read at once. 256 ordinary instances have some 400 kB."""

_RECORD: Final = (
    "study.id, study.study_uid, study.patient_id, study.issuer_of_patient_id, instance.id, series.series_uid,"
    " instance.sop_instance_uid, instance.sop_class_uid, instance.transfer_syntax_uid, instance.size, instance.digest"
)
_NUMBER_OF_RECORD: Final = 11
_IDENTITY: Final = "instance.id, instance.sop_instance_uid, instance.digest, instance.transfer_syntax_uid"
_OPENS: Final = "instance.shelf, instance.object, instance.key, study.key"
_IN_ORDER: Final = " ORDER BY study.id, series.id, instance.instance_number, instance.id"

_WHOLE: Final = "instance JOIN series ON series.id = instance.series_id JOIN study ON study.id = series.study_id"
_NOT_HERE: Final = "There is no such instance here."


@dataclass(frozen=True, slots=True, repr=False)
class Sealed:
    """Where an object is and the key that opens it."""

    place: Place
    key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Whole:
    """All that the index says of one instance, for fsck."""

    row: int
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    size: int
    digest: bytes
    place: Place
    study_key: bytes
    key: bytes
    frames: bytes | None
    attributes: bytes


@dataclass(frozen=True, slots=True, repr=False)
class KeptWhole:
    """All that the index says of one instance in quarantine."""

    kept: Kept
    facts: StudyFacts
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: bytes
    place: Place
    key: bytes


class Reading:
    """The reading side of the index.

    Parameters
    ----------
    readers : SealedReaders
        Connections to the index.
    keys : Keys
        The archive's.
    """

    def __init__(self, readers: SealedReaders, keys: Keys) -> None:
        self._readers = readers
        self._keys = keys
        self._recent = Recent(self._version, self._load)

    def _version(self) -> int:
        with translating("index"):
            return self._readers.version()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._readers.close()

    @contextmanager
    def connected(self) -> Generator["driver.Connection"]:
        """Give a connection in a read transaction, for as short as possible."""
        with translating("index"), self._readers.reading() as connection:
            yield connection

    # --- facts ----------------------------------------------------------------

    def facts(self, study_uid: str) -> StudyFacts | None:
        """Give the facts of one study; None when it is not here."""
        with self.connected() as connection:
            row = ask(
                connection, "SELECT id, patient_id, issuer_of_patient_id FROM study WHERE study_uid = ?", (study_uid,)
            ).fetchone()
            if row is None:
                return None
            number, patient_id, issuer = row
            return _facts_of(connection, {number: (study_uid, patient_id, issuer)})[number]

    # --- instances ------------------------------------------------------------

    def locate(self, permit: Permit, level: Level, selection: Selection) -> list[InstanceRecord]:
        """Give the selected instances, by study, series and Instance Number.

        Raises
        ------
        BadInput
            When nothing is selected by: everything is never meant by leaving all out.
        """
        if (one := _only(selection)) is not None:
            rows = self._recent.find(Key(permit.scope, *one[:2]))
            if rows is not None:
                return [rows[one[2]].record] if one[2] in rows else []
        match selection:
            case Selection((), (study_uid,), (series_uid,), ()):
                rows = self._recent.known(Key(permit.scope, study_uid, series_uid))
                if rows is not None:
                    return [row.record for row in rows.values()]
            case _:
                pass
        conditions = [where(permit.scope)]
        if selection.patient_ids:
            conditions.append(one_of("study.patient_id", selection.patient_ids))
        if selection.study_uids:
            conditions.append(one_of("study.study_uid", selection.study_uids))
        if selection.series_uids:
            conditions.append(one_of("series.series_uid", selection.series_uids))
        if selection.sop_instance_uids:
            conditions.append(one_of("instance.sop_instance_uid", selection.sop_instance_uids))
        if len(conditions) == 1:
            raise BadInput(f"A retrieval at {level} level names what it wants by a unique key.")
        return self._located(all_of(conditions))

    def _located(self, selected: Sql) -> list[InstanceRecord]:
        with self.connected() as connection:
            text = "SELECT " + _RECORD + " FROM " + _WHOLE + " WHERE " + selected.text + _IN_ORDER
            rows = ask(connection, text, selected.values).fetchall()
            return _records_of(connection, rows)

    def _load(self, key: Key, most: int) -> dict[str, Row] | None:
        """Read a series, as ``Recent`` wants it."""
        series = (one_of("study.study_uid", (key.study_uid,)), one_of("series.series_uid", (key.series_uid,)))
        selected = all_of((where(key.scope), *series))
        with self.connected() as connection:
            text = "SELECT " + _RECORD + ", " + _OPENS + " FROM " + _WHOLE + " WHERE " + selected.text + _IN_ORDER
            rows = ask(connection, text + " LIMIT ?", (*selected.values, most + 1)).fetchall()
            if len(rows) > most:
                return None
            records = _records_of(connection, rows)
        found = zip(records, rows, strict=True)
        return {each.sop_instance_uid: Row(each, *row[_NUMBER_OF_RECORD:]) for each, row in found}

    def at_hand(self, permit: Permit, selection: Selection) -> tuple[InstanceRecord, Callable[[], Sealed]] | None:
        """Give the one instance that is selected from memory, as the index has it now; None says nothing of it.

        With it comes what unwraps its key, for who opens it: that raises ``Corrupt``.
        """
        one = _only(selection)
        row = None if one is None else self._known(permit, *one)
        return None if row is None else (row.record, partial(self._sealed, row))

    def ahead(self, permit: Permit, record: InstanceRecord, octets: int) -> Iterator[tuple[Described, Place]]:
        """Give what is remembered of an instance's series, what comes after it first, up to so many octets."""
        rows = self._recent.known(Key(permit.scope, record.study_uid, record.series_uid)) or {}
        series = list(rows.values())
        begin = next((index for index, row in enumerate(series) if row.record == record), 0)
        wanted: list[Row] = []
        for row in (*series[begin:], *series[:begin]):
            octets -= row.record.size
            if octets < 0:
                break
            wanted.append(row)
        these = all_of((one_of("instance.id", [row.record.row for row in wanted]), where(permit.scope)))
        with self.connected() as connection:
            text = "SELECT " + _IDENTITY + ", instance.frames, instance.attributes FROM " + _WHOLE
            found = ask(connection, text + " WHERE " + these.text, these.values).fetchall()
        told = {row[:-2]: row[-2:] for row in found}
        for row in wanted:
            frames, attributes = told.get(_identity(row.record), (None, None))
            if attributes is None:
                continue
            try:
                table = FrameTable.from_bytes(frames) if frames is not None else None
                described = Described(row.record, table, packed.unpack(attributes))
            except Corrupt:  # who asks for it hears it, and for the others the others are here
                continue
            yield described, place_of(row.shelf, row.name)

    def _known(self, permit: Permit, study_uid: str, series_uid: str, sop_instance_uid: str) -> Row | None:
        rows = self._recent.known(Key(permit.scope, study_uid, series_uid))
        return None if rows is None else rows.get(sop_instance_uid)

    def sealed(self, permit: Permit, record: InstanceRecord, *, to_show: bool = True) -> Sealed:
        """Give where an instance's object is and its key.

        Parameters
        ----------
        permit : Permit
            For what is done with it.
        record : InstanceRecord
            As it was located.
        to_show : bool
            Whether anything of it may leave; else what may be seen of it is not asked.

        Raises
        ------
        NotHere
            When it is not here any more, or not for this permit.
        Busy
            When more of it is to be masked than when it was located.
        Corrupt
            When its key does not open.
        """
        rows = self._recent.find(Key(permit.scope, record.study_uid, record.series_uid), to_open=True)
        known = None if rows is None else rows.get(record.sop_instance_uid)
        if known is None or _identity(known.record) != _identity(record):
            return self._sealed(Row(record, *self._row(permit, record, _OPENS, to_show=to_show)))
        if to_show:
            _demand_view(permit, (record,), {record.study_uid: known.record.facts})
        return self._sealed(known)

    def _sealed(self, row: Row) -> Sealed:
        place = place_of(row.shelf, row.name)
        identity = object_identity(place, row.record.sop_instance_uid)
        return Sealed(place, self._keys.study(row.study_key, row.record.study_uid).unwrap(row.key, identity))

    def metadata(self, permit: Permit, record: InstanceRecord) -> Attributes:
        """Give the metadata recorded at ingest; raises as ``sealed``."""
        return packed.unpack(self._row(permit, record, "instance.attributes")[0])

    def json_texts(self, permit: Permit, records: Sequence[InstanceRecord]) -> list[JsonText]:
        """Give the metadata of many instances, in their order, unread; raises as ``sealed``.

        Of as many as are not too large together, the first in any case.
        """
        count = len(records)
        while True:
            these = all_of((one_of("instance.id", [each.row for each in records[:count]]), where(permit.scope)))
            text = "SELECT " + _IDENTITY + ", instance.attributes FROM " + _WHOLE + " WHERE " + these.text
            with self.connected() as connection:
                rows, is_cut = taken(ask(connection, text, these.values), _TEXTS)
                now = _facts_now(connection, permit, records[:count])
            if not is_cut or count == 1:
                break
            count = max(1, count // 4)
        found = {row[:-1]: row[-1] for row in rows}
        try:
            told = [found[_identity(record)] for record in records[:count]]
        except KeyError:
            raise NotHere(_NOT_HERE) from None
        _demand_view(permit, records[:count], now)
        return [packed.json_text(attributes) for attributes in told]

    def frames(self, permit: Permit, record: InstanceRecord) -> FrameTable | None:
        """Give where the frames of an instance are; None when that is not known; raises as ``sealed``."""
        frames = self._row(permit, record, "instance.frames")[0]
        return FrameTable.from_bytes(frames) if frames is not None else None

    def _row(
        self, permit: Permit, record: InstanceRecord, columns: LiteralString, *, to_show: bool = True
    ) -> tuple[Any, ...]:
        """Give columns of an instance that was located; raises ``NotHere``, ``Busy``."""
        this = _this(record, permit)
        with self.connected() as connection:
            text = "SELECT " + columns + " FROM " + _WHOLE + " WHERE " + this.text
            row = ask(connection, text, this.values).fetchone()
            now = _facts_now(connection, permit, (record,)) if to_show else {}
        if row is None:
            raise NotHere(_NOT_HERE)
        _demand_view(permit, (record,), now)
        return row

    def count(self, permit: Permit) -> int:
        """Give how many instances there are in the permit's scope."""
        scope = where(permit.scope)
        with self.connected() as connection:
            row = ask(
                connection,
                "SELECT coalesce(sum(series.instances), 0) FROM series JOIN study ON study.id = series.study_id"
                " WHERE " + scope.text,
                scope.values,
            ).fetchone()
        return int(row[0])

    def labels(self) -> dict[str, int]:
        """Give every label and how many studies have it."""
        with self.connected() as connection:
            return dict(
                ask(connection, "SELECT label, count(*) FROM study_label GROUP BY label ORDER BY label").fetchall()
            )

    def studies_of(self, permit: Permit, patient_id: str) -> list[str]:
        """Give the Study Instance UIDs of a patient in the permit's scope, the newest study first."""
        scope = where(permit.scope & Scope.where(Field.PATIENT, patient_id))
        with self.connected() as connection:
            rows = ask(
                connection,
                "SELECT study.study_uid FROM study WHERE " + scope.text + " ORDER BY study.id DESC LIMIT ?",
                (*scope.values, _PAGE),
            ).fetchall()
        return [str(row[0]) for row in rows]

    def every_instance(self, permit: Permit) -> Iterator[Whole]:
        """Give every instance in the permit's scope, a page at a time."""
        last, scope = 0, where(permit.scope)
        while True:
            with self.connected() as connection:
                rows = ask(
                    connection,
                    "SELECT instance.id, study.study_uid, series.series_uid, instance.sop_instance_uid,"
                    " instance.sop_class_uid, instance.transfer_syntax_uid, instance.size, instance.digest,"
                    " instance.shelf, instance.object, study.key, instance.key, instance.frames, instance.attributes"
                    " FROM " + _WHOLE + " WHERE instance.id > ? AND (" + scope.text + ")"
                    " ORDER BY instance.id LIMIT ?",
                    (last, *scope.values, _PAGE),
                ).fetchall()
            for row in rows:
                number, study, series, instance, sop_class, syntax, size, digest, shelf, name, *rest = row
                place = place_of(shelf, name)
                study_key, key, frames, attributes = rest
                yield Whole(
                    number,
                    study,
                    series,
                    instance,
                    sop_class,
                    syntax,
                    size,
                    digest,
                    place,
                    study_key,
                    key,
                    frames,
                    attributes,
                )
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    # --- quarantine -----------------------------------------------------------

    def quarantined(self, permit: Permit, numbers: Collection[int] | None = None) -> list[KeptWhole]:
        """List what is in quarantine, or what of some numbers is; what the permit's scope does not cover is not here.

        An item belongs to the study it names: where that is stored, its labels
        and sources count too.
        """
        wanted = one_of("number", numbers) if numbers is not None else Sql("TRUE")
        with self.connected() as connection:
            rows = ask(
                connection,
                "SELECT number, reason, study_uid, series_uid, sop_instance_uid, origin, received, size, patient_id,"
                " issuer_of_patient_id, sop_class_uid, transfer_syntax_uid, digest, shelf, object, key, submitted"
                " FROM quarantine WHERE " + wanted.text + " ORDER BY number",
                wanted.values,
            ).fetchall()
            named = one_of("study_uid", {row[2] for row in rows})
            there = ask(
                connection,
                "SELECT id, study_uid, patient_id, issuer_of_patient_id FROM study WHERE " + named.text,
                named.values,
            )
            stored = {
                facts.study_uid: facts for facts in _facts_of(connection, {row[0]: row[1:] for row in there}).values()
            }
        found: list[KeptWhole] = []
        judged: dict[tuple[str, ...], StudyFacts | None] = {}
        for row in rows:
            _, _, study_uid, _, _, origin, _, _, patient_id, issuer, sop_class, syntax, digest, shelf, name, key, _ = (
                row
            )
            same = (study_uid, patient_id, issuer, origin)
            if same not in judged:  # thousands of one study from one sender are judged once
                judged[same] = _covered(permit, stored.get(study_uid), StudyFacts(*same[:3], frozenset({origin})))
            facts = judged[same]
            if facts is not None:
                kept = Kept(*row[:8], is_submitted=bool(row[-1]), patient_id=patient_id)
                found.append(KeptWhole(kept, facts, sop_class, syntax, digest, place_of(shelf, name), key))
        return found

    def handed_in(self, origin: str, sop_instance_uids: Collection[str]) -> set[tuple[str, bytes]]:
        """Give SOP Instance UID and digest of what somebody sent of some UIDs, whether it waits or was filed."""
        these = one_of("sop_instance_uid", sop_instance_uids)
        with self.connected() as connection:
            rows = ask(
                connection,
                "SELECT sop_instance_uid, digest FROM quarantine WHERE origin = ? AND " + these.text + ""
                " UNION SELECT sop_instance_uid, digest FROM instance WHERE origin = ? AND " + these.text,
                (origin, *these.values, origin, *these.values),
            ).fetchall()
        return {(uid, digest) for uid, digest in rows}

    # --- keeping house --------------------------------------------------------

    def unknown(self, shelf: bytes, names: Collection[bytes]) -> set[bytes]:
        """Say which of a shelf's objects have no row, and so nobody who could open them."""
        with self.connected() as connection:
            known = {
                name
                for (name,) in ask(
                    connection,
                    "SELECT object FROM instance WHERE shelf = ?1"
                    " UNION ALL SELECT object FROM quarantine WHERE shelf = ?1",
                    (shelf,),
                )
            }
        return set(names) - known

    def doomed(self) -> list[Place]:
        """Give the objects whose rows are gone and whose files may still be there."""
        with self.connected() as connection:
            return [Place(shelf, name) for shelf, name in ask(connection, "SELECT shelf, object FROM doomed")]

    def check(self) -> list[str]:
        """Let the database check itself: pages, indices, what rows belong to, and the counts kept of instances."""
        with self.connected() as connection:
            told = [str(row[0]) for row in ask(connection, "PRAGMA cipher_integrity_check")]
            told += [str(row[0]) for row in ask(connection, "PRAGMA integrity_check(20)")]
            lost = Counter((str(row[0]), str(row[2])) for row in ask(connection, "PRAGMA foreign_key_check"))
            told += [
                f"rows of {table} that belong to no {parent}: {count}"
                for (table, parent), count in sorted(lost.items())
            ]
            miscounted = ask(
                connection,
                "SELECT series_uid FROM series"
                " WHERE instances != (SELECT count(*) FROM instance WHERE instance.series_id = series.id)",
            )
            told += [f"series {uid} is miscounted" for (uid,) in miscounted]
        return [each for each in told if each != "ok"]


def _only(selection: Selection) -> tuple[str, str, str] | None:
    """Give the UIDs of the study, series and instance, where one of each is selected by them alone."""
    match selection:
        case Selection((), (study_uid,), (series_uid,), (sop_instance_uid,)):
            return study_uid, series_uid, sop_instance_uid
        case _:
            return None


def _covered(permit: Permit, own: StudyFacts | None, alone: StudyFacts) -> StudyFacts | None:
    """Give the facts of something in quarantine whose study is ``own``; None when it is not for a permit.

    Of the item and of the study it would go into: both have to be covered.
    """
    facts = alone
    if own is not None:
        facts = replace(alone, sources=own.sources | alone.sources, labels=own.labels, referrers=own.referrers)
    return facts if permit.scope.covers(facts) and (own is None or permit.scope.covers(own)) else None


def _this(record: InstanceRecord, permit: Permit) -> Sql:
    """Say that it is the instance of a record, in the permit's scope."""
    same = (
        "instance.id = ? AND instance.sop_instance_uid = ? AND instance.digest = ? AND instance.transfer_syntax_uid = ?"
    )
    return all_of((Sql(same, _identity(record)), where(permit.scope)))


def _identity(record: InstanceRecord) -> tuple[int, str, bytes, str]:
    """Give what an instance is known again by: the columns of ``_IDENTITY``.

    The number of a row that was deleted is given to another, and its UID may
    come again with another content.
    """
    return record.row, record.sop_instance_uid, record.digest, record.transfer_syntax_uid


def _facts_now(
    connection: "driver.Connection", permit: Permit, records: Sequence[InstanceRecord]
) -> dict[str, StudyFacts]:
    """Give the facts of the studies of some instances by UID, where what is seen of them depends on that."""
    if permit.has_one_view:
        return {}
    these = one_of("study_uid", {record.study_uid for record in records})
    text = "SELECT id, study_uid, patient_id, issuer_of_patient_id FROM study WHERE " + these.text
    studies = {row[0]: row[1:] for row in ask(connection, text, these.values).fetchall()}
    return {facts.study_uid: facts for facts in _facts_of(connection, studies).values()}


def _demand_view(permit: Permit, records: Sequence[InstanceRecord], now: Mapping[str, StudyFacts]) -> None:
    """Raise ``Busy`` where more of a study is to be masked now than when it was located."""
    then = {record.study_uid: record.facts for record in records}
    if not all(permit.still_shows(then[study_uid], facts) for study_uid, facts in now.items()):
        raise Busy("What may be seen of it was changed just now. Ask again.")


def _records_of(connection: "driver.Connection", rows: Sequence[tuple[Any, ...]]) -> list[InstanceRecord]:
    """Give what rows that begin with the columns of ``_RECORD`` say."""
    facts = _facts_of(connection, {row[0]: row[1:4] for row in rows})
    return [InstanceRecord(row[4], facts[row[0]], row[1], *row[5:_NUMBER_OF_RECORD]) for row in rows]


def _facts_of(connection: "driver.Connection", studies: dict[int, tuple[str, str, str]]) -> dict[int, StudyFacts]:
    """Give the facts of some studies, given their rows' Study Instance UID, Patient ID and issuer."""
    gathered: dict[int, tuple[set[str], set[str], set[str]]] = {row: (set(), set(), set()) for row in studies}
    wanted = one_of("study_id", studies.keys())
    sources = ask(connection, "SELECT study_id, source FROM study_source WHERE " + wanted.text, wanted.values)
    for row, source in sources:
        gathered[row][0].add(source)
    labels = ask(connection, "SELECT study_id, label FROM study_label WHERE " + wanted.text, wanted.values)
    for row, label in labels:
        gathered[row][1].add(label)
    referrers = ask(connection, "SELECT study_id, form FROM study_referrer WHERE " + wanted.text, wanted.values)
    for row, form in referrers:
        gathered[row][2].add(form)
    return {
        row: StudyFacts(uid, patient_id, issuer, *map(frozenset, gathered[row]))
        for row, (uid, patient_id, issuer) in studies.items()
    }
