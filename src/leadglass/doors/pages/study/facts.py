"""Facts: what the study page says of a study, read from the archive in one go.

Rule 1. Instances are located first: looking at a study is on record as that, and
what is not there is noted. Rule 2. Other studies are those of the same patient by
ID and issuer, as far as the caller may see them; without an ID there are none.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.levels import Level
from leadglass.dicom.model import Attributes
from leadglass.doors.dicomweb.locating import locate
from leadglass.doors.dicomweb.paths import Target
from leadglass.doors.pages.study import reading
from leadglass.doors.pages.study.asking import find
from leadglass.doors.pages.study.kinds import Kind, kind_of
from leadglass.errors import BadInput, NotHere, Throttled
from leadglass.policy.caller import Caller, CallerKind

MOST_SERIES: Final = 300
"""Series on one page; of more, the page says how many there are."""
_MOST_OTHERS: Final = 25
_STUDY: Final = "includefield=StudyDescription,InstitutionName,IssuerOfPatientID,PatientAge&limit=1"
_SERIES: Final = f"includefield=SeriesDescription,BodyPartExamined,SeriesDate,SeriesTime&limit={MOST_SERIES}"
_OTHERS: Final = f"includefield=StudyDescription,IssuerOfPatientID&limit={_MOST_OTHERS + 1}"


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """A study in words.

    Parameters
    ----------
    uid : str
        Its UID.
    patient, patient_id, birth_date, sex : str
        Whose it is, as far as the caller may know.
    description, moment, accession, referrer, modalities : str
        What it is.
    """

    uid: str
    patient: str
    patient_id: str
    birth_date: str
    sex: str
    description: str
    moment: str
    accession: str
    referrer: str
    modalities: str

    @property
    def title(self) -> str:
        """What the page is called by; never empty where there is anything."""
        return self.description or self.modalities


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """A series in words, and what is in it.

    Parameters
    ----------
    uid, number, modality, description, body_part, moment : str
        What it is.
    count : int
        Its instances.
    kind : Kind
        What most of them are.
    first : str
        UID of its first instance.
    withheld : str
        Why the first is not given to the caller; empty when it is.
    """

    uid: str
    number: str
    modality: str
    description: str
    body_part: str
    moment: str
    count: int
    kind: Kind
    first: str
    withheld: str

    @property
    def has_picture(self) -> bool:
        """Whether a small picture of it is worth asking for."""
        return self.kind is Kind.IMAGE and not self.withheld


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the page shows.

    Parameters
    ----------
    study : StudyFacts
        The study.
    series : tuple of SeriesFacts
        Its series, as they are numbered.
    more_series : int
        Series that are not shown.
    instances, octets : int
        How much there is, as stored.
    others : tuple of StudyFacts
        Other studies of the same patient, newest first.
    more_others : bool
        Whether there are more of them.
    is_masked : bool
        Whether who the study is of is kept from the caller.
    delay : float
        Seconds to wait before it is shown.
    """

    study: StudyFacts
    series: tuple[SeriesFacts, ...]
    more_series: int
    instances: int
    octets: int
    others: tuple[StudyFacts, ...]
    more_others: bool
    is_masked: bool
    delay: float

    @property
    def has_images(self) -> bool:
        """Whether there is anything for a viewer of images."""
        return any(each.kind is Kind.IMAGE for each in self.series)


def study_facts(match: Attributes) -> StudyFacts:
    """Read a match of a search for studies."""
    return StudyFacts(
        uid=reading.first(match, "StudyInstanceUID"),
        patient=reading.first(match, "PatientName"),
        patient_id=reading.text(match, "PatientID"),
        birth_date=reading.date(reading.first(match, "PatientBirthDate")),
        sex=reading.sex(match),
        description=reading.text(match, "StudyDescription"),
        moment=reading.moment(match, "Study"),
        accession=reading.text(match, "AccessionNumber"),
        referrer=reading.first(match, "ReferringPhysicianName"),
        modalities=reading.text(match, "ModalitiesInStudy"),
    )


def see(archive: Archive, caller: Caller, study: Target) -> Seen:
    """Read all that the page shows (blocking).

    Raises
    ------
    NotHere, Denied, Throttled
    """
    retrieval, study_uid = locate(archive, caller, study), study.study
    found = find(archive, caller, Level.STUDY, _STUDY, StudyInstanceUID=study_uid)
    if not found.matches:
        raise NotHere("There is nothing of that name here.")
    match = found.matches[0]
    listed = find(archive, caller, Level.SERIES, _SERIES, StudyInstanceUID=study_uid)
    by_series: dict[str, list[InstanceRecord]] = {}
    for record in retrieval.records:
        by_series.setdefault(record.series_uid, []).append(record)
    series = [
        _series(each, by_series[uid], retrieval)
        for each in listed.matches
        if (uid := reading.first(each, "SeriesInstanceUID")) in by_series
    ]
    others, more = _others(archive, caller, match)
    return Seen(
        study=study_facts(match),
        series=tuple(series),
        more_series=len(by_series) - len(series),
        instances=len(retrieval.records),
        octets=sum(record.size for record in retrieval.records),
        others=others,
        more_others=more,
        is_masked=not retrieval.is_as_stored(retrieval.records[0]),
        delay=max(retrieval.take_delay(), found.delay, listed.delay),
    )


def _series(match: Attributes, records: list[InstanceRecord], retrieval: Retrieval) -> SeriesFacts:
    kinds = Counter(kind_of(each.sop_class_uid, each.transfer_syntax_uid) for each in records)
    return SeriesFacts(
        uid=records[0].series_uid,
        number=reading.first(match, "SeriesNumber", 12),
        modality=reading.first(match, "Modality", 16),
        description=reading.text(match, "SeriesDescription"),
        body_part=reading.first(match, "BodyPartExamined", 40),
        moment=reading.moment(match, "Series"),
        count=len(records),
        kind=kinds.most_common(1)[0][0],
        first=records[0].sop_instance_uid,
        withheld=retrieval.withheld(records[0]),
    )


def _others(archive: Archive, caller: Caller, match: Attributes) -> tuple[tuple[StudyFacts, ...], bool]:
    """Find other studies of the same patient; none for a share link, which is about what was shared."""
    patient_ids = reading.values(match, "PatientID")
    patient_id = patient_ids[0] if len(patient_ids) == 1 else None
    if caller.kind is CallerKind.LINK or not isinstance(patient_id, str) or not patient_id.strip():
        return (), False
    try:
        found = find(archive, caller, Level.STUDY, _OTHERS, PatientID=patient_id)
    except (BadInput, Throttled):  # an ID that cannot be asked for; a caller who was told enough
        return (), False
    own, issuer = reading.first(match, "StudyInstanceUID"), reading.first(match, "IssuerOfPatientID")
    same = [
        study_facts(each)
        for each in found.matches
        if reading.values(each, "PatientID") == patient_ids  # an ID may hold what a search takes for a wild card
        and reading.first(each, "IssuerOfPatientID") == issuer
        and reading.first(each, "StudyInstanceUID") != own
    ]
    return tuple(same[:_MOST_OTHERS]), len(same) > _MOST_OTHERS
