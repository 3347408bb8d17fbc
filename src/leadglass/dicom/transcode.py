"""Transcoder: change a data set's transfer syntax, in worker processes that may be killed.

Rule: no codec runs in this process, no plaintext touches the disk, and no job
outlives its deadline. Workers get frames and their shape, never the rest of
the data set: its other elements are copied here, value by value. What is only
written in another way is read where it is stored while it is sent; there is room
for what is decoded before it is.
"""

import json
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from struct import Struct, pack
from typing import Any, Final

from leadglass.dicom import tags, uids
from leadglass.dicom.deflate import deflated
from leadglass.dicom.frame_scan import find_frames
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.native import native_frame, pixel_word_of
from leadglass.dicom.pieces import Piece, Pieces
from leadglass.dicom.reader import read
from leadglass.dicom.recode import RawDataSet, lay_out, without_compressed_icons
from leadglass.dicom.room import Room
from leadglass.dicom.shape import Shape, is_by_plane, shape_of, why_not_encoded
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
_ANSWER: Final = 16 << 20
"""Bytes that a worker may say beside the pixels: the length of each frame."""
_KEPT: Final = 1 << 20
"""Bytes inflated or deflated that are kept; what is larger is made again as it is read."""
_COPIES: Final = 3
"""How often pixel data is there while its words are turned."""
_EXPLICIT: Final = uids.EXPLICIT_VR_LITTLE_ENDIAN
_ITEM: Final = Struct("<HHI").pack
_PIXEL_HEAD: Final = pack("<HH2sHI", tags.PixelData >> 16, tags.PixelData & 0xFFFF, b"OB", 0, 0xFFFFFFFF)
_PIXEL_DATA: Final = tags.key(tags.PixelData)


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded frame.

    Parameters
    ----------
    data : bytes
        Samples, Little Endian; color by pixel unless ``is_as_stored``. Of one bit each: packed.
    photometric : str
        The Photometric Interpretation they are in.
    is_as_stored : bool
        Whether Planar Configuration and chroma subsampling are still those of the data set.
    """

    data: bytes
    photometric: str
    is_as_stored: bool


class _Frames:
    """The frames of a data set, read one by one; words as Little Endian."""

    __slots__ = ("_data_set", "_table", "_word", "count", "lengths")

    def __init__(self, data_set: RawDataSet, table: FrameTable, word: int) -> None:
        self._data_set = data_set
        self._table = table
        self._word = word
        self.count = table.number_of_frames
        self.lengths = [sum(length for _, length in table.parts(index)) for index in range(self.count)]

    def read(self, index: int) -> bytes:
        if self._table.layout is Layout.NATIVE:
            return b"".join(native_frame(self._data_set.source, self._table, index, self._word))
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
    room : Room
        Counts what was made and is still being sent. 1 GiB, and 10 seconds for
        who has to wait for it.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        deadline: float = 60.0,
        max_bytes: int = 512 << 20,
        memory_bytes: int = 4 << 30,
        limits: Limits | None = None,
        room: Room | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._limits = replace(limits if limits is not None else Limits(), inflation_free=_KEPT)
        self._room = room if room is not None else Room(1 << 30, 10.0)
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

    def can_encode(self, from_ts: str, to_ts: str) -> bool:
        """Say whether images can be compressed, or compressed otherwise, without further loss.

        Apart from ``can``, because it costs much: only who asks for it by name gets it.
        """
        return to_ts in uids.ENCODED and (from_ts in uids.UNCOMPRESSED or from_ts in uids.DECODED)

    @contextmanager
    def opened(self, source: ReadAt, from_ts: str, to_ts: str) -> Generator[ReadAt]:
        """Give the data set in another transfer syntax, to be read inside the block (blocking).

        Parameters
        ----------
        source : ReadAt
            The data set as stored; it stays open for as long.
        from_ts, to_ts : str
            Its transfer syntax and the wanted one.

        Raises
        ------
        Unsupported
            When there is no way from one to the other.
        BadInput
            When the pixel data cannot be decoded.
        Busy
            When the job took longer than the deadline, or too much that was made
            for others is still being sent.
        Full
            When the data set is larger than allowed.
        """
        with ExitStack() as held:
            yield self._open(source, from_ts, to_ts, held)

    def transcode(self, source: ReadAt, from_ts: str, to_ts: str) -> bytes:
        """Give what ``opened`` gives, whole."""
        with self.opened(source, from_ts, to_ts) as made:
            return made.read_at(0, made.size)

    def _open(self, source: ReadAt, from_ts: str, to_ts: str, held: ExitStack) -> ReadAt:
        if not self.can(from_ts, to_ts) and not self.can_encode(from_ts, to_ts):
            raise Unsupported("There is no way from the stored transfer syntax to the wanted one.")
        if source.size > self._max_bytes:
            raise Full(f"The instance is larger than {self._max_bytes >> 20} MiB, the most that is transcoded.")
        if from_ts == to_ts:
            return source
        data_set = RawDataSet(source, from_ts, self._limits)
        if data_set.source.size > self._max_bytes:
            raise Full(f"The instance is larger than {self._max_bytes >> 20} MiB once inflated.")
        if to_ts in uids.ENCODED:
            return self._compressed(data_set, from_ts, to_ts, held)
        if from_ts in uids.UNCOMPRESSED:
            made = self._written(data_set, data_set.reading.attributes, to_ts, held)
        else:
            made = self._decompressed(data_set, from_ts, to_ts, held)
        return deflated(made, _KEPT) if to_ts in uids.DEFLATED else made

    def close(self) -> None:
        """End the workers; jobs under way fail with ``Busy``."""
        self._pool.close()

    # --- frames ---------------------------------------------------------------

    def decode_frame(self, frame: bytes, from_ts: str, shape: Shape, who: str = "") -> Decoded:
        """Decode one compressed frame (blocking).

        Parameters
        ----------
        frame : bytes
            The frame as stored.
        from_ts : str
            One of ``uids.DECODED``.
        shape : Shape
            What its data set says of it.
        who : str
            On whose behalf, for the turns.

        Raises
        ------
        Unsupported, BadInput, Busy, Full
            As ``transcode``.
        """
        self._check_size(shape, 1)
        job = {"transfer_syntax_uid": from_ts, "image": asdict(shape), "frames": [len(frame)]}
        answer, data = self._work(job, (frame,), who)
        return Decoded(data, str(answer["photometric"]), bool(answer["is_as_stored"]))

    def encode_frame(
        self, frame: bytes, from_ts: str, to_ts: str, shape: Shape, *, is_by_plane: bool = False, who: str = ""
    ) -> bytes:
        """Encode one frame without loss (blocking).

        Parameters
        ----------
        frame : bytes
            As stored; of an uncompressed transfer syntax as Little Endian.
        from_ts, to_ts : str
            Its transfer syntax, and one of ``uids.ENCODED``.
        shape : Shape
            What its data set says of it.
        is_by_plane : bool
            Planar Configuration, where the frame is not compressed.
        who : str
            On whose behalf, for the turns.

        Raises
        ------
        Unsupported, BadInput, Busy, Full
            As ``transcode``.
        """
        self._check_size(shape, 1)
        job = _encoding(from_ts, to_ts, shape, [len(frame)], is_by_plane=is_by_plane)
        return self._work(job, (frame,), who)[1]

    def _check_size(self, shape: Shape, frames: int) -> None:
        if shape.decoded_bytes * frames > self._max_bytes:
            raise Full(f"The pixel data is larger than {self._max_bytes >> 20} MiB once decoded.")

    def _work(self, job: dict[str, Any], blocks: Iterable[bytes], who: str = "") -> tuple[dict[str, Any], bytes]:
        """Have a job done; raises what a worker found wrong."""
        head, data = self._pool.run(json.dumps(job).encode("ascii"), blocks, who)
        answer: dict[str, Any] = json.loads(head)
        if "fault" in answer:
            kind = Unsupported if answer["fault"] == Unsupported.kind.value else BadInput
            raise kind(str(answer["message"]))
        return answer, data

    # --- data sets ------------------------------------------------------------

    def _written(self, data_set: RawDataSet, attributes: Attributes, to_ts: str, held: ExitStack) -> Pieces:
        """Give what nothing has to be decoded for: the header is there, the rest is read when it is sent."""
        made = Pieces(lay_out(data_set, attributes, to_ts), data_set.source)
        held.enter_context(self._room.hold(made.kept))
        return made

    def _decompressed(self, data_set: RawDataSet, from_ts: str, to_ts: str, held: ExitStack) -> Pieces:
        attributes = without_compressed_icons(data_set.reading.attributes)
        if data_set.reading.pixels is None:
            return self._written(data_set, attributes, to_ts, held)
        frames, shape, _ = self._what_to_decode(data_set, from_ts)
        copies = _COPIES if encoding_of(to_ts).is_big_endian else 1
        counted = held.enter_context(self._room.hold(shape.decoded_bytes * frames.count * copies))
        attributes = self._with_decoded(attributes, frames, shape, from_ts)
        made = Pieces(lay_out(data_set, attributes, to_ts), data_set.source)
        counted.becomes(made.kept)
        return made

    def _with_decoded(self, attributes: Attributes, frames: _Frames, shape: Shape, from_ts: str) -> Attributes:
        job = {"transfer_syntax_uid": from_ts, "image": asdict(shape), "frames": frames.lengths}
        answer, data = self._work(job, (frames.read(index) for index in range(frames.count)))
        changed = {name: element for name, element in attributes.items() if name not in _REMOVED}
        changed[_PIXEL_DATA] = JsonElement(vr="OB" if shape.allocated <= 8 else "OW", Value=[data])
        return changed if answer["is_as_stored"] else changed | _said_of(answer, shape)

    def _compressed(self, data_set: RawDataSet, from_ts: str, to_ts: str, held: ExitStack) -> Pieces:
        if data_set.reading.pixels is None or data_set.reading.pixels.tag != tags.PixelData:
            raise Unsupported("Without pixel data there is nothing to encode in this transfer syntax.")
        frames, shape, is_by_plane = self._what_to_decode(data_set, from_ts)
        if why := why_not_encoded(shape, to_ts):
            raise Unsupported(why)
        counted = held.enter_context(self._room.hold(shape.decoded_bytes * frames.count))  # it may not become smaller
        job = _encoding(from_ts, to_ts, shape, frames.lengths, is_by_plane=is_by_plane)
        blocks = (frames.read(index) for index in range(frames.count))
        answer, data = self._work(job, blocks)
        attributes = without_compressed_icons(data_set.reading.attributes)
        kept = {name: each for name, each in attributes.items() if name not in _REMOVED}
        kept |= {name: _raw(each, data_set) for name, each in _said_of(answer, shape).items()}
        # Explicit VR Little Endian around it, and it between what comes before and after it.
        before = lay_out(data_set, {name: kept[name] for name in kept if name < _PIXEL_DATA}, _EXPLICIT)
        after = lay_out(data_set, {name: kept[name] for name in kept if name > _PIXEL_DATA}, _EXPLICIT)
        made = Pieces([*before, *_encapsulated(answer["lengths"], data), *after], data_set.source)
        counted.becomes(made.kept)
        return made

    def _what_to_decode(self, data_set: RawDataSet, from_ts: str) -> tuple[_Frames, Shape, bool]:
        reading = read(data_set.source, encoding_of(from_ts), self._limits)
        table = find_frames(data_set.source, reading, from_ts, self._limits)
        if table is None:
            raise BadInput("The frames of the pixel data cannot be told apart: it cannot be decoded.")
        shape = shape_of(reading.attributes)
        self._check_size(shape, table.number_of_frames)
        word = pixel_word_of(reading.attributes, from_ts)
        return _Frames(data_set, table, word), shape, is_by_plane(reading.attributes)


def _encoding(from_ts: str, to_ts: str, shape: Shape, lengths: list[int], *, is_by_plane: bool) -> dict[str, Any]:
    """Give the job of encoding frames."""
    return {
        # Native frames are what this transfer syntax holds, too.
        "transfer_syntax_uid": uids.ENCAPSULATED_UNCOMPRESSED if from_ts in uids.UNCOMPRESSED else from_ts,
        "encode": to_ts,
        "is_by_plane": is_by_plane,
        "image": asdict(shape),
        "frames": lengths,
    }


def _said_of(answer: dict[str, Any], shape: Shape) -> Attributes:
    """Give the attributes that are other than before, as bytes."""
    photometric = str(answer["photometric"]).encode("ascii", "replace")
    said: Attributes = {tags.key(tags.PhotometricInterpretation): JsonElement(vr="CS", Value=[photometric])}
    if shape.samples > 1:
        said[tags.key(tags.PlanarConfiguration)] = JsonElement(vr="US", Value=[pack("<H", 0)])
    return said


def _raw(element: JsonElement, data_set: RawDataSet) -> JsonElement:
    """Give an element in the byte order of the data set it is written with."""
    if not data_set.is_big_endian or element["vr"] != "US":
        return element
    return JsonElement(vr="US", Value=[pack(">H", 0)])


def _encapsulated(lengths: list[int], data: bytes) -> list[Piece]:
    """Give Pixel Data as fragments, one for each frame, with a Basic Offset Table (PS3.5 section A.4)."""
    places, place = [0], 0
    for length in lengths[:-1]:
        place += 8 + length
        places.append(place)
    table = b"".join(place.to_bytes(4, "little") for place in places) if places[-1] < 1 << 32 else b""
    parts: list[Piece] = [_PIXEL_HEAD, _ITEM(0xFFFE, 0xE000, len(table)), table]
    whole, start = memoryview(data), 0
    for length in lengths:
        parts += (_ITEM(0xFFFE, 0xE000, length), whole[start : start + length])
        start += length
    return [*parts, _ITEM(0xFFFE, 0xE0DD, 0)]
