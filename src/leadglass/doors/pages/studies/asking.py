"""Asking: what was typed into the boxes of the study list as a query.

Rule 1. What is masked for somebody is not asked about: the free box then looks in
what is left. Rule 2. What cannot be read is told, and never taken for something else.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from leadglass.dicom import fuzzy, tags
from leadglass.dicom.levels import Level, Root
from leadglass.dicom.matching import Fuzzy, Key, Query, Range, Single, Universal
from leadglass.dicom.words import Words
from leadglass.doors.pages.studies.searches import Search
from leadglass.errors import BadInput

LONGEST: Final = 200
"""Characters of a box."""

MOST_WORDS: Final = 12
"""Words of a box."""

PERIODS: Final = ("all", "today", "yesterday", "7", "30", "range")

MODALITIES: Final = (
    ("CR", "Computed radiography"),
    ("CT", "Computed tomography"),
    ("DX", "Digital radiography"),
    ("ECG", "Electrocardiogram"),
    ("ES", "Endoscopy"),
    ("MG", "Mammography"),
    ("MR", "Magnetic resonance"),
    ("NM", "Nuclear medicine"),
    ("OP", "Ophthalmic photography"),
    ("OPT", "Ophthalmic tomography"),
    ("PT", "Positron emission tomography"),
    ("PX", "Panoramic X-ray"),
    ("RF", "Fluoroscopy"),
    ("RTSTRUCT", "Radiotherapy structures"),
    ("SM", "Slide microscopy"),
    ("SR", "Structured report"),
    ("US", "Ultrasound"),
    ("XA", "Angiography"),
    ("XC", "Photograph"),
)
"""What is offered first, of the defined terms of Modality (PS3.3 C.7.3.1.1.1)."""

RARER: Final = (
    ("ANN", "Annotation"),
    ("AR", "Autorefraction"),
    ("ASMT", "Assessment of content"),
    ("AU", "Audio"),
    ("BDUS", "Bone densitometry by ultrasound"),
    ("BI", "Biomagnetic imaging"),
    ("BMD", "Bone densitometry"),
    ("CFM", "Confocal microscopy"),
    ("CTPROTOCOL", "CT protocol"),
    ("DG", "Diaphanography"),
    ("DMS", "Dermoscopy"),
    ("DOC", "Document"),
    ("EEG", "Electroencephalogram"),
    ("EMG", "Electromyogram"),
    ("EOG", "Electrooculogram"),
    ("EPS", "Cardiac electrophysiology"),
    ("FID", "Fiducials"),
    ("GM", "General microscopy"),
    ("HC", "Hard copy"),
    ("HD", "Hemodynamic waveform"),
    ("IO", "Intra-oral radiography"),
    ("IOL", "Intraocular lens data"),
    ("IVOCT", "Intravascular optical tomography"),
    ("IVUS", "Intravascular ultrasound"),
    ("KER", "Keratometry"),
    ("KO", "Key objects"),
    ("LEN", "Lensometry"),
    ("LS", "Laser surface scan"),
    ("M3D", "Model for manufacturing"),
    ("OAM", "Ophthalmic axial measurements"),
    ("OCT", "Optical coherence tomography"),
    ("OPM", "Ophthalmic mapping"),
    ("OPTBSV", "Ophthalmic tomography, B-scan volume analysis"),
    ("OPTENF", "Ophthalmic tomography, en face"),
    ("OPV", "Ophthalmic visual field"),
    ("OSS", "Optical surface scan"),
    ("OT", "Other"),
    ("PA", "Photoacoustic"),
    ("PLAN", "Plan"),
    ("POS", "Position sensor"),
    ("PR", "Presentation state"),
    ("REG", "Registration"),
    ("RESP", "Respiratory waveform"),
    ("RG", "Radiography on film"),
    ("RTDOSE", "Radiotherapy dose"),
    ("RTIMAGE", "Radiotherapy image"),
    ("RTINTENT", "Radiotherapy intent"),
    ("RTPLAN", "Radiotherapy plan"),
    ("RTRAD", "Radiotherapy radiation"),
    ("RTRECORD", "Radiotherapy treatment record"),
    ("RTSEGANN", "Radiotherapy segment annotation"),
    ("RWV", "Real world value map"),
    ("SC", "Secondary capture"),
    ("SEG", "Segmentation"),
    ("SMR", "Stereometric relationship"),
    ("SRF", "Subjective refraction"),
    ("STAIN", "Automated slide stainer"),
    ("TEXTUREMAP", "Texture map"),
    ("TG", "Thermography"),
    ("VA", "Visual acuity"),
    ("XAPROTOCOL", "Angiography protocol"),
)
"""The other defined terms, and SC, which is none and is found all the same; another may be asked for too."""

_SHOWN: Final = (
    tags.StudyInstanceUID,
    tags.PatientName,
    tags.PatientID,
    tags.PatientBirthDate,
    tags.PatientSex,
    tags.StudyDate,
    tags.StudyTime,
    tags.AccessionNumber,
    tags.StudyDescription,
    tags.ModalitiesInStudy,
    tags.NumberOfStudyRelatedSeries,
    tags.NumberOfStudyRelatedInstances,
)

_TEXTS: Final = frozenset({tags.PatientName, tags.StudyDescription})
_NUMBERS: Final = frozenset({tags.PatientID, tags.AccessionNumber, tags.StudyInstanceUID})


def search_of(fields: Mapping[str, str]) -> Search:
    """Read the boxes of a form.

    Raises
    ------
    BadInput
        When one is too long, or no day is a day.
    """
    texts = {name: _text(fields, name) for name in ("anything", "name", "patient_id", "accession", "description")}
    period = fields.get("period", "all") or "all"
    since, until = _day(fields, "since"), _day(fields, "until")
    if period not in PERIODS:
        raise BadInput(f"A period is one of {', '.join(PERIODS)}.")
    if period == "range" and not (since or until):
        period = "all"
    if period != "range":
        since = until = ""
    if since and until and since > until:
        since, until = until, since
    modality = fields.get("modality", "").strip().upper()
    if len(modality) > 16 or not modality.isascii() or any(c in modality for c in "*?\\"):
        raise BadInput("A modality is a code like CT.")
    is_fuzzy = fields.get("fuzzy", "") not in ("", "0")
    return Search(**texts, modality=modality, period=period, since=since, until=until, is_fuzzy=is_fuzzy)


def query_of(search: Search, masked: frozenset[int], today: date) -> Query:
    """Give the query of a search.

    Parameters
    ----------
    search : Search
        What was typed.
    masked : frozenset of int
        What the caller may not ask about.
    today : datetime.date
        The day it is where the archive is.
    """
    keys: dict[str, Key] = {tags.key(tag): Universal() for tag in _SHOWN}
    words = [Words(piece, _TEXTS - masked, _NUMBERS - masked) for piece in search.anything.split()]
    if search.name and search.is_fuzzy and (wanted := tuple(fuzzy.words(search.name))):
        keys[tags.key(tags.PatientName)] = Fuzzy((wanted,))
    elif search.name:
        words.append(Words(search.name, frozenset({tags.PatientName})))
    if search.description:
        words.append(Words(search.description, frozenset({tags.StudyDescription})))
    for text, tag in ((search.patient_id, tags.PatientID), (search.accession, tags.AccessionNumber)):
        if text:
            words.append(Words(text, frozenset(), frozenset({tag})))
    if search.modality:
        keys[tags.key(tags.ModalitiesInStudy)] = Single((search.modality,))
    low, high = _days(search, today)
    if low or high:
        keys[tags.key(tags.StudyDate)] = Range("DA", low, high)
    return Query(Level.STUDY, Root.STUDY, dict(sorted(keys.items())), words=tuple(words))


def _days(search: Search, today: date) -> tuple[str, str]:
    """Give the days of a period as DICOM writes them; empty is open."""
    match search.period:
        case "today":
            return f"{today:%Y%m%d}", f"{today:%Y%m%d}"
        case "yesterday":
            day = today - timedelta(days=1)
            return f"{day:%Y%m%d}", f"{day:%Y%m%d}"
        case "7" | "30":
            # Up to today and beyond: a clock that is fast makes studies of tomorrow.
            return f"{today - timedelta(days=int(search.period) - 1):%Y%m%d}", ""
        case "range":
            return search.since.replace("-", ""), search.until.replace("-", "")
        case _:
            return "", ""


def _text(fields: Mapping[str, str], name: str) -> str:
    text = " ".join(fields.get(name, "").replace("\0", " ").split())
    if len(text) > LONGEST or len(text.split()) > MOST_WORDS:
        raise BadInput(f"A box takes {LONGEST} characters and {MOST_WORDS} words at most. Search for less.")
    return text


def _day(fields: Mapping[str, str], name: str) -> str:
    text = fields.get(name, "").strip()
    if not text:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadInput("A day is written as 2026-11-22.") from None
