"""Filing: what is written to the index, inside of one transaction.

Rule 1. Only the leader of a batch holds it (``committer``). Rule 2. What was
read is trusted until another process has written: then it is read anew. Rule 3.
A study's patient is never changed here by what merely arrives; an identity that
was missing is filled in, when the permit covers the study before and after.
"""

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final, cast

from leadglass.archive.backroom import Deleted
from leadglass.crypto.database import driver
from leadglass.crypto.wrap import KeyWrap
from leadglass.dicom import tags
from leadglass.errors import Corrupt, Denied, NotHere
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit
from leadglass.vault.aside import Aside, doom
from leadglass.vault.changes import Recorder
from leadglass.vault.index import levels, normal, packed
from leadglass.vault.keys import Keys, object_identity
from leadglass.vault.objects import Place, place_of
from leadglass.vault.records import (
    Arrived,
    Caps,
    Filed,
    Healed,
    OtherPatient,
    Outcome,
    Standing,
    Submitted,
    SubmittedCaps,
)
from leadglass.vault.soundness import IsSound

_REMEMBERED: Final = 2_000
"""Studies whose rows are remembered; a modality sends few at a time."""

_MOMENT: Final = 1.0
"""Seconds for which what was read may serve for a first decision."""


@dataclass(slots=True)
class _Series:
    row: int
    sop_classes: set[str]


@dataclass(slots=True)
class _Study:
    row: int
    study_uid: str
    patient_id: str
    issuer: str
    key: KeyWrap
    sources: set[str]
    labels: frozenset[str]
    referrers: frozenset[str]
    series: dict[str, _Series] = field(default_factory=dict[str, _Series])

    def facts(self) -> StudyFacts:
        return StudyFacts(
            self.study_uid, self.patient_id, self.issuer, frozenset(self.sources), self.labels, self.referrers
        )


class Filing:
    """The writing connection, and what is remembered of its rows.

    Parameters
    ----------
    connection
        Of the index, in autocommit mode, used by nobody else.
    keys : Keys
        The archive's.
    caps : Caps
        Of quarantine.
    is_sound : callable
        Says whether an object can be opened.
    submitted : SubmittedCaps, optional
        Of what is handed in to wait in quarantine; without, nothing is.

    Attributes
    ----------
    aside : Aside
        The quarantine, in the same transaction.
    has_written : bool
        Whether a job of the transaction that went well changed anything, so that committing it writes.
    """

    def __init__(
        self,
        connection: "driver.Connection",
        keys: Keys,
        caps: Caps,
        is_sound: IsSound,
        submitted: SubmittedCaps | None = None,
    ) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._keys = keys
        self._is_sound = is_sound
        self.aside = Aside(self._execute, keys, caps, is_sound, submitted)
        self._changes = Recorder(self._execute)
        self._studies: dict[str, _Study] = {}
        self._added: Counter[int] = Counter()
        self._since_mark: list[int] = []
        self._is_shared = True
        self._rows = 0
        self.has_written = False
        self._version = -1
        self._checked = 0.0

    # --- the transaction ------------------------------------------------------

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""
        return self._connection.in_transaction

    def begin(self, *, is_shared: bool = True) -> None:
        """Begin the transaction, alone among all processes; one job alone in it needs no savepoint."""
        self._is_shared = is_shared
        self._execute("BEGIN IMMEDIATE")
        version = self._execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or len(self._studies) > _REMEMBERED:
            self._version = version
            self._studies.clear()
        self._checked = time.monotonic()
        self._added.clear()
        self.has_written = False

    def mark(self) -> None:
        """Begin a job."""
        if self._is_shared:
            self._execute("SAVEPOINT job")
        self._since_mark.clear()
        self._rows = self._connection.total_changes

    def unmark(self) -> None:
        """End a job that went well."""
        if self._is_shared:
            self._execute("RELEASE job")
        self._added.update(self._since_mark)
        self.has_written = self.has_written or self._connection.total_changes != self._rows

    def back_to_mark(self) -> None:
        """Undo a job; alone in its transaction it is undone with that."""
        if self._is_shared:
            self._execute("ROLLBACK TO job")
            self._execute("RELEASE job")
        self._studies.clear()

    def finish(self) -> None:
        """Commit."""
        for series, count in self._added.items():
            self._execute("UPDATE series SET instances = instances + ? WHERE id = ?", (count, series))
        self._execute("COMMIT")

    def undo(self) -> None:
        """Undo everything since ``begin``."""
        self._studies.clear()
        if self._connection.in_transaction:
            self._execute("ROLLBACK")

    def truncate_log(self) -> bool:
        """Empty the write-ahead log; gives whether neither a reader nor the disk was in the way."""
        try:
            return not self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except driver.Error:  # the log is whole, and the next checkpoint writes anew what this one could not
            return False

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # --- filing ---------------------------------------------------------------

    def standing(self, sop_instance_uid: str) -> Standing | None:
        """Give the instance that is stored under a UID."""
        row = self._execute(
            "SELECT i.id, t.study_uid, s.series_uid, i.transfer_syntax_uid, i.shelf, i.object, i.key, i.digest, i.size,"
            " t.key FROM instance i JOIN series s ON s.id = i.series_id JOIN study t ON t.id = s.study_id"
            " WHERE i.sop_instance_uid = ?",
            (sop_instance_uid,),
        ).fetchone()
        if row is None:
            return None
        place = place_of(row[4], row[5])
        key = self._keys.study(row[9], row[1]).unwrap(row[6], object_identity(place, sop_instance_uid))
        return Standing(row[0], row[1], row[2], sop_instance_uid, row[3], place, key, row[7], row[8])

    def file(self, arrived: Arrived, permit: Permit, *, whatever_patient: bool = False) -> Outcome:
        """Give an instance its row, unless something stands against it.

        Raises
        ------
        Denied
            When the permit does not cover its study, as it is or as it will be.
        Corrupt
            When a row stands in the way that no series holds: nothing is said to be stored that has no row.
        """
        study = self._study(arrived.study_uid)
        if study is None:
            _demand(permit, _own_facts(arrived))
            standing = self.standing(arrived.sop_instance_uid)
            if standing is not None:
                return standing
            study = self._new_study(arrived)
        else:
            _demand(permit, study.facts())
            series = _expected_in(study, arrived)
            if series is not None and self._insert(study, series, arrived):
                return Filed()
            standing = self.standing(arrived.sop_instance_uid)
            if standing is not None:
                return standing
            if not whatever_patient:
                differs = _other_patient(study, arrived)
                if differs is not None:
                    return OtherPatient(differs)
                self._complete_patient(study, arrived, permit)
            if arrived.origin not in study.sources:
                self._execute("INSERT INTO study_source VALUES (?, ?)", (study.row, arrived.origin))
                study.sources.add(arrived.origin)
        if not self._insert(study, self._series(study, arrived), arrived):  # a row that belongs to no series
            raise Corrupt("The index holds a row for this instance that belongs to nothing. Run: leadglass fsck")
        return Filed()

    def submit(self, arrived: Arrived, permit: Permit) -> Submitted:
        """Put an instance where it waits to be looked at, whatever is stored.

        Raises
        ------
        Denied
            When the permit does not cover what the instance says it is of.
        Full
            When as much waits as may.
        """
        _demand(permit, _own_facts(arrived))
        return self.aside.submit(arrived)

    def file_or_heal(self, arrived: Arrived, permit: Permit) -> Outcome | Healed:
        """File an instance; where the same one stands and its object is damaged, let this one take its place.

        Everything is looked at again: another may have healed or deleted it meanwhile.

        Raises
        ------
        Denied
            As ``file``.
        Corrupt
            When the key of the study does not open: then nothing heals it.
        """
        outcome = self.file(arrived, permit)
        if not isinstance(outcome, Standing) or not outcome.is_same_as(arrived) or self.is_sound(outcome):
            return outcome
        return self.heal(outcome, arrived)

    def is_sound(self, standing: Standing) -> bool:
        """Say whether a stored instance can be opened."""
        return self._is_sound(standing.place, standing.key, standing.size)

    def heal(self, standing: Standing, arrived: Arrived) -> Healed:
        """Let another object of the same bytes stand for a stored instance; its own is doomed."""
        study = self._study(standing.study_uid)
        if study is None or not standing.is_same_as(arrived):
            raise Corrupt("A stored object is damaged, and this instance cannot stand for it. Run: leadglass fsck")
        place = arrived.place
        self._execute(
            "UPDATE instance SET shelf = ?, object = ?, key = ? WHERE id = ?",
            (
                place.shelf,
                place.name,
                study.key.wrap(arrived.key, object_identity(place, standing.sop_instance_uid)),
                standing.row,
            ),
        )
        doom(self._execute, standing.place)
        return Healed(standing.place)

    def facts(self, study_uid: str) -> StudyFacts | None:
        """Give the facts of a study as they are now; None when it is not here."""
        study = self._study(study_uid)
        return study.facts() if study is not None else None

    def remembered(self, study_uid: str) -> StudyFacts | None:
        """Give facts that were true a moment ago, to any thread; ``file`` looks again before it counts.

        A modality sends hundreds of instances of one study in a row: without
        this, each would cost a query.
        """
        if time.monotonic() - self._checked > _MOMENT:
            return None
        study = self._studies.get(study_uid)
        return study.facts() if study is not None else None

    def _study(self, study_uid: str) -> _Study | None:
        found = self._studies.get(study_uid)
        if found is not None:
            return found
        row = self._execute(
            "SELECT id, patient_id, issuer_of_patient_id, key FROM study WHERE study_uid = ?", (study_uid,)
        ).fetchone()
        if row is None:
            return None
        sources = {source for (source,) in self._execute("SELECT source FROM study_source WHERE study_id = ?", row[:1])}
        labels = frozenset(
            label for (label,) in self._execute("SELECT label FROM study_label WHERE study_id = ?", row[:1])
        )
        referrers = frozenset(
            form for (form,) in self._execute("SELECT form FROM study_referrer WHERE study_id = ?", row[:1])
        )
        key = self._keys.study(row[3], study_uid)
        study = self._studies[study_uid] = _Study(row[0], study_uid, row[1], row[2], key, sources, labels, referrers)
        return study

    def _new_study(self, arrived: Arrived) -> _Study:
        wrapped, key = self._keys.new_study(arrived.study_uid)
        of_study = levels.of_study(arrived.attributes)
        row = cast(
            int,
            self._execute(
                "INSERT INTO study (study_uid, patient_id, issuer_of_patient_id, patient, patient_id_form,"
                " patient_birth_date, study_date, accession_number, study_code, key, attributes, received, newest,"
                " name) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    arrived.study_uid,
                    arrived.patient_id,
                    arrived.issuer_of_patient_id,
                    normal.patient(arrived.patient_id, arrived.issuer_of_patient_id, of_study),
                    normal.text(of_study, tags.PatientID),
                    normal.date(of_study, tags.PatientBirthDate),
                    normal.date(of_study, tags.StudyDate),
                    normal.text(of_study, tags.AccessionNumber),
                    normal.text(of_study, tags.StudyID),
                    wrapped,
                    packed.pack_row(of_study),
                    arrived.received,
                    normal.newest(of_study),
                    normal.name_order(of_study),
                ),
            ).lastrowid,
        )
        self._changes.study_new(arrived.study_uid)
        for word in normal.words(of_study, tags.PatientName):
            self._execute("INSERT INTO study_word VALUES (?, ?)", (word, row))
        for word in normal.words(of_study, tags.StudyDescription):
            self._execute("INSERT INTO study_term VALUES (?, ?)", (word, row))
        for form in normal.names(of_study, tags.PatientName):
            self._execute("INSERT INTO study_name VALUES (?, ?)", (row, form))
        self._execute("INSERT INTO study_source VALUES (?, ?)", (row, arrived.origin))
        referrers = normal.referrers(of_study)
        for form in sorted(referrers):
            self._execute("INSERT INTO study_referrer VALUES (?, ?)", (row, form))
        study = self._studies[arrived.study_uid] = _Study(
            row,
            arrived.study_uid,
            arrived.patient_id,
            arrived.issuer_of_patient_id,
            key,
            {arrived.origin},
            frozenset(),
            referrers,
        )
        return study

    def _complete_patient(self, study: _Study, arrived: Arrived, permit: Permit) -> None:
        """Fill in the Patient ID or its issuer, where the study had none."""
        patient_id = study.patient_id or arrived.patient_id
        issuer = study.issuer or arrived.issuer_of_patient_id
        if (patient_id, issuer) == (study.patient_id, study.issuer):
            return
        _demand(permit, replace(study.facts(), patient_id=patient_id, issuer_of_patient_id=issuer))
        row = self._execute("SELECT attributes FROM study WHERE id = ?", (study.row,)).fetchone()
        attributes = packed.unpack(row[0])
        for tag, given in ((tags.PatientID, patient_id), (tags.IssuerOfPatientID, issuer)):
            if given:
                attributes[tags.key(tag)] = {"vr": "LO", "Value": [given]}
        self._execute(
            "UPDATE study SET patient_id = ?, issuer_of_patient_id = ?, patient = ?, patient_id_form = ?,"
            " attributes = ? WHERE id = ?",
            (
                patient_id,
                issuer,
                normal.patient(patient_id, issuer, attributes),
                normal.text(attributes, tags.PatientID),
                packed.pack_row(dict(sorted(attributes.items()))),
                study.row,
            ),
        )
        study.patient_id, study.issuer = patient_id, issuer
        self._changes.study_changed(study.study_uid)

    def _series(self, study: _Study, arrived: Arrived) -> _Series:
        series = study.series.get(arrived.series_uid)
        if series is None:
            row = self._execute(
                "SELECT id FROM series WHERE study_id = ? AND series_uid = ?", (study.row, arrived.series_uid)
            ).fetchone()
            if row is not None:
                classes = self._execute("SELECT sop_class_uid FROM series_sop_class WHERE series_id = ?", row)
                series = _Series(row[0], {uid for (uid,) in classes})
            else:
                of_series = levels.of_series(arrived.attributes)
                inserted = self._execute(
                    "INSERT INTO series (study_id, series_uid, modality, instances, attributes, series_number)"
                    " VALUES (?, ?, ?, 0, ?, ?)",
                    (
                        study.row,
                        arrived.series_uid,
                        normal.plain(of_series, tags.Modality),
                        packed.pack_row(of_series),
                        normal.number(of_series, tags.SeriesNumber),
                    ),
                ).lastrowid
                series = _Series(cast(int, inserted), set())
            study.series[arrived.series_uid] = series
        if arrived.sop_class_uid not in series.sop_classes:
            self._execute("INSERT INTO series_sop_class VALUES (?, ?)", (series.row, arrived.sop_class_uid))
            series.sop_classes.add(arrived.sop_class_uid)
        return series

    def _insert(self, study: _Study, series: _Series, arrived: Arrived) -> bool:
        """Give an instance its row; False where one stands under its UID already."""
        place = arrived.place
        inserted = self._execute(
            "INSERT INTO instance (series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, instance_number,"
            " size, digest, shelf, object, key, origin, received, frames, attributes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sop_instance_uid) DO NOTHING",
            (
                series.row,
                arrived.sop_instance_uid,
                arrived.sop_class_uid,
                arrived.transfer_syntax_uid,
                normal.number(arrived.attributes, tags.InstanceNumber),
                arrived.size,
                arrived.digest,
                place.shelf,
                place.name,
                study.key.wrap(arrived.key, object_identity(place, arrived.sop_instance_uid)),
                arrived.origin,
                arrived.received,
                arrived.frames,
                arrived.packed,
            ),
        ).rowcount
        if not inserted:
            return False
        self._changes.instance_stored(study.study_uid, arrived.sop_instance_uid)
        self._since_mark.append(series.row)
        return True

    # --- taking out -----------------------------------------------------------

    def forget_study(self, study_uid: str, permit: Permit) -> Deleted:
        """Remove a study's key and rows, and what quarantine holds for it that the permit covers.

        The objects' files are put on the list of the doomed: a crash before
        they are removed leaves none behind.

        Raises
        ------
        NotHere
            When it is not here, or not for this permit.
        """
        study = self._study(study_uid)
        if study is None or not permit.scope.covers(study.facts()):
            raise NotHere("There is no such study here.")
        rows = self._execute(
            "SELECT i.shelf, i.object, i.size FROM instance i JOIN series s ON s.id = i.series_id WHERE s.study_id = ?",
            (study.row,),
        ).fetchall()
        self._studies.pop(study_uid)
        self._execute("DELETE FROM study WHERE id = ?", (study.row,))
        self._changes.study_deleted(study.facts())
        for shelf, name, _ in rows:
            doom(self._execute, Place(shelf, name))
        kept, kept_octets = self.aside.empty(study.facts(), permit)
        return Deleted(1, len(rows), sum(size for *_, size in rows) + kept_octets, kept)

    def label(self, study_uid: str, label: str, permit: Permit, *, is_given: bool) -> bool:
        """Give a study a label, or take it away; gives whether anything changed, raises ``NotHere``."""
        study = self._study(study_uid)
        if study is None or not permit.scope.covers(study.facts()):
            raise NotHere("There is no such study here.")
        if is_given == (label in study.labels):
            return False
        change = "INSERT INTO study_label VALUES (?, ?)"
        if not is_given:
            change = "DELETE FROM study_label WHERE study_id = ? AND label = ?"
        self._execute(change, (study.row, label))
        self._studies.pop(study_uid)
        self._changes.study_changed(study_uid)
        return True

    def forget_instance(self, standing: Standing) -> None:
        """Remove one instance's row, and those of a series or study that is empty without it. Its object stays."""
        facts = self.facts(standing.study_uid)
        (series, study_row) = self._execute(
            "SELECT s.id, s.study_id FROM instance i JOIN series s ON s.id = i.series_id WHERE i.id = ?",
            (standing.row,),
        ).fetchone()
        self._execute("DELETE FROM instance WHERE id = ?", (standing.row,))
        self._execute("UPDATE series SET instances = instances - 1 WHERE id = ?", (series,))
        self._execute(
            "DELETE FROM series_sop_class WHERE series_id = ? AND sop_class_uid NOT IN"
            " (SELECT sop_class_uid FROM instance WHERE series_id = ?)",
            (series, series),
        )
        self._execute(
            "DELETE FROM series WHERE id = ? AND NOT EXISTS (SELECT 1 FROM instance WHERE series_id = ?)",
            (series, series),
        )
        self._execute(
            "DELETE FROM study WHERE id = ? AND NOT EXISTS (SELECT 1 FROM series WHERE study_id = ?)",
            (study_row, study_row),
        )
        is_gone = self._execute("SELECT 1 FROM study WHERE id = ?", (study_row,)).fetchone() is None
        self._changes.instance_removed(standing.study_uid, standing.sop_instance_uid)
        if is_gone and facts is not None:
            self._changes.study_deleted(facts)
        self._studies.clear()

    def bury(self, places: list[Place]) -> None:
        """Take objects whose files are removed off the list of the doomed."""
        for place in places:
            self._execute("DELETE FROM doomed WHERE shelf = ? AND object = ?", (place.shelf, place.name))


def _demand(permit: Permit, facts: StudyFacts) -> None:
    if not permit.scope.covers(facts):
        raise Denied("The permit does not cover the study.")


def _own_facts(arrived: Arrived) -> StudyFacts:
    """Give the facts that an instance alone tells of its study."""
    return StudyFacts(
        arrived.study_uid,
        arrived.patient_id,
        arrived.issuer_of_patient_id,
        frozenset({arrived.origin}),
        referrers=normal.referrers(arrived.attributes),
    )


def _expected_in(study: _Study, arrived: Arrived) -> _Series | None:
    """Give the series of an instance for which nothing but its own row is to be written: all of a series but its first.

    Whether another one stands under its UID is then asked by writing the row.
    """
    series = study.series.get(arrived.series_uid)
    if (
        series is None
        or arrived.sop_class_uid not in series.sop_classes
        or arrived.origin not in study.sources
        or arrived.patient_id not in {"", study.patient_id}
        or arrived.issuer_of_patient_id not in {"", study.issuer}
    ):
        return None
    return series


def _other_patient(study: _Study, arrived: Arrived) -> str | None:
    """Say in what the patient differs; what one of both leaves out is no contradiction."""
    if study.patient_id and arrived.patient_id and study.patient_id != arrived.patient_id:
        return "Patient ID"
    if study.issuer and arrived.issuer_of_patient_id and study.issuer != arrived.issuer_of_patient_id:
        return "Issuer of Patient ID"
    return None
