"""Renderer: pictures of stored frames, made in worker processes that may be killed.

Rule: no frame is decoded in this process, only the bytes of the frames that are
shown are read, and what a picture may cost is known before a worker hears of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import msgspec

from leadglass.dicom import tags, uids
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.inflate import plain
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes
from leadglass.dicom.render_model import (
    WISH,
    FramePart,
    PictureFormat,
    Pixels,
    RenderAnswer,
    RenderJob,
    Wish,
    WishFault,
)
from leadglass.dicom.render_read import ImageReader, number, numbers
from leadglass.dicom.source import ReadAt
from leadglass.dicom.worker_pool import WorkerPool
from leadglass.errors import BadInput, Corrupt, Full, Unsupported

_ANSWER: Final = 64 << 10
_PIECE: Final = 1 << 20
"""Bytes of a frame that are read at once."""
_SHORTEST_DELAY: Final = 20
"""Milliseconds: browsers show what is faster at a tenth of its speed."""
_LONGEST_DELAY: Final = 10_000
_USUAL_DELAY: Final = 66


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored image to make pictures of.

    Parameters
    ----------
    attributes : Attributes
        As the caller may see them.
    transfer_syntax_uid : str
        As stored.
    source : ReadAt
        The data set as stored.
    frames : FrameTable or None
        Where its frames are.
    """

    attributes: Attributes
    transfer_syntax_uid: str
    source: ReadAt
    frames: FrameTable | None


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture."""

    data: bytes
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """What one picture may cost.

    Parameters
    ----------
    samples : int
        Rows x Columns x Samples per Pixel of one frame. 128 Mi: three times the
        largest mammogram, color; a slide is stored in tiles.
    side : int
        Longest side of a viewport, in pixels. 8,192: twice the best display.
    cine_frames : int
        Frames of a cine. 600: ten seconds at 60 a second.
    cine_samples : int
        Samples of all frames of a cine, decoded. 256 Mi.
    frame_bytes : int
        Bytes of the frames as stored. 512 MiB.
    """

    samples: int = 128 << 20
    side: int = 8192
    cine_frames: int = 600
    cine_samples: int = 256 << 20
    frame_bytes: int = 512 << 20


class Renderer:
    """Makes pictures with a pool of worker processes. Safe for threads.

    Parameters
    ----------
    workers : int
        How many may run at once. 2: one for each core of the reference machine.
    deadline : float
        Seconds for one picture, waiting included. 30.
    memory_bytes : int
        Address space of a worker. 4 GiB.
    limits : RenderLimits
        What one picture may cost.
    reading : Limits
        What reading a deflated data set may cost.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        deadline: float = 30.0,
        memory_bytes: int = 4 << 30,
        limits: RenderLimits | None = None,
        reading: Limits | None = None,
    ) -> None:
        self.workers = workers
        self.limits = limits if limits is not None else RenderLimits()
        self._reading = reading if reading is not None else Limits()
        self._pool = WorkerPool(
            "leadglass.dicom.render_worker",
            workers=workers,
            deadline=deadline,
            memory_bytes=memory_bytes,
            most_bytes=self.limits.samples * 4 + _ANSWER,
        )

    def render(
        self, image: Stored, frame_indices: Sequence[int], wish: Wish, lines: tuple[str, ...] = (), who: str = ""
    ) -> Picture:
        """Make one picture (blocking).

        Parameters
        ----------
        image : Stored
            What to show.
        frame_indices : sequence of int
            Counted from 0; several give a cine, which only a GIF can hold.
        wish : Wish
            How to show it.
        lines : tuple of str
            Text to draw.
        who : str
            On whose behalf, for fair turns.

        Raises
        ------
        WishFault
            When the wish does not fit the image, or is more than is done.
        BadInput
            When it is no image, or damaged.
        NotHere
            When there is no such frame.
        Unsupported
            When it cannot be shown: a video, a color model without a way to RGB.
        Full
            When it is larger than what is rendered.
        Busy
            When it took longer than the deadline.
        """
        job, blocks = self.job(image, frame_indices, wish, lines)
        try:
            order = msgspec.msgpack.encode(job)
        except OverflowError:
            raise BadInput("An attribute of the image is a number larger than any can be: it is damaged.") from None
        head, data = self._pool.run(order, blocks, who)
        answer = _answer(head)
        if answer.fault:
            kinds = {WISH: WishFault, Unsupported.kind.value: Unsupported}
            raise kinds.get(answer.fault, BadInput)(answer.message)
        return Picture(data, wish.format.value, answer.width, answer.height)

    def job(
        self, image: Stored, frame_indices: Sequence[int], wish: Wish, lines: tuple[str, ...] = ()
    ) -> tuple[RenderJob, Iterator[bytes]]:
        """Say what a worker has to do, and give the bytes of its frames, in pieces; raises as ``render``."""
        if not frame_indices or (len(frame_indices) > 1 and wish.format is not PictureFormat.GIF):
            raise WishFault("One picture shows one frame; several frames need image/gif or multipart/related.")
        source = cache(lambda: self._source(image))  # inflating costs seconds: not for what is too large anyway
        reader = ImageReader(image.attributes, image.transfer_syntax_uid, source)
        pixels = reader.pixels()
        self._check(pixels, len(frame_indices), wish)
        if image.frames is None:
            raise BadInput("The frames of the pixel data cannot be told apart: it cannot be rendered.")
        if image.frames.layout is Layout.STREAM:
            raise Unsupported("The image is a video: its frames cannot be rendered. Retrieve it as it is.")
        table = image.frames
        places = [_place(table, index, pixels) for index in frame_indices]
        parts = [place for place, _ in places]
        if sum(length for each in parts for _, length in each) > self.limits.frame_bytes:
            raise Full(f"The frames are larger than {self.limits.frame_bytes >> 20} MiB, the most that is rendered.")
        job = RenderJob(
            pixels=pixels,
            frames=tuple(
                FramePart(
                    length=sum(length for _, length in each),
                    bit_offset=bit_offset,
                    gray=reader.gray(index, pixels),
                )
                for index, (each, bit_offset) in zip(frame_indices, places, strict=True)
            ),
            wish=wish,
            palette=reader.palette(pixels.photometric),
            aspect=reader.aspect(),
            span=reader.span(),
            icc_profile=reader.icc_profile() if wish.icc.value != "no" else b"",
            lines=lines,
            delays=delays(image.attributes, len(frame_indices)) if len(frame_indices) > 1 else (),
        )
        return job, (piece for each in parts for part in each for piece in _pieces(source(), *part))

    def close(self) -> None:
        """End the workers; pictures under way fail with ``Busy`` or ``BadInput``."""
        self._pool.close()

    def _source(self, image: Stored) -> ReadAt:
        if image.transfer_syntax_uid not in uids.DEFLATED:
            return image.source
        return plain(image.source, image.transfer_syntax_uid, self._reading)

    def _check(self, pixels: Pixels, frames: int, wish: Wish) -> None:
        limits = self.limits
        if pixels.frame_samples > limits.samples:
            raise Full(
                f"A frame has {pixels.rows} x {pixels.columns} pixels of {pixels.samples} samples, more than the"
                f" {limits.samples} that are rendered. Retrieve it as it is."
            )
        if frames > 1 and (frames > limits.cine_frames or frames * pixels.frame_samples > limits.cine_samples):
            raise WishFault(
                f"A cine has at most {limits.cine_frames} frames and {limits.cine_samples >> 20} Mi samples:"
                " ask for fewer frames (frames/1,2,3/rendered)."
            )
        if wish.viewport is not None and max(wish.viewport.width, wish.viewport.height) > limits.side:
            raise WishFault(f"viewport: a side of more than {limits.side} pixels is not rendered.")


def _place(table: FrameTable, index: int, pixels: Pixels) -> tuple[list[tuple[int, int]], int]:
    """Give the parts of a frame, and bits to skip; where bytes lie in turned words, whole words."""
    if table.layout is not Layout.NATIVE:
        return table.parts(index), 0
    ((offset, length),) = table.parts(index)
    bit_offset = table.bit_offset(index)
    if pixels.word != 2 or pixels.allocated > 8:
        return [(offset, length)], bit_offset
    early = (offset - table.start) % 2
    return [(offset - early, length + early + (length + early) % 2)], bit_offset + 8 * early


def _pieces(source: ReadAt, offset: int, length: int) -> Iterator[bytes]:
    """Give a part of a frame piece by piece, so that no large frame is held in this process."""
    end = offset + length
    while offset < end:
        piece = source.read_at(offset, min(_PIECE, end - offset))
        if not piece:
            raise Corrupt("A stored object is shorter than its index says. Run: leadglass fsck")
        offset += len(piece)
        yield piece


@lru_cache(maxsize=1)
def _decoder() -> msgspec.msgpack.Decoder[RenderAnswer]:
    return msgspec.msgpack.Decoder(RenderAnswer)


def _answer(head: bytes) -> RenderAnswer:
    try:
        return _decoder().decode(head)
    except msgspec.DecodeError:
        raise BadInput("The decoder did not answer as it should: the pixel data is damaged.") from None


def delays(attributes: Attributes, frames: int) -> tuple[int, ...]:
    """Give the milliseconds that each frame of a cine is shown (PS3.3 C.7.6.5, C.7.6.15).

    Parameters
    ----------
    attributes : Attributes
        Frame Time Vector, Frame Time, Recommended Display Frame Rate and Cine
        Rate are looked for, in this order; 15 frames a second without any.
    frames : int
        How many are shown.
    """
    vector = [each for each in numbers(attributes, tags.FrameTimeVector)[1:] if each is not None]
    if len(vector) >= frames - 1 > 0:
        return tuple(_bounded(each) for each in [*vector[: frames - 1], vector[frames - 2]])
    time = number(attributes, tags.FrameTime)
    for rate in (number(attributes, tags.RecommendedDisplayFrameRate), number(attributes, tags.CineRate)):
        if (time is None or time <= 0) and rate is not None and rate > 0:
            time = 1000.0 / rate
    return (_bounded(time if time is not None and time > 0 else _USUAL_DELAY),) * frames


def _bounded(milliseconds: float) -> int:
    return round(min(max(milliseconds, _SHORTEST_DELAY), _LONGEST_DELAY))
