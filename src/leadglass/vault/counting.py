"""Counting: the attributes that nobody sends and queries ask for (PS3.4 C.3.4, C.6.1.1).

Rule: only what is asked is counted, for a page of rows at once.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final

from leadglass.crypto.database import driver
from leadglass.dicom import tags
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.policy.permit import Permit
from leadglass.vault.index import normal, packed
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import ask, one_of

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


def of_studies(
    connection: "driver.Connection", studies: Collection[int], asked: frozenset[str]
) -> dict[int, Attributes]:
    """Give what is asked of the counts of some studies, by their rows."""
    found: defaultdict[int, Attributes] = defaultdict(dict)
    wanted = one_of("series.study_id", studies)
    if asked & {_STUDY_SERIES, _STUDY_INSTANCES, _MODALITIES}:
        rows = ask(connection, "SELECT study_id, modality, instances FROM series WHERE " + wanted.text, wanted.values)
        counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        modalities: defaultdict[int, set[str]] = defaultdict(set)
        odd: set[int] = set()
        for row, modality, instances in rows:
            count = counts[row]
            count[0] += 1
            count[1] += instances
            if modality is None:
                odd.add(row)
            elif modality:
                modalities[row].add(modality)
        if odd:  # a series that says several modalities, against the Standard, is looked at as a whole
            those = one_of("study_id", odd)
            for row, attributes in ask(
                connection,
                "SELECT study_id, attributes FROM series WHERE modality IS NULL AND " + those.text,
                those.values,
            ):
                modalities[row].update(_several(attributes))
        for row, (series, instances) in counts.items():
            found[row] = {
                _STUDY_SERIES: _number(series),
                _STUDY_INSTANCES: _number(instances),
                _MODALITIES: _texts("CS", modalities[row]),
            }
    if _SOP_CLASSES in asked:
        rows = ask(
            connection,
            "SELECT DISTINCT series.study_id, series_sop_class.sop_class_uid"
            " FROM series JOIN series_sop_class ON series_sop_class.series_id = series.id WHERE " + wanted.text,
            wanted.values,
        )
        classes: defaultdict[int, set[str]] = defaultdict(set)
        for row, uid in rows:
            classes[row].add(uid)
        for row, values in classes.items():
            found[row][_SOP_CLASSES] = _texts("UI", values)
    return found


def of_patients(
    connection: "driver.Connection", permit: Permit, patients: Collection[str], asked: frozenset[str]
) -> dict[str, Attributes]:
    """Give what is asked of the counts of some patients: over the studies that the permit covers, and no others."""
    if not asked & {_PATIENT_STUDIES, _PATIENT_SERIES, _PATIENT_INSTANCES}:
        return {}
    wanted, scope = one_of("study.patient", patients), where(permit.scope)
    rows = ask(
        connection,
        "SELECT study.patient, count(DISTINCT study.id), count(series.id), coalesce(sum(series.instances), 0)"
        " FROM study LEFT JOIN series ON series.study_id = study.id"
        " WHERE " + wanted.text + " AND (" + scope.text + ") GROUP BY study.patient",
        wanted.values + scope.values,
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
    # An empty list where there is none, though PS3.18 F.2.5 would leave it away: OHIF opens no such study then.
    return {"vr": vr, "Value": sorted(values)}
