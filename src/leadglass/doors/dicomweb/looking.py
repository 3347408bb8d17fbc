"""Looking: what has to be known of an instance to draw it, kept for a while.

Rule: what is kept is where frames are and how values become a picture, nothing of
a patient; and it is asked for only of what was located for the caller before.
Under a view that masks, nothing is kept.
"""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom import tags
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.model import Attributes
from leadglass.dicom.render_read import is_image, items, presentation

_MOST_KEPT: Final = 256
"""Instances."""
_MOST_WEIGHT: Final = 100_000
"""Fragments and frames' groups in them together; some 100 MB."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an instance.

    Parameters
    ----------
    attributes : Attributes
        What a picture hangs on.
    table : FrameTable or None
        Where its frames are.
    is_image : bool
        Whether it has pixels at all.
    """

    attributes: Attributes
    table: FrameTable | None
    is_image: bool

    @property
    def weight(self) -> int:
        """What it costs to keep."""
        groups = len(items(self.attributes, tags.PerFrameFunctionalGroupsSequence))
        return 10 + groups + (len(self.table.spans) + len(self.table.firsts) if self.table is not None else 0)


class Looking:
    """Looks at instances. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[int, bytes], Seen] = OrderedDict()
        self._weight = 0

    def at(self, retrieval: Retrieval, record: InstanceRecord) -> Seen:
        """Say what is known of a located instance; raises ``NotHere``, ``Corrupt``."""
        if not retrieval.is_as_stored(record):
            return _look(retrieval, record)
        key = (record.row, record.digest)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        seen = _look(retrieval, record)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = seen
                self._weight += seen.weight
            while len(self._kept) > _MOST_KEPT or (self._weight > _MOST_WEIGHT and len(self._kept) > 1):
                self._weight -= self._kept.popitem(last=False)[1].weight
        return seen


def _look(retrieval: Retrieval, record: InstanceRecord) -> Seen:
    attributes = retrieval.metadata(record)
    return Seen(presentation(attributes), retrieval.frames(record), is_image(attributes))
