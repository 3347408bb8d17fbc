"""Render worker: makes pictures of the frames it is sent over a pipe; a process that may be killed at any moment.

Rule: it knows what ``render_model`` can say and nothing else of a patient; it
opens no file but fonts, and its memory is limited before the first frame comes.
"""

import sys
from typing import BinaryIO, Final

import msgspec
import numpy as np
from PIL import Image

from leadglass.dicom.render_color import to_rgb
from leadglass.dicom.render_gray import Bytes8, full_span, needs_span, span_of, to_gray
from leadglass.dicom.render_model import WISH, FramePart, PictureFormat, RenderAnswer, RenderJob, Span, WishFault
from leadglass.dicom.render_picture import encoded, framed
from leadglass.dicom.render_samples import Samples, samples_of
from leadglass.dicom.render_text import annotated
from leadglass.dicom.worker_pipe import limit, serve
from leadglass.errors import BadInput, LeadglassError

_GRAY: Final = ("MONOCHROME1", "MONOCHROME2")


def render(job: RenderJob, frames: list[bytes]) -> tuple[RenderAnswer, bytes]:
    """Make a picture.

    Parameters
    ----------
    job : RenderJob
        What to make.
    frames : list of bytes
        Each frame as stored.

    Raises
    ------
    BadInput
        When a frame is damaged, or the region is outside the image.
    Unsupported
        When there is no decoder, or no way to show it.
    """
    span = _common_span(job, frames) if len(frames) > 1 else None
    images: list[Image.Image] = []
    for part, data in zip(job.frames, frames, strict=True):
        samples = samples_of(data, part.bit_offset, job.pixels)
        image = annotated(framed(_shown(samples, part, job, span), job), job.lines)
        if job.wish.format is PictureFormat.GIF and image.mode == "RGB" and len(frames) > 1:
            image = image.quantize(256, Image.Quantize.FASTOCTREE)
        images.append(image)
    return RenderAnswer(images[0].width, images[0].height), encoded(images, job)


def _shown(samples: Samples, part: FramePart, job: RenderJob, span: tuple[float, float] | None) -> Bytes8:
    if samples.photometric not in _GRAY:
        return to_rgb(samples, job.palette)
    if samples.raw.ndim != 2:
        raise BadInput("Samples per Pixel does not fit the Photometric Interpretation.")
    if span is None:
        span = _span(samples, part, job)
    return to_gray(samples, part.gray, job.wish.window, span)


def _span(samples: Samples, part: FramePart, job: RenderJob) -> tuple[float, float]:
    if not needs_span(part.gray, job.wish.window):
        return 0.0, 1.0
    match job.span:
        case Span.FULL:
            return full_span(samples, part.gray)
        case Span.FROM_ZERO:
            low, high = span_of(samples, part.gray)
            return min(low, 0.0), high
        case Span.OWN:
            return span_of(samples, part.gray, job.wish.leaves_out)


def _common_span(job: RenderJob, frames: list[bytes]) -> tuple[float, float] | None:
    """Give one range for all frames of a cine, which would flicker with one for each."""
    if job.pixels.photometric not in _GRAY or not any(needs_span(part.gray, job.wish.window) for part in job.frames):
        return None
    spans = [
        _span(samples_of(data, part.bit_offset, job.pixels), part, job)
        for part, data in zip(job.frames, frames, strict=True)
    ]
    return float(np.min([low for low, _ in spans])), float(np.max([high for _, high in spans]))


def answer(header: bytes, stream: BinaryIO) -> tuple[bytes, list[bytes]]:
    """Do one job and put what came of it into words; all frames are read first, come what may, to stay in step."""
    job = msgspec.msgpack.decode(header, type=RenderJob)
    frames = [stream.read(part.length) for part in job.frames]
    picture: list[bytes] = []
    try:
        said, data = render(job, frames)
        picture.append(data)
    except WishFault as error:
        said = RenderAnswer(fault=WISH, message=error.message)
    except LeadglassError as error:
        said = RenderAnswer(fault=error.kind.value, message=error.message)
    except MemoryError:
        said = RenderAnswer(fault=BadInput.kind.value, message="The image needs more memory than a worker has.")
    except Exception as error:  # noqa: BLE001 - whatever numpy, Pillow or LittleCMS think of hostile numbers
        said = RenderAnswer(
            fault=BadInput.kind.value, message=f"The image cannot be rendered ({type(error).__name__})."
        )
    return msgspec.msgpack.encode(said), picture


def main() -> None:
    """Run as ``python -m leadglass.dicom.render_worker MEMORY_BYTES``."""
    limit(int(sys.argv[1]))
    Image.MAX_IMAGE_PIXELS = None  # pictures are only written here; what may be large was measured before
    serve(sys.stdin.buffer, sys.stdout.buffer, answer)


if __name__ == "__main__":
    main()
