"""The index's schema, as numbered steps that are run once each and never changed.

Rule 1. A step that has been released stays as it is; what changes is a new step.
The version is SQLite's own ``user_version``. Rule 2. A searchable column holds
the normal form of one value (``normal``), the empty string where there is none,
NULL where it cannot be said in one value: then only the judge, ``Query.matches``,
can tell. Rule 3. Keys stand here only wrapped.

study
    ``patient_id`` is what decisions look at, ``patient_id_form`` what queries do.
    ``patient`` tells patients apart (``normal.patient``), ``study_code`` is Study
    ID (0020,0010), ``key`` the study's data key.
study_name
    Each component group of Patient's Name in its normal form.
study_source, study_label
    Who sent something of the study; the operator's labels.
series
    ``instances`` counts. No number is used twice, because counts are added up for
    a series at the end of a batch.
instance
    What it is, where its object is, the object's key wrapped by the study's, and
    its whole JSON metadata.
quarantine
    What was kept aside. Numbers are never used twice: an operator may have noted one.
doomed
    Objects whose rows and keys are gone and whose files are still to be removed.

Since step 2: ``study.newest`` is date and time to sort by, empty where there is
no date; ``series.series_number`` likewise; ``study_word`` holds the words of
Patient's Name for fuzzy matching; ``change`` is what happened, numbered in the
order of commits without a gap, ``facts`` being what the scopes that covered a
deleted study could look at, as keyed marks (``vault.changes``); ``secret`` is
what marks and cursors are made with. It is no part of the archive key, so that
both outlive its exchange. Since step 3: ``study_referrer`` holds who referred the
patient, as scopes name them (``policy.facts.referrer``). Since step 4:
``quarantine.submitted`` is 1 for what was handed in to be looked at. Since step 5:
``study.name`` is what names are sorted by (``normal.name_order``); ``study_term``
holds the words of Study Description, as ``study_word`` does those of names, which
fuzzy matching walks through and must not meet others in.
"""

from typing import Final

import msgspec

from leadglass.crypto.database import driver, translating
from leadglass.crypto.wrap import new_key
from leadglass.dicom import tags
from leadglass.errors import Misconfigured
from leadglass.vault.index import normal, packed

_FIRST: Final = """
CREATE TABLE study (
    id INTEGER NOT NULL PRIMARY KEY,
    study_uid TEXT NOT NULL UNIQUE,
    patient_id TEXT NOT NULL,
    issuer_of_patient_id TEXT NOT NULL,
    patient TEXT NOT NULL,
    patient_id_form TEXT,
    patient_birth_date TEXT,
    study_date TEXT,
    accession_number TEXT,
    study_code TEXT,
    key BLOB NOT NULL,
    attributes BLOB NOT NULL,
    received TEXT NOT NULL
);
CREATE INDEX study_by_patient ON study (patient);
CREATE INDEX study_by_patient_id ON study (patient_id);
CREATE INDEX study_by_patient_id_form ON study (patient_id_form);
CREATE INDEX study_by_date ON study (study_date);
CREATE INDEX study_by_accession ON study (accession_number);
CREATE INDEX study_by_code ON study (study_code);
CREATE TABLE study_name (
    study_id INTEGER NOT NULL REFERENCES study (id) ON DELETE CASCADE,
    form TEXT NOT NULL,
    PRIMARY KEY (study_id, form)
) WITHOUT ROWID;
CREATE INDEX study_name_by_form ON study_name (form, study_id);
CREATE TABLE study_source (
    study_id INTEGER NOT NULL REFERENCES study (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    PRIMARY KEY (study_id, source)
) WITHOUT ROWID;
CREATE INDEX study_source_by_source ON study_source (source, study_id);
CREATE TABLE study_label (
    study_id INTEGER NOT NULL REFERENCES study (id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    PRIMARY KEY (study_id, label)
) WITHOUT ROWID;
CREATE INDEX study_label_by_label ON study_label (label, study_id);
CREATE TABLE series (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    study_id INTEGER NOT NULL REFERENCES study (id) ON DELETE CASCADE,
    series_uid TEXT NOT NULL,
    modality TEXT,
    instances INTEGER NOT NULL,
    attributes BLOB NOT NULL,
    UNIQUE (study_id, series_uid)
);
CREATE INDEX series_by_uid ON series (series_uid);
CREATE TABLE series_sop_class (
    series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    sop_class_uid TEXT NOT NULL,
    PRIMARY KEY (series_id, sop_class_uid)
) WITHOUT ROWID;
CREATE TABLE instance (
    id INTEGER NOT NULL PRIMARY KEY,
    series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    sop_class_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    instance_number INTEGER,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    shelf BLOB NOT NULL,
    object BLOB NOT NULL,
    key BLOB NOT NULL,
    origin TEXT NOT NULL,
    received TEXT NOT NULL,
    frames BLOB,
    attributes BLOB NOT NULL
);
CREATE INDEX instance_by_series ON instance (series_id, id);
CREATE INDEX instance_by_place ON instance (shelf, object);
CREATE TABLE quarantine (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    reason TEXT NOT NULL,
    study_uid TEXT NOT NULL,
    series_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    patient_id TEXT NOT NULL,
    issuer_of_patient_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    shelf BLOB NOT NULL,
    object BLOB NOT NULL,
    key BLOB NOT NULL,
    origin TEXT NOT NULL,
    received TEXT NOT NULL,
    UNIQUE (sop_instance_uid, digest)
);
CREATE INDEX quarantine_by_place ON quarantine (shelf, object);
CREATE INDEX quarantine_by_study ON quarantine (study_uid);
CREATE TABLE doomed (
    shelf BLOB NOT NULL,
    object BLOB NOT NULL,
    PRIMARY KEY (shelf, object)
) WITHOUT ROWID;
"""

_SECOND: Final = """
ALTER TABLE study ADD COLUMN newest TEXT NOT NULL DEFAULT '';
UPDATE study SET newest = leadglass_newest(attributes);
CREATE INDEX study_by_newest ON study (newest DESC, study_uid);
ALTER TABLE series ADD COLUMN series_number INTEGER;
UPDATE series SET series_number = leadglass_series_number(attributes);
CREATE INDEX series_counted ON series (study_id, modality, instances);
CREATE TABLE study_word (
    word TEXT NOT NULL,
    study_id INTEGER NOT NULL REFERENCES study (id) ON DELETE CASCADE,
    PRIMARY KEY (word, study_id)
) WITHOUT ROWID;
CREATE INDEX study_word_by_study ON study_word (study_id);
INSERT INTO study_word SELECT DISTINCT word.value, study.id
    FROM study, json_each(leadglass_words(study.attributes)) AS word;
CREATE TABLE change (
    sequence INTEGER NOT NULL PRIMARY KEY,
    kind INTEGER NOT NULL,
    study_uid TEXT NOT NULL,
    sop_instance_uid TEXT,
    moment INTEGER NOT NULL,
    facts BLOB
);
CREATE INDEX change_with_facts ON change (study_uid) WHERE facts IS NOT NULL;
INSERT INTO change (kind, study_uid, moment)
    SELECT 1, study_uid, CAST(strftime('%s', received) AS INTEGER) FROM study ORDER BY id;
INSERT INTO change (kind, study_uid, sop_instance_uid, moment)
    SELECT 2, study.study_uid, instance.sop_instance_uid, CAST(strftime('%s', instance.received) AS INTEGER)
    FROM instance JOIN series ON series.id = instance.series_id JOIN study ON study.id = series.study_id
    ORDER BY instance.id;
CREATE TABLE secret (
    name TEXT NOT NULL PRIMARY KEY,
    key BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO secret VALUES ('changes', leadglass_key());
"""

_THIRD: Final = """
CREATE TABLE study_referrer (
    study_id INTEGER NOT NULL REFERENCES study (id) ON DELETE CASCADE,
    form TEXT NOT NULL,
    PRIMARY KEY (study_id, form)
) WITHOUT ROWID;
CREATE INDEX study_referrer_by_form ON study_referrer (form, study_id);
INSERT INTO study_referrer SELECT DISTINCT study.id, form.value
    FROM study, json_each(leadglass_referrers(study.attributes)) AS form;
"""

_FOURTH: Final = """
ALTER TABLE quarantine ADD COLUMN submitted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX quarantine_counted ON quarantine (submitted, origin, size);
"""

_FIFTH: Final = """
ALTER TABLE study ADD COLUMN name TEXT NOT NULL DEFAULT '';
UPDATE study SET name = leadglass_name_order(attributes);
CREATE INDEX study_by_name ON study (name, newest DESC, study_uid);
CREATE INDEX series_by_modality ON series (modality, study_id);
CREATE TABLE study_term (
    word TEXT NOT NULL,
    study_id INTEGER NOT NULL REFERENCES study (id) ON DELETE CASCADE,
    PRIMARY KEY (word, study_id)
) WITHOUT ROWID;
CREATE INDEX study_term_by_study ON study_term (study_id);
INSERT INTO study_term SELECT DISTINCT word.value, study.id
    FROM study, json_each(leadglass_terms(study.attributes)) AS word;
"""

STEPS: Final = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)


def migrate(connection: "driver.Connection") -> None:
    """Bring the schema to the newest version; safe when several processes do it at once.

    Raises
    ------
    Misconfigured
        When a newer Leadglass made the index.
    """
    with translating("index"):
        if _version(connection) == len(STEPS):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            _teach(connection)
            for step in STEPS[_version(connection) :]:
                for statement in filter(str.strip, step.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(STEPS)}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _teach(connection: "driver.Connection") -> None:
    """Let steps call what fills a new column from what is packed."""

    def newest(attributes: bytes) -> str:
        return normal.newest(packed.unpack(attributes))

    def series_number(attributes: bytes) -> int | None:
        return normal.number(packed.unpack(attributes), tags.SeriesNumber)

    def words(attributes: bytes) -> str:
        return msgspec.json.encode(normal.words(packed.unpack(attributes), tags.PatientName)).decode()

    def referrers(attributes: bytes) -> str:
        return msgspec.json.encode(sorted(normal.referrers(packed.unpack(attributes)))).decode()

    def terms(attributes: bytes) -> str:
        return msgspec.json.encode(normal.words(packed.unpack(attributes), tags.StudyDescription)).decode()

    def name_order(attributes: bytes) -> str:
        return normal.name_order(packed.unpack(attributes))

    for name, count, function in (
        ("leadglass_newest", 1, newest),
        ("leadglass_series_number", 1, series_number),
        ("leadglass_words", 1, words),
        ("leadglass_referrers", 1, referrers),
        ("leadglass_terms", 1, terms),
        ("leadglass_name_order", 1, name_order),
        ("leadglass_key", 0, new_key),
    ):
        connection.create_function(name, count, function)


def _version(connection: "driver.Connection") -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(STEPS):
        raise Misconfigured(
            f"The index is of version {version}, this Leadglass knows versions up to {len(STEPS)}. "
            "Use the newer Leadglass that made it."
        )
    return version
