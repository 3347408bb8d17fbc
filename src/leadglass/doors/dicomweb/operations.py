"""Operations: what is said of each DICOMweb route to programs: its parameters, media types and section of PS3.18."""

from collections.abc import Mapping
from typing import Final

from leadglass.dicom import uids
from leadglass.dicom.matching import Level
from leadglass.dicom.render_model import PictureFormat
from leadglass.doors.dicomweb.accept import DICOM, DICOM_JSON, DICOM_XML, JSON, OCTETS, RELATED
from leadglass.doors.dicomweb.documents import PDF
from leadglass.doors.dicomweb.frames import media_type_of
from leadglass.doors.dicomweb.paths import INSTANCE, ROOT, SERIES, STUDY
from leadglass.doors.dicomweb.qido_query import DEFAULT, MOST
from leadglass.doors.web.description import UID, Operation, Operations, Parameter, Place

_TEXT: Final[Mapping[str, object]] = {"type": "string"}
_WORD: Final[Mapping[str, object]] = {"type": "string", "maxLength": 16, "pattern": r"^[A-Z0-9 _]*$"}
_DATE: Final[Mapping[str, object]] = {"type": "string", "pattern": r"^([0-9]{8})?(-([0-9]{8})?)?$"}
_WHOLE: Final[Mapping[str, object]] = {"type": "integer", "minimum": 0, "maximum": 10**15}

_ACCEPT: Final = Parameter("accept", Place.QUERY, "Media types, instead of the Accept field (PS3.18 8.3.3.1).", _TEXT)
_IF_NONE_MATCH: Final = Parameter("If-None-Match", Place.HEADER, "Entity tags that the client has.", _TEXT)
_RANGE: Final = Parameter("Range", Place.HEADER, "One range of bytes (RFC 9110 14).", _TEXT)

_PAGING: Final = (
    Parameter("limit", Place.QUERY, f"Results at most; {DEFAULT:,} when not said, {MOST:,} at most.", _WHOLE),
    Parameter("offset", Place.QUERY, "Results that are skipped.", _WHOLE),
    Parameter(
        "fuzzymatching",
        Place.QUERY,
        "Whether person names match by how they sound, or with parts left out.",
        {"type": "string", "enum": ["true", "false"]},
    ),
    Parameter(
        "includefield", Place.QUERY, "Attributes to return as well, by keyword or tag, parted by commas; or all.", _TEXT
    ),
    _ACCEPT,
)
_OF_STUDY: Final = (
    Parameter("StudyInstanceUID", Place.QUERY, "UID, or a list of them.", UID),
    Parameter("StudyDate", Place.QUERY, "A date or a range, as in 20260101-20261231.", _DATE),
    Parameter("PatientID", Place.QUERY, "With wildcards * and ?.", _TEXT),
    Parameter("PatientName", Place.QUERY, "With wildcards * and ?.", _TEXT),
    Parameter("AccessionNumber", Place.QUERY, "With wildcards * and ?.", _WORD),
    Parameter("ModalitiesInStudy", Place.QUERY, "As in CT.", _WORD),
)
_OF_SERIES: Final = (
    Parameter("SeriesInstanceUID", Place.QUERY, "UID, or a list of them.", UID),
    Parameter("Modality", Place.QUERY, "As in CT.", _WORD),
)
_OF_INSTANCE: Final = (
    Parameter("SOPInstanceUID", Place.QUERY, "UID, or a list of them.", UID),
    Parameter("SOPClassUID", Place.QUERY, "UID, or a list of them.", UID),
)
_KEYS: Final = {Level.STUDY: _OF_STUDY, Level.SERIES: _OF_SERIES, Level.IMAGE: _OF_INSTANCE}

_RENDERING: Final = (
    _ACCEPT,
    _IF_NONE_MATCH,
    Parameter("viewport", Place.QUERY, "width,height or width,height,sx,sy,sw,sh.", _TEXT),
    Parameter("window", Place.QUERY, "center,width,function.", _TEXT),
    Parameter("quality", Place.QUERY, "Of JPEG.", {"type": "integer", "minimum": 1, "maximum": 100}),
    Parameter("annotation", Place.QUERY, "patient, technique, or both.", _TEXT),
    Parameter("iccprofile", Place.QUERY, "no, yes, srgb, adobergb or rommrgb.", _TEXT),
)
_THUMBNAILS: Final = tuple(format_.value for format_ in PictureFormat)
_PICTURES: Final = (*_THUMBNAILS, PDF, RELATED)
_FRAMES: Final = (RELATED, OCTETS, *sorted({media_type_of(uid) for uid in uids.DECODED | uids.VIDEO} - {OCTETS}))
_SEARCHED: Final = (DICOM_JSON, JSON, RELATED)
_STORED: Final = (DICOM_JSON, DICOM_XML, JSON)


def _search(name: str, level: Level, *others: Level) -> Operation:
    keys = tuple(parameter for each in (level, *others) for parameter in _KEYS[each])
    return Operation(f"SearchFor{name}", "PS3.18 10.6", (*keys, *_PAGING), _SEARCHED)


def _retrieve(what: str) -> Operation:
    return Operation(f"Retrieve{what}", "PS3.18 10.4.1.1.1", (_ACCEPT,), (RELATED, DICOM))


def _metadata(what: str) -> Operation:
    section = "PS3.18 10.4.1.1.2"
    return Operation(
        f"Retrieve{what}Metadata", section, (_ACCEPT, _IF_NONE_MATCH), (DICOM_JSON, JSON, RELATED), statuses=(200, 304)
    )


def _rendered(what: str) -> Operation:
    section = "PS3.18 10.4.1.1.3"
    return Operation(f"RetrieveRendered{what}", section, _RENDERING, _PICTURES, statuses=(200, 304))


def _thumbnail(what: str) -> Operation:
    section = "PS3.18 10.4.1.1.4"
    parameters = tuple(each for each in _RENDERING if each.name in ("accept", "If-None-Match", "viewport"))
    return Operation(f"Retrieve{what}Thumbnail", section, parameters, _THUMBNAILS, statuses=(200, 304))


def _bulk(what: str) -> Operation:
    section = "PS3.18 10.4.1.1.5"
    return Operation(f"Retrieve{what}Bulkdata", section, (_ACCEPT,), (RELATED, OCTETS), statuses=(200, 204))


def _store(what: str) -> Operation:
    return Operation(
        f"Store{what}Instances", "PS3.18 10.5", (), _STORED, (RELATED, DICOM), statuses=(200, 202), tells=(409,)
    )


_LEVELS: Final = ((STUDY, "Study"), (SERIES, "Series"), (INSTANCE, "Instance"))
_URI: Final = tuple(
    Parameter(name, Place.QUERY, what, schema)
    for name, what, schema in (
        ("requestType", "WADO.", {"type": "string", "enum": ["WADO"]}),
        ("studyUID", "Study Instance UID.", UID),
        ("seriesUID", "Series Instance UID.", UID),
        ("objectUID", "SOP Instance UID.", UID),
        ("contentType", "Media type of the answer.", {"type": "string", "enum": [DICOM, *_THUMBNAILS, PDF]}),
        ("transferSyntax", "Transfer syntax of a DICOM file.", UID),
    )
)

OPERATIONS: Final[Operations] = {
    ("GET", f"{ROOT}/studies"): _search("Studies", Level.STUDY),
    ("GET", f"{ROOT}/series"): _search("Series", Level.SERIES, Level.STUDY),
    ("GET", f"{ROOT}/instances"): _search("Instances", Level.IMAGE, Level.SERIES, Level.STUDY),
    ("GET", f"{STUDY}/series"): _search("StudySeries", Level.SERIES),
    ("GET", f"{STUDY}/instances"): _search("StudyInstances", Level.IMAGE, Level.SERIES),
    ("GET", f"{SERIES}/instances"): _search("StudySeriesInstances", Level.IMAGE),
    ("GET", f"{ROOT}/series/{{series}}/instances"): _search("SeriesInstances", Level.IMAGE),
    ("POST", f"{ROOT}/studies"): _store(""),
    ("POST", STUDY): _store("Study"),
    ("DELETE", STUDY): Operation("DeleteStudy", statuses=(204,)),
    **{("GET", path): _retrieve(what) for path, what in _LEVELS},
    **{("GET", f"{path}/metadata"): _metadata(what) for path, what in _LEVELS},
    **{("GET", f"{path}/rendered"): _rendered(what) for path, what in _LEVELS},
    **{("GET", f"{path}/thumbnail"): _thumbnail(what) for path, what in _LEVELS},
    **{("GET", f"{path}/bulkdata"): _bulk(what) for path, what in _LEVELS},
    ("GET", f"{INSTANCE}/frames/{{frames}}"): Operation("RetrieveFrames", "PS3.18 10.4.1.1.6", (_ACCEPT,), _FRAMES),
    ("GET", f"{INSTANCE}/frames/{{frames}}/rendered"): _rendered("Frames"),
    ("GET", f"{INSTANCE}/frames/{{frames}}/thumbnail"): _thumbnail("Frames"),
    ("GET", f"{INSTANCE}/bulkdata/{{place}}"): Operation(
        "RetrieveBulkdata",
        "PS3.18 10.4.1.1.5",
        (_ACCEPT, _RANGE, _IF_NONE_MATCH),
        (RELATED, OCTETS),
        statuses=(200, 206, 304),
    ),
    ("GET", f"{ROOT}/changes"): Operation(
        "ListChanges",
        "",
        (
            Parameter("since", Place.QUERY, "What to continue after: next of an answer.", {**_TEXT, "maxLength": 128}),
            Parameter("limit", Place.QUERY, "Changes at most.", {"type": "integer", "minimum": 1, "maximum": 10_000}),
            _ACCEPT,
        ),
        (JSON,),
    ),
    ("GET", f"{ROOT}/events"): Operation(
        "FollowChanges",
        "",
        (Parameter("Last-Event-ID", Place.HEADER, "What to continue after.", {**_TEXT, "maxLength": 128}), _ACCEPT),
        ("text/event-stream",),
    ),
    ("GET", "/wado"): Operation("RetrieveByUri", "PS3.18 9", _URI, (DICOM, *_THUMBNAILS, PDF), statuses=(200, 304)),
}
"""By method and path."""
