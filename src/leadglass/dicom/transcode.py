"""Transcoder: change a data set's transfer syntax, in worker processes that may be killed.

Rule: no codec runs in this process, no plaintext touches the disk, and no job
outlives its deadline. Workers get frames and their shape, never the rest of
the data set: its other elements are copied here, value by value.
"""

import json
import os
import queue
import subprocess
import sys
from dataclasses import asdict, dataclass
from struct import pack
from threading import Lock, Timer
from time import monotonic
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
from leadglass.errors import BadInput, Busy, Full, Unsupported

_REMOVED: Final = frozenset(
    {
        tags.key(tags.ExtendedOffsetTable),
        tags.key(tags.ExtendedOffsetTableLengths),
        tags.key(tags.EncapsulatedPixelDataValueTotalLength),
    }
)
"""Elements that speak of fragments, of which none are left."""
_PIXEL_DATA: Final = tags.key(tags.PixelData)
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""A worker has no use for this process' environment, and secrets may be in it."""


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


class _Worker:
    """One process, with one job at a time."""

    __slots__ = ("_process",)

    def __init__(self, memory_bytes: int) -> None:
        command = [sys.executable, "-P", "-m", "leadglass.dicom.codec_worker", str(memory_bytes)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module, no input in the command
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def decode(self, header: dict[str, Any], frames: "_Frames", deadline: float) -> tuple[dict[str, Any], bytes]:
        """Have frames decoded; raises ``Busy`` when the deadline passed, ``BadInput`` when the worker died."""
        timer = Timer(deadline, self._process.kill)
        timer.daemon = True
        started = monotonic()
        timer.start()
        try:
            return self._exchange(header, frames)
        except (OSError, ValueError):
            self.end()
            if monotonic() - started >= deadline:
                raise Busy("Decoding took longer than is allowed; the worker was ended.") from None
            raise BadInput("The decoder died over the pixel data: damaged, or larger than a worker's memory.") from None
        finally:
            timer.cancel()

    def _exchange(self, header: dict[str, Any], frames: "_Frames") -> tuple[dict[str, Any], bytes]:
        writer, reader = self._process.stdin, self._process.stdout
        if writer is None or reader is None:
            raise OSError
        raw = json.dumps(header).encode("ascii")
        writer.write(len(raw).to_bytes(4, "big") + raw)
        for index in range(frames.count):
            writer.write(frames.read(index))
        writer.flush()
        head = reader.read(4)
        length = int.from_bytes(head, "big")
        answer: dict[str, Any] = json.loads(reader.read(length))
        expected = answer.get("length", 0)
        data = reader.read(expected)
        if len(data) < expected:
            raise OSError
        return answer, data

    def end(self) -> None:
        """Kill the process and wait for it; harmless when it is gone."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # what was not flushed to a dead worker
        self._process.wait()


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
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._memory_bytes = memory_bytes
        self._limits = limits if limits is not None else Limits()
        self._lock = Lock()
        self._is_closed = False
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._all: set[_Worker] = set()
        for _ in range(workers):
            self._idle.put(None)

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
        with self._lock:
            self._is_closed = True
            workers = list(self._all)
        for worker in workers:
            worker.end()

    def _decompressed(self, data_set: RawDataSet, attributes: Attributes, from_ts: str) -> Attributes:
        table, shape = self._what_to_decode(data_set, from_ts)
        frames = _Frames(data_set, table)
        header = {"transfer_syntax_uid": from_ts, "image": asdict(shape), "frames": frames.lengths}
        answer, data = self._run(header, frames)
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

    def _run(self, header: dict[str, Any], frames: _Frames) -> tuple[dict[str, Any], bytes]:
        started = monotonic()
        try:
            worker = self._idle.get(timeout=self._deadline)
        except queue.Empty:
            raise Busy("All codec workers are busy; try again later.") from None
        try:
            if worker is None or not worker.is_alive:
                worker = self._start(worker)
            return worker.decode(header, frames, max(0.001, self._deadline - (monotonic() - started)))
        finally:
            self._idle.put(worker)

    def _start(self, dead: _Worker | None) -> _Worker:
        with self._lock:
            if self._is_closed:
                raise Busy("The archive is shutting down.")
            if dead is not None:
                dead.end()
                self._all.discard(dead)
            worker = _Worker(self._memory_bytes)
            self._all.add(worker)
            return worker
