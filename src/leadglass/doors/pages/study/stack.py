"""Stack: the images of a study in the order in which somebody looks through them.

Rule. What is an image is guessed by its class; an instance whose frames cannot be
told apart is passed over, and shown as what it is where it is asked for by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.levels import Level
from leadglass.dicom.model import Attributes
from leadglass.dicom.render_read import ImageReader
from leadglass.dicom.source import ReadAt
from leadglass.doors.dicomweb.locating import locate
from leadglass.doors.dicomweb.paths import Target
from leadglass.doors.pages.study import reading
from leadglass.doors.pages.study.asking import find
from leadglass.doors.pages.study.kinds import Kind, kind_of
from leadglass.errors import NotHere
from leadglass.policy.caller import Caller

MOST_LISTED: Final = 5_000
"""Images of a series that a script is told of; of more it asks page by page."""
LAST: Final = "last"
"""How the last frame is asked for by who does not know how many there are."""
_MOST_SERIES: Final = 100
_MOST_OBJECTS: Final = 20
"""Objects of one series that are listed one by one."""
_STRIP: Final = (
    "includefield=SeriesDescription,BodyPartExamined,PatientName,PatientID,StudyDate,StudyDescription"
    f"&limit={_MOST_SERIES}"
)
_SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_RATE: Final = 15.0
"""Frames in a second where nothing is said."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A series to choose, or an object that is no image.

    Parameters
    ----------
    uid, number, modality, description : str
        The series.
    count : int
        Its images.
    is_here : bool
        Whether it is looked at now.
    at : str
        Where it is shown.
    kind : Kind
        What it is.
    """

    uid: str
    number: str
    modality: str
    description: str
    count: int
    is_here: bool
    at: str = ""
    kind: Kind = Kind.IMAGE


@dataclass(frozen=True, slots=True)
class Look:
    """One image, and where it stands.

    Parameters
    ----------
    study_uid, series_uid, instance_uid : str
        Where it is.
    sop_class_uid : str
        What it is.
    patient, patient_id, study : str
        Whose it is, and of which study, as far as the caller may know.
    strips : tuple of Strip
        The series with images.
    number, count : int
        Which image of the series, and of how many.
    frame, frames : int
        Which frame of it, and of how many.
    before, after, first, last : str
        Neighbours as paths below ``/look``; empty where there are none.
    withheld : str
        Why it is not given to the caller; empty when it is.
    is_image : bool
        Whether there are frames that can be told apart.
    has_window : bool
        Whether it says itself how gray is to be shown.
    delay : float
        Seconds to wait before it is shown.
    """

    study_uid: str
    series_uid: str
    instance_uid: str
    sop_class_uid: str
    patient: str
    patient_id: str
    study: str
    strips: tuple[Strip, ...]
    number: int
    count: int
    frame: int
    frames: int
    before: str
    after: str
    first: str
    last: str
    withheld: str
    is_image: bool
    has_window: bool
    delay: float

    @property
    def here(self) -> Strip:
        """The series that is looked at."""
        found = next((strip for strip in self.strips if strip.is_here), None)
        return found or Strip(self.series_uid, "", "", "", self.count, is_here=True)


def look(archive: Archive, caller: Caller, wanted: Target, frame: str) -> Look:
    """Say what there is to look at (blocking).

    Parameters
    ----------
    archive : Archive
        Where.
    caller : Caller
        Who looks.
    wanted : Target
        A study, a series or an instance; of the first two, their first image.
    frame : str
        Which frame, counted from 1; ``last`` for that; empty for the first.

    Raises
    ------
    NotHere, Denied, Throttled
    """
    retrieval = locate(archive, caller, Target(wanted.study), drawn=True)
    by_series = _by_series(retrieval.records)
    series_uid = wanted.series or _first_series(by_series)
    records = by_series.get(series_uid)
    if records is None:
        raise NotHere("There is nothing of that name here.")
    pictures = [each for each in records if _is_picture(each)] or records
    if wanted.instance:
        record = next((each for each in records if each.sop_instance_uid == wanted.instance), None)
    else:
        record = pictures[0]
    if record is None:
        raise NotHere("There is nothing of that name here.")
    place = next((i for i, each in enumerate(pictures) if each.row == record.row), None)
    if place is None:
        pictures, place = [record], 0
    table = retrieval.frames(record) if _is_picture(record) else None
    frames = table.number_of_frames if table is not None else 1
    at = _frame(frame, frames)
    chosen, whose, delay = strips(archive, caller, retrieval.records, series_uid)
    return Look(
        study_uid=wanted.study,
        series_uid=series_uid,
        instance_uid=record.sop_instance_uid,
        sop_class_uid=record.sop_class_uid,
        patient=reading.first(whose, "PatientName"),
        patient_id=reading.text(whose, "PatientID"),
        study=" · ".join(
            filter(None, (reading.date(reading.first(whose, "StudyDate")), reading.text(whose, "StudyDescription")))
        ),
        strips=chosen,
        number=place + 1,
        count=len(pictures),
        frame=at,
        frames=frames,
        before=_path(record, at - 1) if at > 1 else _path(pictures[place - 1], LAST) if place else "",
        after=_path(record, at + 1)
        if at < frames
        else _path(pictures[place + 1], 1)
        if place + 1 < len(pictures)
        else "",
        first=_path(pictures[0], 1) if place or at > 1 else "",
        last=_path(pictures[-1], LAST) if place + 1 < len(pictures) or at < frames else "",
        withheld=retrieval.withheld(record),
        is_image=table is not None,
        has_window=table is not None and _has_window(retrieval, record, at),
        delay=max(delay, retrieval.take_delay()),
    )


def listing(archive: Archive, caller: Caller, wanted: Target) -> dict[str, object]:
    """Give the images of a series for a script: each with how many frames it has (blocking)."""
    retrieval = locate(archive, caller, Target(wanted.study, wanted.series), drawn=True)
    images: list[list[object]] = []
    rate = 0.0
    for record in [each for each in retrieval.records if _is_picture(each)][:MOST_LISTED]:
        table = retrieval.frames(record)
        if table is None:
            continue
        images.append([record.sop_instance_uid, table.number_of_frames])
        if table.number_of_frames > 1 and not rate:
            rate = _rate(retrieval.metadata(record))
    return {"images": images, "rate": rate or _RATE, "is_whole": len(retrieval.records) <= MOST_LISTED}


def _has_window(retrieval: Retrieval, record: InstanceRecord, frame: int) -> bool:
    def unread() -> ReadAt:
        raise AssertionError("Whether there is a window is said by the metadata alone.")

    return ImageReader(retrieval.metadata(record), record.transfer_syntax_uid, unread).has_window(frame - 1)


def _rate(attributes: Attributes) -> float:
    """Give frames in a second, as the device wants them shown (PS3.3 C.7.6.5)."""
    said = reading.number(attributes, "RecommendedDisplayFrameRate") or reading.number(attributes, "CineRate")
    frame_time = reading.number(attributes, "FrameTime")
    found = said or (1_000 / frame_time if frame_time and frame_time > 0 else _RATE)
    return min(max(found, 1.0), 60.0)


def _by_series(records: Sequence[InstanceRecord]) -> dict[str, list[InstanceRecord]]:
    by_series: dict[str, list[InstanceRecord]] = {}
    for record in records:
        by_series.setdefault(record.series_uid, []).append(record)
    return by_series


def _is_picture(record: InstanceRecord) -> bool:
    return kind_of(record.sop_class_uid, record.transfer_syntax_uid) is Kind.IMAGE


def _first_series(by_series: dict[str, list[InstanceRecord]]) -> str:
    """Give the first series with an image that is no segmentation, else with any image, else the first."""
    with_images = [uid for uid, records in by_series.items() if any(map(_is_picture, records))]
    plain = [uid for uid in with_images if by_series[uid][0].sop_class_uid not in _SEGMENTATIONS]
    return next(iter([*plain, *with_images, *by_series]))


def _frame(text: str, count: int) -> int:
    if text == LAST:
        return count
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 1
    return min(max(number, 1), count)


def _path(record: InstanceRecord, frame: int | str) -> str:
    at = f"{record.study_uid}/{record.series_uid}/{record.sop_instance_uid}"
    return at if frame == 1 else f"{at}?frame={frame}"


def strips(
    archive: Archive, caller: Caller, records: Sequence[InstanceRecord], here: str
) -> tuple[tuple[Strip, ...], Attributes, float]:
    """Give what there is to choose in a study: series of images, and each object that is none (blocking).

    Parameters
    ----------
    archive : Archive
        Where.
    caller : Caller
        Who looks.
    records : sequence of InstanceRecord
        All instances of the study.
    here : str
        UID of the series of images, or of the object, that is looked at.

    Returns
    -------
    tuple
        What there is, attributes that say whose it is, and seconds to wait.
    """
    by_series = _by_series(records)
    found = find(archive, caller, Level.SERIES, _STRIP, StudyInstanceUID=records[0].study_uid)
    made: list[Strip] = []
    for match in found.matches:
        uid = reading.first(match, "SeriesInstanceUID")
        description = reading.text(match, "SeriesDescription") or reading.first(match, "BodyPartExamined", 40)
        said = uid, reading.first(match, "SeriesNumber", 12), reading.first(match, "Modality", 16), description
        of_series = by_series.get(uid, [])
        count = sum(map(_is_picture, of_series))
        if count:
            made.append(Strip(*said, count, uid == here, f"/look/{records[0].study_uid}/{uid}"))
        for record in [each for each in of_series if not _is_picture(each)][:_MOST_OBJECTS]:
            at = f"/documents/{record.study_uid}/{uid}/{record.sop_instance_uid}"
            kind = kind_of(record.sop_class_uid, record.transfer_syntax_uid)
            made.append(Strip(*said, 1, record.sop_instance_uid == here, at, kind))
    return tuple(made), found.matches[0] if found.matches else {}, found.delay
