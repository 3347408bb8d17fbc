"""Rows: a study as the list shows it.

Rule: what is shown is cut to a bound and printable, whatever was stored (``study.reading``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from leadglass.dicom.model import Attributes
from leadglass.doors.pages.study import reading

_LONGEST: Final = 120
_MOST_MODALITIES: Final = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One study; what is not known is empty."""

    uid: str
    patient: str
    patient_id: str
    born: str
    sex: str
    date: str
    time: str
    modalities: tuple[str, ...]
    more_modalities: int
    description: str
    accession: str
    series: int
    images: int
    received: datetime | None


def row_of(match: Attributes, received: Mapping[str, str]) -> Row:
    """Make a row.

    Parameters
    ----------
    match : dict
        The study.
    received : mapping of str to str
        When studies first came (ISO 8601, UTC), by UID, as far as that is shown.
    """
    modalities = [each for each in reading.texts(match, "ModalitiesInStudy") if each]
    day, uid = reading.first(match, "StudyDate"), reading.first(match, "StudyInstanceUID", 64)
    return Row(
        uid=uid,
        patient=reading.first(match, "PatientName", _LONGEST)[:_LONGEST],
        patient_id=reading.first(match, "PatientID", _LONGEST),
        born=reading.date(reading.first(match, "PatientBirthDate", 32)),
        sex=reading.sex(match),
        date=reading.date(day)[:32],
        time=reading.time(reading.first(match, "StudyTime", 32)) if day else "",
        modalities=tuple(each[:16] for each in modalities[:_MOST_MODALITIES]),
        more_modalities=max(0, len(modalities) - _MOST_MODALITIES),
        description=reading.first(match, "StudyDescription", _LONGEST),
        accession=reading.first(match, "AccessionNumber", 64),
        series=int(reading.number(match, "NumberOfStudyRelatedSeries") or 0),
        images=int(reading.number(match, "NumberOfStudyRelatedInstances") or 0),
        received=_moment(received.get(uid, "")),
    )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None
