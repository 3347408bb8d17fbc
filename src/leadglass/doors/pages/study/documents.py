"""Documents: a page for whatever is no image, and the files that some of them hold.

Rule 1. Every instance has a page that says what it is, what can be read of it, and
how to have it; never an empty one. Rule 2. A file out of a data set is somebody
else's: it is sent as what its class is, never as a page or a script, and in a
sandbox that reaches nothing of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from starlette.responses import Response

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom import dictionary, uids
from leadglass.dicom.inflate import plain
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes
from leadglass.dicom.sop_classes import name_of
from leadglass.doors.dicomweb.bulk import range_of
from leadglass.doors.dicomweb.documents import document_blocks
from leadglass.doors.dicomweb.locating import locate
from leadglass.doors.dicomweb.paths import Target
from leadglass.doors.dicomweb.pumping import Prepared, respond
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import PAGE_POLICY, page
from leadglass.doors.pages.study import reading
from leadglass.doors.pages.study.asking import Showing, instance, target
from leadglass.doors.pages.study.film import Container, Film
from leadglass.doors.pages.study.kinds import Kind, kind_of
from leadglass.doors.pages.study.report import Report, referred, report_of
from leadglass.doors.pages.study.stack import Strip, strips
from leadglass.doors.pages.study.waveform import Curves, curves_of
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Corrupt, NotHere, Unsupported
from leadglass.policy.action import Action
from leadglass.policy.caller import CallerKind

PATH: Final = "/documents/{study}/{series}/{instance}"

_MOST_REFERRED: Final = 60
_MOST_PARTS: Final = 200

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.104."
_FILES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        f"{_STORAGE}1": ("application/pdf", "pdf"),
        f"{_STORAGE}2": ("text/xml", "xml"),
        f"{_STORAGE}3": ("model/stl", "stl"),
        f"{_STORAGE}4": ("model/obj", "obj"),
        f"{_STORAGE}5": ("model/mtl", "mtl"),
    }
)
"""Encapsulated documents by their class (PS3.3 A.45, A.85): media type, and the ending of a file's name."""

_ALONE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox"
"""What a document may do: nothing. Browsers show a PDF under it all the same, in a viewer of their own."""

_TOLD: Final = (
    "ContentLabel", "ContentDescription", "ContentCreatorName", "DocumentTitle", "PresentationCreationDate",
    "StructureSetLabel", "StructureSetName", "StructureSetDescription", "StructureSetDate", "RTPlanLabel",
    "RTPlanName", "RTPlanDescription", "RTPlanDate", "PlanIntent", "TreatmentDate", "ApprovalStatus", "DoseType",
    "DoseUnits", "DoseSummationType", "UserContentLabel", "UserContentLongLabel", "AcquisitionDateTime", "ImageType",
    "Rows", "Columns", "NumberOfFrames", "PhotometricInterpretation", "Manufacturer", "ManufacturerModelName",
    "DeviceSerialNumber", "SoftwareVersions", "InstanceNumber",
)  # fmt: skip
_PARTS: Final = (
    ("StructureSetROISequence", "ROIName"), ("BeamSequence", "BeamName"), ("IonBeamSequence", "BeamName"),
    ("ApplicationSetupSequence", "ApplicationSetupName"), ("SegmentSequence", "SegmentLabel"),
    ("SurfaceSequence", "SurfaceComments"), ("TrackSetSequence", "TrackSetLabel"),
    ("FractionGroupSequence", "FractionGroupDescription"), ("AnnotationGroupSequence", "AnnotationGroupLabel"),
    ("GraphicLayerSequence", "GraphicLayer"),
)  # fmt: skip
"""Sequences whose items have names that tell what is in an object."""


@dataclass(slots=True)
class _Document:
    """What the page shows of an instance; what is empty is not shown."""

    where: Target
    record: InstanceRecord
    kind: Kind
    sop_class: str
    transfer_syntax: str
    withheld: str
    patient: str
    patient_id: str
    description: str = ""
    told: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    parts: list[tuple[str, list[str]]] = field(default_factory=list[tuple[str, list[str]]])
    referred: list[InstanceRecord] = field(default_factory=list[InstanceRecord])
    report: Report | None = None
    curves: list[Curves] = field(default_factory=list[Curves])
    container: Container | None = None
    octets: int = 0
    has_frames: bool = False
    has_file: bool = False
    problem: str = ""
    strips: tuple[Strip, ...] = ()


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages, shows = _Documents(desk), Showing(desk, services.people)
    return [
        Route(PATH, ("GET",), shows(pages.show), summary="What an instance is that is no image."),
        Route(f"{PATH}/file", ("GET",), shows(pages.file), summary="The document that it holds: a PDF, for instance."),
        Route(f"{PATH}/video", ("GET",), shows(pages.video), summary="The stream of a video, or part of it."),
    ]


class _Documents:
    def __init__(self, desk: PagesDesk) -> None:
        self._desk = desk

    async def show(self, asked: Asked) -> Response:
        return await self._desk.threads.run(self._page, asked)

    def _page(self, asked: Asked) -> Response:
        """Read and render, both in a thread: a report may be long."""
        wanted = target(asked.request)
        start = _seconds(asked.request.query_params.get("from", ""))
        document = self._read(asked, wanted, start)
        policy = PAGE_POLICY
        if document.container is not None and document.container.plays:
            policy += "; media-src 'self'"
        if document.kind is Kind.PDF and document.has_file:
            policy += "; frame-src 'self'"
        return page(
            asked.request,
            "study/document.html",
            caller=asked.caller,
            headers={"Content-Security-Policy": policy},
            document=document,
            where=wanted,
            start=start,
            is_link=asked.caller.kind is CallerKind.LINK,
            may_download=may(asked.caller, Action.EXPORT),
            may_get=may(asked.caller, Action.GET),
        )

    def _read(self, asked: Asked, wanted: Target, start: float) -> _Document:
        retrieval, record = instance(self._desk.archive, asked.caller, wanted, drawn=True)
        kind = kind_of(record.sop_class_uid, record.transfer_syntax_uid)
        attributes = retrieval.metadata(record)
        document = _Document(
            where=wanted,
            record=record,
            kind=kind,
            sop_class=name_of(record.sop_class_uid),
            transfer_syntax=dictionary.uid_name(record.transfer_syntax_uid),
            withheld=retrieval.withheld(record),
            patient=reading.first(attributes, "PatientName"),
            patient_id=reading.text(attributes, "PatientID"),
            description=reading.text(attributes, "SeriesDescription"),
            told=_told(attributes),
            parts=_parts(attributes),
        )
        retrieval.read((record,), 4096)
        if document.withheld:
            self._relate(asked, document, {})
            return document
        try:
            self._open(document, retrieval, attributes, start)
        except (BadInput, Corrupt, Unsupported) as error:
            document.problem = error.message if not isinstance(error, Corrupt) else ""
        self._relate(asked, document, attributes)
        return document

    def _open(self, document: _Document, retrieval: Retrieval, attributes: Attributes, start: float) -> None:
        """Read what only this kind of object has."""
        record = document.record
        match document.kind:
            case Kind.PDF | Kind.CDA | Kind.MODEL:
                document.has_file = "EncapsulatedDocument" in _keywords(attributes)
            case Kind.WAVEFORM:
                document.curves = _curves(retrieval, record, attributes, start)
            case Kind.VIDEO | Kind.IMAGE:
                table = retrieval.frames(record)
                if table is None:
                    return
                if document.kind is Kind.VIDEO:
                    film = Film(retrieval, record, table)
                    document.container, document.octets = film.container(), film.size
                else:
                    document.has_frames = True
            case _:
                return

    def _relate(self, asked: Asked, document: _Document, attributes: Attributes) -> None:
        """Read what is said of other instances of the study."""
        is_link = asked.caller.kind is CallerKind.LINK
        refers = document.kind in (
            Kind.REPORT, Kind.KEY_OBJECTS, Kind.PRESENTATION, Kind.RADIOTHERAPY, Kind.OTHER,
        )  # fmt: skip
        if not (refers or is_link):
            return
        archive = self._desk.archive
        others = locate(archive, asked.caller, Target(document.where.study), drawn=True).records
        here = {record.sop_instance_uid: record for record in others}
        if is_link:  # who has no page of the study goes on from here
            document.strips = strips(archive, asked.caller, others, document.record.sop_instance_uid)[0]
        if not refers or not attributes:
            return
        if document.kind in (Kind.REPORT, Kind.KEY_OBJECTS):
            document.report = report_of(attributes, here)
        if document.kind is not Kind.REPORT:
            document.referred = [
                each
                for each in referred(attributes, here, _MOST_REFERRED)
                if kind_of(each.sop_class_uid, each.transfer_syntax_uid) is Kind.IMAGE
            ]

    # --- what an instance holds --------------------------------------------------------

    async def file(self, asked: Asked) -> Response:
        """Give an encapsulated document."""
        wanted = target(asked.request)
        is_shown = asked.request.query_params.get("show") == "1"

        def prepare() -> Prepared:
            # Who may only look is shown what a browser shows, and given no file.
            retrieval, record = instance(self._desk.archive, asked.caller, wanted, drawn=is_shown)
            media, ending = _FILES.get(record.sop_class_uid, ("", ""))
            if not media or (is_shown and ending != "pdf"):
                raise NotHere("There is nothing of that name here.")
            blocks = document_blocks(retrieval, record, retrieval.metadata(record))
            disposition = "inline" if is_shown else "attachment"
            headers = {
                "Content-Disposition": f'{disposition}; filename="document.{ending}"',
                "Content-Security-Policy": _ALONE,
            }
            if is_shown:
                headers["X-Frame-Options"] = "SAMEORIGIN"  # its own page frames it
            return Prepared(media, blocks, headers=headers)

        return await respond(self._desk.threads, prepare)

    async def video(self, asked: Asked) -> Response:
        """Give the stream of a video."""
        wanted, request = target(asked.request), asked.request
        asked_range = request.headers.get("range", "")
        is_saved = request.query_params.get("download") == "1"

        def prepare() -> Prepared:
            retrieval, record = instance(self._desk.archive, asked.caller, wanted, drawn=not is_saved)
            table = retrieval.frames(record)
            if table is None:
                raise NotHere("There is nothing of that name here.")
            film = Film(retrieval, record, table)
            container = film.container()
            tag = f'"{retrieval.fingerprint().hex()[:40]}"'
            headers = {
                "Accept-Ranges": "bytes",
                "ETag": tag,
                "Content-Disposition": f'{"attachment" if is_saved else "inline"}; filename="video.{container.ending}"',
                "Content-Security-Policy": _ALONE,
            }
            wished = range_of(asked_range, film.size) if request.headers.get("if-range", tag) == tag else None
            first, last = wished or (0, film.size - 1)
            if wished is not None:
                headers["Content-Range"] = f"bytes {first}-{last}/{film.size}"
            length = last - first + 1
            status = HTTPStatus.OK if wished is None else HTTPStatus.PARTIAL_CONTENT
            return Prepared(container.media, film.blocks(first, length), length, status, headers)

        return await respond(self._desk.threads, prepare)


def _curves(retrieval: Retrieval, record: InstanceRecord, attributes: Attributes, start: float) -> list[Curves]:
    with retrieval.open(record) as reader:
        source = plain(reader, record.transfer_syntax_uid, Limits())

        def read(offset: int, length: int) -> bytes:
            data = source.read_at(offset, length)
            retrieval.read((record,), len(data), goes_on=True)
            return data

        is_big = record.transfer_syntax_uid == uids.EXPLICIT_VR_BIG_ENDIAN
        return curves_of(attributes, start, read, is_big_endian=is_big)


def _keywords(attributes: Attributes) -> frozenset[str]:
    return frozenset(dictionary.keyword(int(name, 16)) for name in attributes)


def _told(attributes: Attributes) -> list[tuple[str, str]]:
    """Give what is worth saying of any object: names of the Standard, and values."""
    told: list[tuple[str, str]] = []
    for keyword in _TOLD:
        value = reading.text(attributes, keyword)
        entry = dictionary.entry(int(reading.key_of(keyword), 16))
        if value and entry is not None:
            told.append((entry[2], reading.dated(value, entry[0])))
    return told


def _parts(attributes: Attributes) -> list[tuple[str, list[str]]]:
    parts: list[tuple[str, list[str]]] = []
    for sequence, keyword in _PARTS:
        items = reading.items(attributes, sequence)[:_MOST_PARTS]
        named = [name for each in items if (name := reading.text(each, keyword))]
        entry = dictionary.entry(int(reading.key_of(keyword), 16))
        if named and entry is not None:
            parts.append((entry[2], named))
    return parts


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0.0
