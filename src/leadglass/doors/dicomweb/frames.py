"""Frames: single frames of an instance (PS3.18 section 10.4.1.1.6), as stored or decoded.

Rule 1. Of an instance only the frames that are asked for are read: where they
are stands in the index. Rule 2. A frame is decoded by itself, in a worker. Rule 3.
Every answer says the transfer syntax of what it holds.

What was compressed in color leaves decoded as RGB or in its own color space,
by pixel; what was not compressed leaves as it is, its words as Little Endian.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from threading import Lock
from time import monotonic, sleep
from typing import Final

from starlette.responses import Response

from leadglass.archive.backroom import Described, InstanceRecord, Reader
from leadglass.archive.retrieving import AtHand, Retrieval
from leadglass.dicom import tags, uids
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.inflate import plain
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes
from leadglass.dicom.native import lies_as_it_leaves, native_frame, pixel_word_of
from leadglass.dicom.shape import Shape, is_by_plane, shape_of, why_not_encoded
from leadglass.dicom.source import ReadAt
from leadglass.dicom.transcode import Transcoder
from leadglass.doors.dicomweb.accept import OCTETS, NotAcceptable, Offer, Wanted, accept_of, choose
from leadglass.doors.dicomweb.locating import locate, require_frames
from leadglass.doors.dicomweb.multipart import MultipartWriter
from leadglass.doors.dicomweb.paths import INSTANCE, Target, instance_path, service_url, target_of
from leadglass.doors.dicomweb.pumping import Blocks, Holding, Pause, Prepared, respond
from leadglass.doors.web.problem import HttpFault
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Full, LeadglassError, NotAtHand, NotHere, Unsupported
from leadglass.policy.action import Action

_EXPLICIT: Final = uids.EXPLICIT_VR_LITTLE_ENDIAN
_MOST: Final = 10_000
"""Frames in one request. A whole-slide viewer asks for one to some dozens at a time."""
_DIGITS: Final = 10
_PIECE: Final = 1 << 20
"""Bytes of a long frame (a video) that are read at once."""
_MOST_PARTS: Final = 64
"""Fragments of a frame that is given in the loop: of half a million, which a sender may make, each is looked up."""
_LARGEST: Final = 512 << 20
"""Bytes of a native frame that is held in memory, because it is encoded."""
_MOST_KNOWN: Final = 10_000
"""Instances whose frame table is kept in memory: those of some series that are being read. About 1 kB each."""
_AHEAD: Final = 256 << 20
"""Bytes of the objects of a series that are read ahead: a CT of 500 slices."""
_LOOKED: Final = 60.0
"""Seconds for which the rest of a series is not looked at again."""
_MOST_CHOICES: Final = 256
"""Choices among the ways to give frames that are remembered: clients have few headers, and archives few syntaxes."""
_MOST_SPANS: Final = 2_000_000
"""Fragments in those tables together; some 200 MB."""

_MPEG2: Final = frozenset(
    f"1.2.840.10008.1.2.4.{last}" for last in ("100", "100.1", "101", "101.1")
)  # PS3.18 table 8.7.3-4


def media_type_of(transfer_syntax_uid: str) -> str:
    """Give the media type of a frame in a transfer syntax (PS3.18 tables 8.7.3-2 and 8.7.3-4)."""
    match transfer_syntax_uid:
        case uids.RLE_LOSSLESS:
            return "image/dicom-rle"
        case _ if transfer_syntax_uid in uids.JPEG_FAMILY:
            return "image/jpeg"
        case _ if transfer_syntax_uid in uids.JPEG_LS_FAMILY:
            return "image/jls"
        case uids.JPEG_2000_LOSSLESS | uids.JPEG_2000:
            return "image/jp2"
        case uids.JPEG_2000_MC_LOSSLESS | uids.JPEG_2000_MC:
            return "image/jpx"
        case _ if transfer_syntax_uid in uids.HTJ2K_FAMILY:
            return "image/jphc"
        case _ if transfer_syntax_uid in uids.JPEG_XL_FAMILY:
            return "image/jxl"
        case _ if transfer_syntax_uid in _MPEG2:
            return "video/mpeg"
        case _ if transfer_syntax_uid in uids.VIDEO:
            return "video/mp4"
        case _:
            return OCTETS


_Choice = tuple[tuple[Wanted, ...], str, Layout | None, bool, tuple[str, ...], bool]


@dataclass(frozen=True, slots=True)
class Known:
    """What has to be known of an instance to give its frames; nothing of a patient.

    Parameters
    ----------
    table : FrameTable or None
        Where they are.
    shape : Shape or None
        What they are; None when that is missing or impossible.
    is_by_plane : bool
        Planar Configuration.
    word : int
        Bytes of a word that have to be turned; 1 when none have.
    encoded : tuple of str
        Transfer syntaxes in which they may be encoded, as far as that can be told before.
    """

    table: FrameTable | None
    shape: Shape | None
    is_by_plane: bool = False
    word: int = 1
    encoded: tuple[str, ...] = ()

    @property
    def weight(self) -> int:
        """What it costs to keep, in fragments."""
        return 100 + (len(self.table.spans) + len(self.table.firsts) // 4 if self.table else 0)


class Knowing:
    """What is known of the instances whose frames were asked for lately. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[tuple[int, bytes, bool], Known] = OrderedDict()
        self._weight = 0

    def known(self, retrieval: Retrieval, record: InstanceRecord) -> Known:
        """Give it, from memory or the index. What the caller may see was decided before; under a mask it is apart."""
        key = (record.row, record.digest, retrieval.is_as_stored(record))
        found = self._found(key)
        if found is not None:
            return found
        table = retrieval.frames(record)
        made = _known_of(record, table, {} if table is None else retrieval.metadata(record))
        self._keep(key, made)
        return made

    def learn(self, series: Iterable[Described]) -> None:
        """Remember what is seen unmasked before it is asked for (blocking); others have their turn after each."""
        for each in series:
            key = (each.record.row, each.record.digest, True)
            if key not in self._known:
                self._keep(key, _known_of(each.record, each.frames, each.attributes))
            sleep(0)

    def _keep(self, key: tuple[int, bytes, bool], made: Known) -> None:
        with self._lock:
            if key not in self._known:
                self._known[key] = made
                self._weight += made.weight
            while len(self._known) > _MOST_KNOWN or (self._weight > _MOST_SPANS and len(self._known) > 1):
                self._weight -= self._known.popitem(last=False)[1].weight

    def remembered(self, record: InstanceRecord) -> Known | None:
        """Give it from memory, of what is seen unmasked; None says nothing."""
        return self._found((record.row, record.digest, True))

    def _found(self, key: tuple[int, bytes, bool]) -> Known | None:
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found


def _count(table: FrameTable) -> int:
    """Give how many frames may be asked for: a video is given whole, as the first."""
    return 1 if table.layout is Layout.STREAM else table.number_of_frames


def _known_of(record: InstanceRecord, table: FrameTable | None, attributes: Attributes) -> Known:
    if table is None:
        return Known(None, None)
    try:
        shape = shape_of(attributes)
    except BadInput:
        shape = None
    word = pixel_word_of(attributes, record.transfer_syntax_uid)
    return Known(table, shape, is_by_plane(attributes), word, _encoded(table, shape, attributes))


def _encoded(table: FrameTable, shape: Shape | None, attributes: Attributes) -> tuple[str, ...]:
    """Give the transfer syntaxes in which frames may be encoded: no floats, and no chroma that pixels share."""
    if shape is None or tags.key(tags.PixelData) not in attributes:
        return ()
    bits = shape.rows * shape.columns * shape.samples * shape.allocated
    if table.layout is Layout.STREAM or (table.layout is Layout.NATIVE and table.frame_bits != bits):
        return ()
    return tuple(syntax for syntax in sorted(uids.ENCODED) if not why_not_encoded(shape, syntax))


class Refused(HttpFault):
    """What cannot be decoded or encoded, for good: no fault of the disk, nor of a request."""

    def __init__(self, error: LeadglassError) -> None:
        super().__init__(HTTPStatus.NOT_ACCEPTABLE, f"{error.message} Ask for transfer-syntax=*.")


def parse_frames(text: str) -> list[int]:
    """Read a frame list: numbers from 1, each once, in any order (PS3.18 table 10.4.1-1).

    Raises
    ------
    BadInput
        When it is none.
    """
    if len(text) > _MOST * (_DIGITS + 1):
        raise BadInput(f"More than {_MOST:,} frames are asked for. Ask for them in several requests.")
    numbers: list[int] = []
    for each in text.split(","):
        if not each.isascii() or not each.isdecimal() or len(each) > _DIGITS or each.startswith("0"):
            raise BadInput("The frame list is not one: frame numbers from 1, parted by commas.")
        numbers.append(int(each))
    if len(numbers) > _MOST:
        raise BadInput(f"More than {_MOST:,} frames are asked for. Ask for them in several requests.")
    if len(set(numbers)) < len(numbers):
        raise BadInput("The frame list names a frame twice.")
    return numbers


def frame_offers(transcoder: Transcoder, stored: str, known: Known, *, may_single: bool) -> list[Offer]:
    """Give the ways in which frames can be given.

    Parameters
    ----------
    transcoder : Transcoder
        Knows what can be made of what.
    stored : str
        The transfer syntax of the instance.
    known : Known
        What they are.
    may_single : bool
        Whether one may be given alone, not as multipart.
    """
    offers: list[Offer] = []
    is_native = stored in uids.NATIVE and known.table is not None and known.table.layout is Layout.NATIVE
    for is_related in (True, False) if may_single else (True,):
        can_decode = is_native or (stored in uids.DECODED and known.shape is not None)
        if can_decode:
            offers.append(Offer(OCTETS, is_related, _EXPLICIT, is_stored=is_native))
        if not is_native:
            media = media_type_of(stored)
            offers.append(
                Offer(media, is_related, stored, is_default=media != OCTETS or not can_decode, is_stored=True)
            )
            if media != OCTETS:  # for who takes octets in any transfer syntax
                offers.append(Offer(OCTETS, is_related, stored, is_default=False, is_stored=True))
        if can_decode:
            offers += [
                Offer(media_type_of(syntax), is_related, syntax)
                for syntax in known.encoded
                if syntax != stored and transcoder.can_encode(stored, syntax)
            ]
    return offers


class Frames:
    """The resource of frames.

    Parameters
    ----------
    services : Services
        What handlers work with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._knowing = Knowing()
        self._holding = Holding()
        self._limits = Limits()
        self._ahead: asyncio.Task[None] | None = None
        self._looked: dict[str, float] = {}
        """Series by when their rest may be looked at again."""
        self._chosen: dict[_Choice, Offer] = {}

    async def answer(self, asked: Asked) -> Response:
        """Give some frames of an instance."""
        request = asked.request
        target = target_of(request)
        numbers = parse_frames(request.path_params["frames"])
        wanted = accept_of(request)
        base = service_url(request)
        at_once = self._at_once(asked, target, numbers, wanted, base)
        if at_once is not None:
            return at_once
        return await respond(self._services.threads, lambda: self.prepare(asked, target, numbers, wanted, base))

    def _at_once(
        self, asked: Asked, target: Target, numbers: list[int], wanted: Sequence[Wanted], base: str
    ) -> Response | None:
        """Answer without waiting for anything: one frame, as it lies, of an instance that is in memory.

        A thread would cost more than the answer, and more still where several ask at a time: threads that take
        turns at Python's lock drive each other's work out of the processors' caches. None: as ``prepare`` does.
        """
        if len(numbers) != 1:
            return None
        at_hand = self._services.archive.at_hand(asked.caller, Action.GET, target.selection)
        known = None if at_hand is None else self._knowing.remembered(at_hand.record)
        if at_hand is not None and known is None:
            self._look_ahead(at_hand)
        if at_hand is None or known is None or known.table is None:
            return None
        record = at_hand.record
        offer = self._offer(record, known, wanted, may_single=True)
        cutter = Cutter(self._services.transcoder, record, known, offer.transfer_syntax, str(asked.caller))
        parts = cutter.as_it_lies(numbers[0] - 1)
        if parts is None:
            return None
        try:
            frame = at_hand.read(parts)
        except NotAtHand:
            return None
        if not offer.is_related:
            return Response(frame, headers={"Vary": "Accept", "Content-Type": offer.content_type})
        writer = MultipartWriter(offer.media, {"transfer-syntax": offer.transfer_syntax})
        head = self._head(writer, offer, f"{base}{instance_path(record)}/frames/", numbers[0])
        headers = {"Vary": "Accept", "Content-Type": writer.content_type}
        return Response(b"".join((head, frame, writer.end())), headers=headers)

    def _look_ahead(self, at_hand: AtHand) -> None:
        """Get to know the rest of a series of which some instances were asked for, one series at a time."""
        series = at_hand.record.series_uid
        now = monotonic()
        if (self._ahead is not None and not self._ahead.done()) or now < self._looked.get(series, 0.0):
            return
        if len(self._looked) >= _MOST_CHOICES:
            self._looked.clear()
        self._looked[series] = now + _LOOKED

        async def look() -> None:
            with suppress(LeadglassError):  # who asks hears it
                await self._services.threads.run(lambda: self._knowing.learn(at_hand.ahead(_AHEAD)))

        self._ahead = asyncio.get_running_loop().create_task(look())

    @staticmethod
    def _head(writer: MultipartWriter, offer: Offer, location: str, number: int) -> bytes:
        return writer.part({"Content-Type": offer.content_type, "Content-Location": f"{location}{number}"})

    def _offer(self, record: InstanceRecord, known: Known, wanted: Sequence[Wanted], *, may_single: bool) -> Offer:
        """Choose in which way frames are given; remembered, because each of a series comes to the same."""
        stored = record.transfer_syntax_uid
        layout = None if known.table is None else known.table.layout
        asked = (tuple(wanted), stored, layout, known.shape is None, known.encoded, may_single)
        chosen = self._chosen.get(asked)
        if chosen is None:
            offers = frame_offers(self._services.transcoder, stored, known, may_single=may_single)
            chosen = choose(wanted, offers)
            if len(self._chosen) >= _MOST_CHOICES:
                self._chosen.clear()
            self._chosen[asked] = chosen
        return chosen

    def prepare(
        self, asked: Asked, target: Target, numbers: list[int], wanted: Sequence[Wanted], base: str
    ) -> Prepared:
        """Decide what is sent and how (blocking)."""
        retrieval = locate(self._services.archive, asked.caller, target)
        record = retrieval.records[0]
        known = self._knowing.known(retrieval, record)
        table = known.table
        if table is None:
            raise HttpFault(HTTPStatus.NOT_FOUND, "The instance has no frames, or none that can be told apart.")
        require_frames(numbers, _count(table))
        offer, cutter = self._way(retrieval, known, wanted, numbers, str(asked.caller))
        headers = {"Vary": "Accept"}
        if not offer.is_related:
            return Prepared(offer.content_type, self._single(retrieval, cutter, numbers[0]), headers=headers)
        writer = MultipartWriter(offer.media, {"transfer-syntax": offer.transfer_syntax})
        location = f"{base}{instance_path(record)}/frames/"
        blocks = self._related(retrieval, cutter, numbers, writer, offer, location)
        return Prepared(writer.content_type, blocks, headers=headers)

    def _way(
        self, retrieval: Retrieval, known: Known, wanted: Sequence[Wanted], numbers: list[int], who: str
    ) -> tuple[Offer, "Cutter"]:
        """Choose the way; where it is to encode, the first frame is: what is refused is given as is liked next."""
        record = retrieval.records[0]
        fault: Refused | None = None
        while True:
            try:
                offer = self._offer(record, known, wanted, may_single=len(numbers) == 1)
            except NotAcceptable:
                if fault is None:
                    raise
                raise fault from None
            cutter = Cutter(self._services.transcoder, record, known, offer.transfer_syntax, who)
            if not cutter.is_encoding:
                return offer, cutter
            try:
                with retrieval.open(record) as reader:
                    cutter.begin(self._source(reader, record), numbers[0] - 1)
            except Refused as error:
                fault = error
                others = tuple(each for each in known.encoded if each != offer.transfer_syntax)
                known = replace(known, encoded=others)
            else:
                return offer, cutter

    def _single(self, retrieval: Retrieval, cutter: "Cutter", number: int) -> Blocks:
        with retrieval.open(cutter.record) as reader:
            source = self._source(reader, cutter.record)
            for piece, block in enumerate(cutter.cut(source, number - 1)):
                retrieval.read((cutter.record,), len(block), goes_on=piece > 0)
                yield Pause(retrieval.take_delay())
                yield from self._holding.pieces(block)

    def _related(
        self,
        retrieval: Retrieval,
        cutter: "Cutter",
        numbers: list[int],
        writer: MultipartWriter,
        offer: Offer,
        location: str,
    ) -> Blocks:
        with retrieval.open(cutter.record) as reader:
            source = self._source(reader, cutter.record)
            for number in numbers:
                head = self._head(writer, offer, location, number)
                for piece, block in enumerate(cutter.cut(source, number - 1)):
                    retrieval.read((cutter.record,), len(block), goes_on=piece > 0)
                    yield Pause(retrieval.take_delay())
                    if head:
                        yield head
                        head = b""
                    yield from self._holding.pieces(block)
        yield writer.end()

    def _source(self, reader: Reader, record: InstanceRecord) -> ReadAt:
        return plain(reader, record.transfer_syntax_uid, self._limits)


class Cutter:
    """Cuts frames out of one instance, in one transfer syntax.

    Parameters
    ----------
    transcoder : Transcoder
        Decodes and encodes.
    record : InstanceRecord
        The instance.
    known : Known
        What is known of it; with a table.
    transfer_syntax_uid : str
        What frames are given in.
    who : str
        On whose behalf, for the workers' turns.
    """

    __slots__ = ("_begun", "_known", "_syntax", "_transcoder", "_who", "record")

    def __init__(
        self, transcoder: Transcoder, record: InstanceRecord, known: Known, transfer_syntax_uid: str, who: str
    ) -> None:
        self._transcoder = transcoder
        self.record = record
        self._known = known
        self._syntax = transfer_syntax_uid
        self._who = who
        self._begun: tuple[int, bytes] | None = None

    @property
    def is_encoding(self) -> bool:
        """Whether frames are encoded."""
        return self._syntax in uids.ENCODED and self._syntax != self.record.transfer_syntax_uid

    def begin(self, source: ReadAt, index: int) -> None:
        """Make a frame, which ``cut`` gives then, before anything was said of it."""
        self._begun = index, b"".join(self.cut(source, index))

    def as_it_lies(self, index: int) -> list[tuple[int, int]] | None:
        """Give where the bytes of a frame are that leave as they are and are not many; None where that is not so."""
        table, stored = self._known.table, self.record.transfer_syntax_uid
        if table is None or stored in uids.DEFLATED or index >= _count(table):
            return None
        # How many they are is asked first: a list of very many would keep everybody waiting.
        if not self._leaves_untouched(table) or not 0 < table.count_of(index) <= _MOST_PARTS:
            return None
        parts = table.parts(index)
        return parts if sum(length for _, length in parts) <= _PIECE else None

    def _leaves_untouched(self, table: FrameTable) -> bool:
        """Tell whether frames leave as their bytes lie."""
        if table.layout is not Layout.NATIVE:
            return self._syntax == self.record.transfer_syntax_uid
        return not self.is_encoding and lies_as_it_leaves(table, self._known.word)

    def cut(self, source: ReadAt, index: int) -> Iterable[bytes]:
        """Give the bytes of a frame, counted from 0, in one or several blocks."""
        table, stored = self._known.table, self.record.transfer_syntax_uid
        if table is None:
            raise NotHere("The instance has no frames.")
        if self._begun is not None and self._begun[0] == index:
            begun, self._begun = self._begun[1], None
            return (begun,)
        parts = table.parts(index)
        if self._leaves_untouched(table):
            return _pieces(source, parts)
        if table.layout is Layout.NATIVE:
            if not self.is_encoding:
                return native_frame(source, table, index, self._known.word)
            if sum(length for _, length in parts) > _LARGEST:
                raise Refused(Full(f"The frame is larger than {_LARGEST >> 20} MiB."))
            frame = b"".join(native_frame(source, table, index, self._known.word))
        else:
            frame = b"".join([_exactly(source, *part) for part in parts])
        shape = self._known.shape
        if shape is None:
            raise BadInput("Rows, Columns or Bits Allocated are missing or impossible: the image cannot be decoded.")
        try:
            if self.is_encoding:
                plane = self._known.is_by_plane
                from_ts = _EXPLICIT if table.layout is Layout.NATIVE else stored
                encoded = self._transcoder.encode_frame(
                    frame, from_ts, self._syntax, shape, is_by_plane=plane, who=self._who
                )
                return (encoded,)
            return (self._transcoder.decode_frame(frame, stored, shape, self._who).data,)
        except (BadInput, Full, Unsupported) as error:
            raise Refused(error) from None


def _pieces(source: ReadAt, parts: list[tuple[int, int]]) -> Iterator[bytes]:
    """Give fragments piece by piece, so that a video is not held in memory."""
    if sum(length for _, length in parts) <= _PIECE:
        yield b"".join([_exactly(source, *part) for part in parts])
        return
    for offset, length in parts:
        for start in range(offset, offset + length, _PIECE):
            yield _exactly(source, start, min(_PIECE, offset + length - start))


def _exactly(source: ReadAt, offset: int, length: int) -> bytes:
    data = source.read_at(offset, length)
    if len(data) < length:
        raise BadInput("The pixel data is shorter than its frames: damaged.")
    return data


def routes(services: Services) -> list[Route]:
    """Give the routes of frames."""
    frames = Frames(services)
    return [
        Route(
            f"{INSTANCE}/frames/{{frames}}",
            ("GET",),
            frames.answer,
            summary="Frames of an instance, uncompressed or as stored.",
        )
    ]
