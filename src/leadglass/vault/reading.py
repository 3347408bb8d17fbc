"""Reading: what the index knows, for a permit.

Rule 1. Every query carries the permit's scope (``facts`` alone does not: it is
what decisions are made from). Rule 2. No read transaction outlives its call.
"""

from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, Row, func, select

from leadglass.archive.backroom import InstanceRecord, Kept, Selection
from leadglass.crypto.database import translating
from leadglass.dicom.matching import Level
from leadglass.dicom.model import Attributes
from leadglass.errors import BadInput, NotHere
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit
from leadglass.vault.index import packed
from leadglass.vault.index.scope_sql import one_of, where
from leadglass.vault.index.tables import doomed, instance, quarantine, series, study, study_label, study_source
from leadglass.vault.keys import Keys, object_identity
from leadglass.vault.objects import Place, place_of

_PAGE: Final = 500


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
    engine : Engine
        Of the index.
    keys : Keys
        The archive's.
    """

    def __init__(self, engine: Engine, keys: Keys) -> None:
        self._engine = engine
        self._keys = keys

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._engine.dispose()

    @contextmanager
    def connected(self) -> Generator[Connection]:
        """Give a connection in a read transaction, for as short as possible."""
        with translating("index"), self._engine.connect() as connection:
            yield connection

    # --- facts ----------------------------------------------------------------

    def facts(self, study_uid: str) -> StudyFacts | None:
        """Give the facts of one study; None when it is not here."""
        with self.connected() as connection:
            row = connection.execute(
                select(study.c.id, study.c.patient_id, study.c.issuer_of_patient_id).where(
                    study.c.study_uid == study_uid
                )
            ).one_or_none()
            if row is None:
                return None
            return _facts_of(connection, {row.id: (study_uid, row.patient_id, row.issuer_of_patient_id)})[row.id]

    # --- instances ------------------------------------------------------------

    def locate(self, permit: Permit, level: Level, selection: Selection) -> list[InstanceRecord]:
        """Give the selected instances, by study, series and Instance Number.

        Raises
        ------
        BadInput
            When nothing is selected by: everything is never meant by leaving all out.
        """
        keys = (
            (study.c.patient_id, selection.patient_ids),
            (study.c.study_uid, selection.study_uids),
            (series.c.series_uid, selection.series_uids),
            (instance.c.sop_instance_uid, selection.sop_instance_uids),
        )
        conditions = [one_of(column, values) for column, values in keys if values]
        if not conditions:
            raise BadInput(f"A retrieval at {level} level names what it wants by a unique key.")
        with self.connected() as connection:
            rows = connection.execute(
                select(
                    instance.c.id,
                    instance.c.sop_instance_uid,
                    instance.c.sop_class_uid,
                    instance.c.transfer_syntax_uid,
                    instance.c.size,
                    instance.c.digest,
                    series.c.series_uid,
                    study.c.id.label("study"),
                    study.c.study_uid,
                    study.c.patient_id,
                    study.c.issuer_of_patient_id,
                )
                .join_from(instance, series)
                .join(study)
                .where(where(permit.scope), *conditions)
                .order_by(study.c.id, series.c.id, instance.c.instance_number, instance.c.id)
            ).all()
            studies = {row.study: (row.study_uid, row.patient_id, row.issuer_of_patient_id) for row in rows}
            facts = _facts_of(connection, studies)
        return [
            InstanceRecord(
                row.id,
                facts[row.study],
                row.study_uid,
                row.series_uid,
                row.sop_instance_uid,
                row.sop_class_uid,
                row.transfer_syntax_uid,
                row.size,
                row.digest,
            )
            for row in rows
        ]

    def sealed(self, permit: Permit, record: InstanceRecord) -> Sealed:
        """Give where an instance's object is and its key.

        Raises
        ------
        NotHere
            When it is not here any more, or not for this permit.
        Corrupt
            When its key does not open.
        """
        with self.connected() as connection:
            row = connection.execute(
                select(
                    instance.c.shelf,
                    instance.c.object,
                    instance.c.key,
                    study.c.key.label("study_key"),
                    study.c.study_uid,
                )
                .join_from(instance, series)
                .join(study)
                .where(*_this(record), where(permit.scope))
            ).one_or_none()
        if row is None:
            raise NotHere("There is no such instance here.")
        place = place_of(row.shelf, row.object)
        identity = object_identity(place, record.sop_instance_uid)
        return Sealed(place, self._keys.study(row.study_key, row.study_uid).unwrap(row.key, identity))

    def metadata(self, permit: Permit, record: InstanceRecord) -> Attributes:
        """Give the metadata recorded at ingest; raises as ``sealed``."""
        with self.connected() as connection:
            row = connection.execute(
                select(instance.c.attributes)
                .join_from(instance, series)
                .join(study)
                .where(*_this(record), where(permit.scope))
            ).one_or_none()
        if row is None:
            raise NotHere("There is no such instance here.")
        return packed.unpack(row.attributes)

    def count(self, permit: Permit) -> int:
        """Give how many instances there are in the permit's scope."""
        with self.connected() as connection:
            counts = connection.execute(select(series.c.instances).join_from(series, study).where(where(permit.scope)))
            return sum(count for (count,) in counts)

    def every_instance(self, permit: Permit) -> Iterator[Whole]:
        """Give every instance in the permit's scope, a page at a time."""
        last = 0
        while True:
            with self.connected() as connection:
                rows = connection.execute(
                    select(
                        instance,
                        series.c.series_uid,
                        study.c.study_uid,
                        study.c.key.label("study_key"),
                    )
                    .join_from(instance, series)
                    .join(study)
                    .where(instance.c.id > last, where(permit.scope))
                    .order_by(instance.c.id)
                    .limit(_PAGE)
                ).all()
            for row in rows:
                yield Whole(
                    row.id,
                    row.study_uid,
                    row.series_uid,
                    row.sop_instance_uid,
                    row.sop_class_uid,
                    row.transfer_syntax_uid,
                    row.size,
                    row.digest,
                    place_of(row.shelf, row.object),
                    row.study_key,
                    row.key,
                    row.frames,
                    row.attributes,
                )
            if len(rows) < _PAGE:
                return
            last = rows[-1].id

    # --- quarantine -----------------------------------------------------------

    def quarantined(self, permit: Permit, number: int | None = None) -> list[KeptWhole]:
        """List what is in quarantine, or one of it; what the permit's scope does not cover is not here.

        An item belongs to the study it names: where that is stored, its labels
        and sources count too.
        """
        with self.connected() as connection:
            chosen = select(quarantine).order_by(quarantine.c.number)
            if number is not None:
                chosen = chosen.where(quarantine.c.number == number)
            rows = connection.execute(chosen).all()
            there = connection.execute(
                select(study.c.id, study.c.study_uid, study.c.patient_id, study.c.issuer_of_patient_id).where(
                    one_of(study.c.study_uid, {row.study_uid for row in rows})
                )
            ).all()
            stored = {
                facts.study_uid: facts
                for facts in _facts_of(
                    connection, {row.id: (row.study_uid, row.patient_id, row.issuer_of_patient_id) for row in there}
                ).values()
            }
        found: list[KeptWhole] = []
        for row in rows:
            own = stored.get(row.study_uid)
            facts = StudyFacts(
                row.study_uid,
                row.patient_id,
                row.issuer_of_patient_id,
                (own.sources if own is not None else frozenset[str]()) | {row.origin},
                own.labels if own is not None else frozenset(),
            )
            # Of the item and of the study it would go into: both have to be covered.
            if permit.scope.covers(facts) and (own is None or permit.scope.covers(own)):
                found.append(_kept(row, facts))
        return found

    # --- keeping house --------------------------------------------------------

    def unknown(self, shelf: bytes, names: Collection[bytes]) -> set[bytes]:
        """Say which of a shelf's objects have no row, and so nobody who could open them."""
        with self.connected() as connection:
            known: set[bytes] = set()
            for table in (instance, quarantine):
                rows = connection.execute(select(table.c.object).where(table.c.shelf == shelf))
                known.update(name for (name,) in rows)
        return set(names) - known

    def doomed(self) -> list[Place]:
        """Give the objects whose rows are gone and whose files may still be there."""
        with self.connected() as connection:
            return [Place(shelf, name) for shelf, name in connection.execute(select(doomed.c.shelf, doomed.c.object))]

    def check(self) -> list[str]:
        """Let the database check itself: pages, indices, and the counts kept of instances."""
        with self.connected() as connection:
            told = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA cipher_integrity_check")]
            told += [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
            miscounted = connection.execute(
                select(series.c.series_uid).where(
                    series.c.instances
                    != select(func.count()).where(instance.c.series_id == series.c.id).scalar_subquery()
                )
            )
            told += [f"series {uid} is miscounted" for (uid,) in miscounted]
        return [each for each in told if each != "ok"]


def _this(record: InstanceRecord):
    return instance.c.id == record.row, instance.c.sop_instance_uid == record.sop_instance_uid


def _facts_of(connection: Connection, studies: dict[int, tuple[str, str, str]]) -> dict[int, StudyFacts]:
    """Give the facts of some studies, given their rows' Study Instance UID, Patient ID and issuer."""
    gathered: dict[int, tuple[set[str], set[str]]] = {row: (set(), set()) for row in studies}
    for which, table, column in ((0, study_source, study_source.c.source), (1, study_label, study_label.c.label)):
        for row, value in connection.execute(select(table.c.study_id, column).where(one_of(table.c.study_id, studies))):
            gathered[row][which].add(value)
    return {
        row: StudyFacts(uid, patient_id, issuer, frozenset(gathered[row][0]), frozenset(gathered[row][1]))
        for row, (uid, patient_id, issuer) in studies.items()
    }


def _kept(row: Row[tuple[object, ...]], facts: StudyFacts) -> KeptWhole:
    return KeptWhole(
        Kept(
            row.number,
            row.reason,
            row.study_uid,
            row.series_uid,
            row.sop_instance_uid,
            row.origin,
            row.received,
            row.size,
        ),
        facts,
        row.sop_class_uid,
        row.transfer_syntax_uid,
        row.digest,
        place_of(row.shelf, row.object),
        row.key,
    )
