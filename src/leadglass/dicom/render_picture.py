"""From gray or RGB as large as the image to an encoded picture: region, size, file format. In a render worker.

Rule: the picture keeps the image's shape, on square pixels, and shows nothing from beside its region.
"""

import io
from math import ceil, floor
from typing import Final

import numpy as np
from PIL import Image

from leadglass.dicom.render_gray import Bytes8
from leadglass.dicom.render_icc import managed
from leadglass.dicom.render_model import PictureFormat, RenderJob, Viewport, Wish, WishFault

_LONGEST_SIDE: Final = 65_500
"""Pixels: what JPEG and GIF can say."""
_FULL_CHROMA: Final = 85
"""Quality from which JPEG keeps all color; below, it is halved."""
_PNG_EFFORT: Final = 2


def framed(pixels: Bytes8, job: RenderJob) -> Image.Image:
    """Cut the region out, mirror it, and bring it to its size.

    Raises
    ------
    WishFault
        When the region is not within the image.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    viewport = job.wish.viewport
    left, top, right, bottom = 0.0, 0.0, float(image.width), float(image.height)
    if viewport is not None:
        left, top, right, bottom = _region(viewport, image.width, image.height)
    width, height = _size(right - left, bottom - top, job)
    box = floor(left), floor(top), ceil(right), ceil(bottom)
    if box != (0, 0, *image.size):  # cut first: what is beside the region must not be mixed in
        image = image.crop(box)
        left, top, right, bottom = left - box[0], top - box[1], right - box[0], bottom - box[1]
    if (width, height) != image.size or (left, top, right, bottom) != (0, 0, *image.size):
        is_smaller = width < right - left or height < bottom - top
        method = Image.Resampling.LANCZOS if is_smaller else Image.Resampling.BICUBIC
        image = image.resize((width, height), method, box=(left, top, right, bottom), reducing_gap=3.0)
    if viewport is not None and viewport.region_width is not None and viewport.region_width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if viewport is not None and viewport.region_height is not None and viewport.region_height < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image


def _region(viewport: Viewport, width: int, height: int) -> tuple[float, float, float, float]:
    if viewport.is_relative:
        return _relative(viewport, width, height)
    right = viewport.x + abs(viewport.region_width) if viewport.region_width is not None else float(width)
    bottom = viewport.y + abs(viewport.region_height) if viewport.region_height is not None else float(height)
    if not 0 <= viewport.x < right <= width or not 0 <= viewport.y < bottom <= height:
        raise WishFault(f"viewport: the region is not within the image, which has {width} x {height} pixels.")
    return viewport.x, viewport.y, right, bottom


def _relative(viewport: Viewport, width: int, height: int) -> tuple[float, float, float, float]:
    """Give a region said in parts of the image, at least one pixel of it."""
    left, top = min(viewport.x * width, width - 1.0), min(viewport.y * height, height - 1.0)
    right = (viewport.x + (viewport.region_width or 1.0)) * width
    bottom = (viewport.y + (viewport.region_height or 1.0)) * height
    return left, top, min(max(right, left + 1.0), float(width)), min(max(bottom, top + 1.0), float(height))


def _size(width: float, height: float, job: RenderJob) -> tuple[int, int]:
    """Give the size of the picture: on square pixels, and as large as fits where a viewport is asked for."""
    width, height = (width, height * job.aspect) if job.aspect > 1 else (width / job.aspect, height)
    viewport = job.wish.viewport
    if viewport is not None:
        scale = min(viewport.width / width, viewport.height / height)
        if job.wish.is_thumbnail:
            scale = min(scale, 1.0)
        width, height = width * scale, height * scale
    size = max(1, round(width)), max(1, round(height))
    if max(size) > _LONGEST_SIDE:
        raise WishFault(f"viewport: the picture would be larger than {_LONGEST_SIDE} pixels. Ask for a smaller one.")
    return size


# --- files --------------------------------------------------------------------


def encoded(images: list[Image.Image], job: RenderJob) -> bytes:
    """Encode one picture, or several as a cine."""
    wish, out = job.wish, io.BytesIO()
    first, profile = managed(images[0], job.icc_profile, wish.icc)
    match wish.format:
        case PictureFormat.JPEG:
            _save_jpeg(first, wish, profile, out)
        case PictureFormat.PNG:
            more = {"icc_profile": profile} if profile else {}
            first.save(out, "PNG", compress_level=_PNG_EFFORT, **more)
        case PictureFormat.GIF:
            rest = [managed(image, job.icc_profile, wish.icc)[0] for image in images[1:]]
            _save_gif([first, *rest], job.delays, out)
    return out.getvalue()


def _save_jpeg(image: Image.Image, wish: Wish, profile: bytes, out: io.BytesIO) -> None:
    sampling = 0 if wish.quality >= _FULL_CHROMA else 2
    if profile:
        image.save(out, "JPEG", quality=wish.quality, subsampling=sampling, icc_profile=profile)
    else:
        image.save(out, "JPEG", quality=wish.quality, subsampling=sampling)


def _save_gif(images: list[Image.Image], delays: tuple[int, ...], out: io.BytesIO) -> None:
    if len(images) == 1:
        images[0].save(out, "GIF")
        return
    images[0].save(
        out,
        "GIF",
        save_all=True,
        append_images=images[1:],
        duration=list(delays[: len(images)]) or 100,
        loop=0,
        disposal=1,
    )
