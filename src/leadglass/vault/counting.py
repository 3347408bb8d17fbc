"""Counting: the attributes that nobody sends and queries ask for (PS3.4 C.3.4, C.6.1.1).

Rule: only what is asked is counted, for a page of rows at once.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import Connection, distinct, func, select

from leadglass.dicom import tags
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.policy.permit import Permit
from leadglass.vault.index import normal, packed
from leadglass.vault.index.scope_sql import one_of, where
from leadglass.vault.index.tables import series, series_sop_class, study

_PATIENT_STUDIES: Final = tags.key(tags.NumberOfPatientRelatedStudies)
_PATIENT_SERIES: Final = tags.key(tags.NumberOfPatientRelatedSeries)
_PATIENT_INSTANCES: Final = tags.key(tags.NumberOfPatientRelatedInstances)
_STUDY_SERIES: Final = tags.key(tags.NumberOfStudyRelatedSeries)
_STUDY_INSTANCES: Final = tags.key(tags.NumberOfStudyRelatedInstances)
_SERIES_INSTANCES: Final = tags.key(tags.NumberOfSeriesRelatedInstances)
_MODALITIES: Final = tags.key(tags.ModalitiesInStudy)
_SOP_CLASSES: Final = tags.key(tags.SOPClassesInStudy)
_AVAILABILITY: Final = tags.key(tags.InstanceAvailability)

COUNTED: Final = frozenset(
    {
        _PATIENT_STUDIES,
        _PATIENT_SERIES,
        _PATIENT_INSTANCES,
        _STUDY_SERIES,
        _STUDY_INSTANCES,
        _SERIES_INSTANCES,
        _MODALITIES,
        _SOP_CLASSES,
        _AVAILABILITY,
    }
)
"""Attributes that are made here."""


def availability() -> Attributes:
    """Give Instance Availability (0008,0056): what is here is online."""
    return {_AVAILABILITY: {"vr": "CS", "Value": ["ONLINE"]}}


def of_series(instances: int) -> Attributes:
    """Give the count of one series."""
    return {_SERIES_INSTANCES: _number(instances)}


def of_studies(connection: Connection, studies: Collection[int], asked: frozenset[str]) -> dict[int, Attributes]:
    """Give what is asked of the counts of some studies, by their rows."""
    found: defaultdict[int, Attributes] = defaultdict(dict)
    if asked & {_STUDY_SERIES, _STUDY_INSTANCES}:
        rows = connection.execute(
            select(series.c.study_id, func.count(), func.sum(series.c.instances))
            .where(one_of(series.c.study_id, studies))
            .group_by(series.c.study_id)
        )
        for row, count, instances in rows:
            found[row] |= {_STUDY_SERIES: _number(count), _STUDY_INSTANCES: _number(instances)}
    if _MODALITIES in asked:
        rows = connection.execute(
            select(series.c.study_id, series.c.modality, func.min(series.c.attributes))
            .where(one_of(series.c.study_id, studies))
            .group_by(series.c.study_id, series.c.modality)
        )
        modalities: defaultdict[int, set[str]] = defaultdict(set)
        for row, modality, attributes in rows:
            modalities[row].update(_several(attributes) if modality is None else {modality} - {""})
        for row, values in modalities.items():
            found[row][_MODALITIES] = _texts("CS", values)
    if _SOP_CLASSES in asked:
        rows = connection.execute(
            select(series.c.study_id, series_sop_class.c.sop_class_uid)
            .distinct()
            .join_from(series, series_sop_class)
            .where(one_of(series.c.study_id, studies))
        )
        classes: defaultdict[int, set[str]] = defaultdict(set)
        for row, uid in rows:
            classes[row].add(uid)
        for row, values in classes.items():
            found[row][_SOP_CLASSES] = _texts("UI", values)
    return found


def of_patients(
    connection: Connection, permit: Permit, patients: Collection[str], asked: frozenset[str]
) -> dict[str, Attributes]:
    """Give what is asked of the counts of some patients: over the studies that the permit covers, and no others."""
    if not asked & {_PATIENT_STUDIES, _PATIENT_SERIES, _PATIENT_INSTANCES}:
        return {}
    rows = connection.execute(
        select(
            study.c.patient,
            func.count(distinct(study.c.id)),
            func.count(series.c.id),
            func.coalesce(func.sum(series.c.instances), 0),
        )
        .join_from(study, series, isouter=True)
        .where(one_of(study.c.patient, patients), where(permit.scope))
        .group_by(study.c.patient)
    )
    return {
        patient: {
            _PATIENT_STUDIES: _number(studies),
            _PATIENT_SERIES: _number(count),
            _PATIENT_INSTANCES: _number(instances),
        }
        for patient, studies, count, instances in rows
    }


def _several(packed_attributes: bytes) -> list[str]:
    """Give the modalities of a series that says several, against the Standard."""
    return [str(value) for value in normal.values(packed.unpack(packed_attributes), tags.Modality) if value]


def _number(count: int) -> JsonElement:
    return {"vr": "IS", "Value": [count]}


def _texts(vr: str, values: Iterable[str]) -> JsonElement:
    return {"vr": vr, "Value": sorted(values)}
