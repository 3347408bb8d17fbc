"""Transcoder: change a data set's transfer syntax, in worker processes that may be killed.

Rule: no codec runs in this process, no plaintext touches the disk, and no job
outlives its deadline. Workers get frames and their shape, never the rest of
the data set: its other elements are copied here, value by value.
"""

import json
from dataclasses import asdict, dataclass
from struct import pack
from typing import Any, Final

from leadglass.dicom import tags, uids
from leadglass.dicom.frame_scan import find_frames, first_value
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.reader import read
from leadglass.dicom.recode import RawDataSet, without_compressed_icons, write_raw
from leadglass.dicom.source import ReadAt
from leadglass.dicom.vocabulary import encoding_of
from leadglass.dicom.worker_pool import WorkerPool
from leadglass.errors import BadInput, Full, Unsupported

_REMOVED: Final = frozenset(
    {
        tags.key(tags.ExtendedOffsetTable),
        tags.key(tags.ExtendedOffsetTableLengths),
        tags.key(tags.EncapsulatedPixelDataValueTotalLength),
    }
)
"""Elements that speak of fragments, of which none are left."""
_ANSWER: Final = 1 << 16
"""Bytes that a worker may say beside the pixels."""
_PIXEL_DATA: Final = tags.key(tags.PixelData)


@dataclass(frozen=True, slots=True)
class _Shape:
    """``codecs.Image`` on this side of the pipe, where no codec may be imported."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    is_signed: bool
    photometric: str

    @property
    def decoded_bytes(self) -> int:
        return -(-self.rows * self.columns * self.samples * self.allocated // 8)


class _Frames:
    """The compressed frames of a data set, read one by one."""

    __slots__ = ("_data_set", "_table", "count", "lengths")

    def __init__(self, data_set: RawDataSet, table: FrameTable) -> None:
        self._data_set = data_set
        self._table = table
        self.count = table.number_of_frames
        self.lengths = [sum(length for _, length in table.parts(index)) for index in range(self.count)]

    def read(self, index: int) -> bytes:
        return b"".join(self._data_set.source.read_at(*part) for part in self._table.parts(index))


class Transcoder:
    """A pool of worker processes, started when first needed.

    Parameters
    ----------
    workers : int
        How many may run at once. 2: one for each core of the reference machine.
    deadline : float
        Seconds for one job, waiting for a worker included; then its worker is
        killed. 60: some hundred times the slowest frame of the corpus.
    max_bytes : int
        Largest pixel data, decoded, that is taken. 512 MiB.
    memory_bytes : int
        Address space of a worker. 4 GiB: room for twice the above and a codec's own.
    limits : Limits
        What reading a data set may cost.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        deadline: float = 60.0,
        max_bytes: int = 512 << 20,
        memory_bytes: int = 4 << 30,
        limits: Limits | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._limits = limits if limits is not None else Limits()
        self._pool = WorkerPool(
            "leadglass.dicom.codec_worker",
            workers=workers,
            deadline=deadline,
            memory_bytes=memory_bytes,
            most_bytes=max_bytes + _ANSWER,
        )

    def can(self, from_ts: str, to_ts: str) -> bool:
        """Say whether data sets can be brought from one transfer syntax into another at all."""
        is_from_known = from_ts in uids.UNCOMPRESSED or from_ts in uids.DECODED
        return from_ts == to_ts or (to_ts in uids.UNCOMPRESSED and is_from_known)

    def transcode(self, source: ReadAt, from_ts: str, to_ts: str) -> bytes:
        """Give the data set in another transfer syntax (blocking).

        Parameters
        ----------
        source : ReadAt
            The data set as stored.
        from_ts, to_ts : str
            Its transfer syntax and the wanted one.

        Raises
        ------
        Unsupported
            When there is no way from one to the other.
        BadInput
            When the pixel data cannot be decoded.
        Busy
            When the job took longer than the deadline.
        Full
            When the data set is larger than allowed.
        """
        if not self.can(from_ts, to_ts):
            raise Unsupported("There is no way from the stored transfer syntax to the wanted one.")
        if source.size > self._max_bytes:
            raise Full(f"The instance is larger than {self._max_bytes >> 20} MiB, the most that is transcoded.")
        if from_ts == to_ts:
            return source.read_at(0, source.size)
        data_set = RawDataSet(source, from_ts, self._limits)
        if data_set.source.size > self._max_bytes:
            raise Full(f"The instance is larger than {self._max_bytes >> 20} MiB once inflated.")
        if from_ts in uids.UNCOMPRESSED:
            return write_raw(data_set, data_set.reading.attributes, to_ts)
        attributes = without_compressed_icons(data_set.reading.attributes)
        if data_set.reading.pixels is not None:
            attributes = self._decompressed(data_set, attributes, from_ts)
        return write_raw(data_set, attributes, to_ts)

    def close(self) -> None:
        """End the workers; jobs under way fail with ``Busy``."""
        self._pool.close()

    def _decompressed(self, data_set: RawDataSet, attributes: Attributes, from_ts: str) -> Attributes:
        table, shape = self._what_to_decode(data_set, from_ts)
        frames = _Frames(data_set, table)
        header = {"transfer_syntax_uid": from_ts, "image": asdict(shape), "frames": frames.lengths}
        blocks = (frames.read(index) for index in range(frames.count))
        head, data = self._pool.run(json.dumps(header).encode("ascii"), blocks)
        answer: dict[str, Any] = json.loads(head)
        if "fault" in answer:
            kind = Unsupported if answer["fault"] == Unsupported.kind.value else BadInput
            raise kind(str(answer["message"]))
        changed = {name: element for name, element in attributes.items() if name not in _REMOVED}
        changed[_PIXEL_DATA] = JsonElement(vr="OB" if shape.allocated <= 8 else "OW", Value=[data])
        if not answer["is_as_stored"]:
            photometric = str(answer["photometric"]).encode("ascii", "replace")
            changed[tags.key(tags.PhotometricInterpretation)] = JsonElement(vr="CS", Value=[photometric])
            if shape.samples > 1:
                changed[tags.key(tags.PlanarConfiguration)] = JsonElement(vr="US", Value=[pack("<H", 0)])
        return changed

    def _what_to_decode(self, data_set: RawDataSet, from_ts: str) -> tuple[FrameTable, _Shape]:
        reading = read(data_set.source, encoding_of(from_ts), self._limits)
        table = find_frames(data_set.source, reading, from_ts, self._limits)
        if table is None:
            raise BadInput("The frames of the pixel data cannot be told apart: it cannot be decoded.")

        def number(tag: int, default: int = 0) -> int:
            value = first_value(reading.attributes, tag)
            return value if isinstance(value, int) else default

        allocated = number(tags.BitsAllocated)
        shape = _Shape(
            rows=number(tags.Rows),
            columns=number(tags.Columns),
            samples=number(tags.SamplesPerPixel, 1),
            allocated=allocated,
            stored=number(tags.BitsStored, allocated),
            is_signed=number(tags.PixelRepresentation) == 1,
            photometric=str(first_value(reading.attributes, tags.PhotometricInterpretation) or ""),
        )
        if shape.rows < 1 or shape.columns < 1 or shape.samples < 1 or shape.allocated not in (1, 8, 16, 32, 64):
            raise BadInput("Rows, Columns or Bits Allocated are missing or impossible: the image cannot be decoded.")
        if not 1 <= shape.stored <= shape.allocated:
            raise BadInput("Bits Stored does not fit into Bits Allocated: the image cannot be decoded.")
        if shape.decoded_bytes * table.number_of_frames > self._max_bytes:
            raise Full(f"The pixel data is larger than {self._max_bytes >> 20} MiB once decoded.")
        return table, shape
