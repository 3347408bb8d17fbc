"""Which one picture stands for a study, a series or a multi-frame instance (PS3.18 section 10.4.1.1.4 leaves it open).

Rule. Of a study: the first series that has an image which is no segmentation,
else the first with any image. Of a series: its middle instance by Instance
Number, or the image nearest to it; of slides, the overview or the smallest
level. Of an instance: its Representative Frame Number, else the middle frame.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom import tags, uids
from leadglass.dicom.render_read import integer, texts
from leadglass.doors.dicomweb.looking import Looking, Seen

_MOST_SERIES: Final = 50
_MOST_TRIED: Final = 8
"""Instances of a series that are looked at for an image."""
_SLIDE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""VL Whole Slide Microscopy Image Storage."""
_MOST_LEVELS: Final = 32
_SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})


def representative(retrieval: Retrieval, looking: Looking) -> InstanceRecord | None:
    """Give the instance that stands for all that was located; None when none is an image that can be shown."""
    series: dict[str, list[InstanceRecord]] = {}
    for record in retrieval.records:
        series.setdefault(record.series_uid, []).append(record)
    second: InstanceRecord | None = None
    for records in list(series.values())[:_MOST_SERIES]:
        found = _of_series(retrieval, looking, records)
        if found is not None and found.sop_class_uid not in _SEGMENTATIONS:
            return found
        second = second or found
    return second


def representative_frame(seen: Seen) -> int:
    """Give the number of the frame that stands for an instance, counted from 1."""
    count = seen.table.number_of_frames if seen.table is not None else 1
    said = integer(seen.attributes, tags.RepresentativeFrameNumber)
    return said if 1 <= said <= count else count // 2 + 1


def _of_series(retrieval: Retrieval, looking: Looking, records: Sequence[InstanceRecord]) -> InstanceRecord | None:
    if records[0].sop_class_uid == _SLIDE:
        return _of_slide(retrieval, looking, records[:_MOST_LEVELS])
    for index in _outward(len(records)):
        record = records[index]
        if record.transfer_syntax_uid in uids.VIDEO or retrieval.withheld(record):
            continue
        seen = looking.at(retrieval, record)
        if seen.table is not None and seen.is_image:
            return record
    return None


def _of_slide(retrieval: Retrieval, looking: Looking, records: Sequence[InstanceRecord]) -> InstanceRecord | None:
    """Give the overview of a slide, else the level of fewest frames."""
    best: tuple[int, InstanceRecord] | None = None
    for record in records:
        seen = None if retrieval.withheld(record) else looking.at(retrieval, record)
        if seen is None or seen.table is None:
            continue
        kind = texts(seen.attributes, tags.ImageType)[2:3]
        if kind == ["LABEL"]:
            continue
        frames = 0 if kind in (["THUMBNAIL"], ["OVERVIEW"]) else seen.table.number_of_frames
        if best is None or frames < best[0]:
            best = frames, record
    return best[1] if best is not None else None


def _outward(count: int) -> Iterator[int]:
    """Give places from the middle to both ends, a few of them."""
    middle = count // 2
    for step in range(_MOST_TRIED):
        for index in dict.fromkeys((middle - step, middle + step)):
            if 0 <= index < count:
                yield index
