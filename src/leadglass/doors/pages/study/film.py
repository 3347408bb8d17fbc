"""Film: the one stream of a video, whole or a part of it, as browsers ask for it (RFC 9110 section 14).

Rule. What the stream is, its own first bytes say; transfer syntaxes name a codec,
not what it is packed in (PS3.5 section 8.2).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.doors.dicomweb.pumping import Blocks, Pause
from leadglass.errors import Unsupported

_BLOCK: Final = 256 << 10
_SNIFFED: Final = 12


@dataclass(frozen=True, slots=True)
class Container:
    """What a stream is packed in.

    Parameters
    ----------
    media : str
        Its media type.
    ending : str
        Of the name of a file that holds it.
    plays : bool
        Whether browsers play it, as a rule.
    """

    media: str
    ending: str
    plays: bool


MP4: Final = Container("video/mp4", "mp4", plays=True)
_TRANSPORT: Final = Container("video/mp2t", "ts", plays=False)
_MPEG: Final = Container("video/mpeg", "mpg", plays=False)
_BARE: Final = Container("application/octet-stream", "bin", plays=False)


class Film:
    """The stream of a located video.

    Parameters
    ----------
    retrieval : Retrieval
        What it was located by.
    record : InstanceRecord
        The video.
    table : FrameTable
        Where its fragments are.

    Raises
    ------
    Unsupported
        When it is no stream.
    """

    def __init__(self, retrieval: Retrieval, record: InstanceRecord, table: FrameTable) -> None:
        if table.layout is not Layout.STREAM:
            raise Unsupported("This is not a video.")
        self._retrieval = retrieval
        self._record = record
        self._spans: Sequence[tuple[int, int]] = table.spans
        self._ends = list(accumulate(length for _, length in table.spans))
        self.size = self._ends[-1] if self._ends else 0

    def container(self) -> Container:
        """Say what it is packed in, by its first bytes."""
        with self._retrieval.open(self._record) as reader:
            head = reader.read_at(self._spans[0][0], min(_SNIFFED, self._spans[0][1])) if self._spans else b""
        if head[4:8] == b"ftyp":
            return MP4
        if head[:1] == b"\x47":
            return _TRANSPORT
        return _MPEG if head[:3] == b"\x00\x00\x01" else _BARE

    def blocks(self, first: int, length: int) -> Blocks:
        """Give bytes of the stream."""
        at, end = first, min(first + length, self.size)
        with self._retrieval.open(self._record) as reader:
            while at < end:
                place = bisect_right(self._ends, at)
                offset, size = self._spans[place]
                inside = at - (self._ends[place] - size)
                block = reader.read_at(offset + inside, min(_BLOCK, size - inside, end - at))
                if not block:
                    return
                self._retrieval.read((self._record,), len(block), goes_on=at > first)
                yield Pause(self._retrieval.take_delay())
                yield block
                at += len(block)
