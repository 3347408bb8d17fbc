"""The index's tables, as queries see them.

Rule 1. ``migrations`` makes them; a test proves that both agree. Rule 2. A
searchable column holds the normal form of one value (``normal``), the empty
string where there is none, NULL where it cannot be said in one value: then only
the judge, ``Query.matches``, can tell. Rule 3. Keys stand here only wrapped.
"""

from typing import Final

from sqlalchemy import BLOB, Column, ForeignKey, Index, Integer, MetaData, Table, Text, UniqueConstraint

METADATA: Final = MetaData()

study: Final = Table(
    "study",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("study_uid", Text, nullable=False, unique=True),
    Column("patient_id", Text, nullable=False),
    Column("issuer_of_patient_id", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("patient_id_form", Text),
    Column("patient_birth_date", Text),
    Column("study_date", Text),
    Column("accession_number", Text),
    Column("study_code", Text),
    Column("key", BLOB, nullable=False),
    Column("attributes", BLOB, nullable=False),
    Column("received", Text, nullable=False),
    Index("study_by_patient", "patient"),
    Index("study_by_patient_id", "patient_id"),
    Index("study_by_patient_id_form", "patient_id_form"),
    Index("study_by_date", "study_date"),
    Index("study_by_accession", "accession_number"),
    Index("study_by_code", "study_code"),
)
"""One row for each study. ``patient_id`` is what decisions look at,
``patient_id_form`` what queries do. ``patient`` tells patients apart (``normal.patient``),
``study_code`` is Study ID (0020,0010), ``key`` the study's data key, wrapped."""

study_name: Final = Table(
    "study_name",
    METADATA,
    Column("study_id", Integer, ForeignKey("study.id", ondelete="CASCADE"), primary_key=True),
    Column("form", Text, primary_key=True),
    Index("study_name_by_form", "form", "study_id"),
    sqlite_with_rowid=False,
)
"""Each component group of Patient's Name in its normal form."""

study_source: Final = Table(
    "study_source",
    METADATA,
    Column("study_id", Integer, ForeignKey("study.id", ondelete="CASCADE"), primary_key=True),
    Column("source", Text, primary_key=True),
    Index("study_source_by_source", "source", "study_id"),
    sqlite_with_rowid=False,
)
"""Who sent something of the study."""

study_label: Final = Table(
    "study_label",
    METADATA,
    Column("study_id", Integer, ForeignKey("study.id", ondelete="CASCADE"), primary_key=True),
    Column("label", Text, primary_key=True),
    Index("study_label_by_label", "label", "study_id"),
    sqlite_with_rowid=False,
)
"""The operator's labels."""

series: Final = Table(
    "series",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, ForeignKey("study.id", ondelete="CASCADE"), nullable=False),
    Column("series_uid", Text, nullable=False),
    Column("modality", Text),
    Column("instances", Integer, nullable=False),
    Column("attributes", BLOB, nullable=False),
    UniqueConstraint("study_id", "series_uid"),
    Index("series_by_uid", "series_uid"),
    sqlite_autoincrement=True,
)
"""One row for each series of a study; ``instances`` counts. No number is used
twice, because counts are added up for a series at the end of a batch."""

series_sop_class: Final = Table(
    "series_sop_class",
    METADATA,
    Column("series_id", Integer, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True),
    Column("sop_class_uid", Text, primary_key=True),
    sqlite_with_rowid=False,
)
"""Which SOP classes a series holds."""

instance: Final = Table(
    "instance",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("series_id", Integer, ForeignKey("series.id", ondelete="CASCADE"), nullable=False),
    Column("sop_instance_uid", Text, nullable=False, unique=True),
    Column("sop_class_uid", Text, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("instance_number", Integer),
    Column("size", Integer, nullable=False),
    Column("digest", BLOB, nullable=False),
    Column("shelf", BLOB, nullable=False),
    Column("object", BLOB, nullable=False),
    Column("key", BLOB, nullable=False),
    Column("origin", Text, nullable=False),
    Column("received", Text, nullable=False),
    Column("frames", BLOB),
    Column("attributes", BLOB, nullable=False),
    Index("instance_by_series", "series_id", "id"),
    Index("instance_by_place", "shelf", "object"),
)
"""One row for each instance: what it is, where its object is, the object's key
wrapped by the study's, and its whole JSON metadata."""

quarantine: Final = Table(
    "quarantine",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("series_uid", Text, nullable=False),
    Column("sop_instance_uid", Text, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("patient_id", Text, nullable=False),
    Column("issuer_of_patient_id", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("digest", BLOB, nullable=False),
    Column("shelf", BLOB, nullable=False),
    Column("object", BLOB, nullable=False),
    Column("key", BLOB, nullable=False),
    Column("origin", Text, nullable=False),
    Column("received", Text, nullable=False),
    UniqueConstraint("sop_instance_uid", "digest"),
    Index("quarantine_by_place", "shelf", "object"),
    Index("quarantine_by_study", "study_uid"),
    sqlite_autoincrement=True,
)
"""What was kept aside. Numbers are never used twice: an operator may have noted one."""

doomed: Final = Table(
    "doomed",
    METADATA,
    Column("shelf", BLOB, primary_key=True),
    Column("object", BLOB, primary_key=True),
    sqlite_with_rowid=False,
)
"""Objects whose rows and keys are gone and whose files are still to be removed."""
