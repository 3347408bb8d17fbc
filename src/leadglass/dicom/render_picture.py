"""From gray or RGB as large as the image to an encoded picture: region, size, text, file format. In a render worker.

Rule: the picture keeps the image's shape, on square pixels; text stands on the picture, never in its place.
"""

import io
from functools import cache, lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from leadglass.dicom.render_gray import Bytes8
from leadglass.dicom.render_icc import managed
from leadglass.dicom.render_model import PictureFormat, RenderJob, Viewport, Wish, WishFault

_LONGEST_SIDE: Final = 65_500
"""Pixels: what JPEG and GIF can say."""
_SMALLEST_TEXT: Final = 9
_LARGEST_TEXT: Final = 48
_LINES_IN_HEIGHT: Final = 32
_FULL_CHROMA: Final = 85
"""Quality from which JPEG keeps all color; below, it is halved."""
_PNG_EFFORT: Final = 2
_MISSING: Final = "\N{WHITE SQUARE}"
_LONGEST_LINE: Final = 100


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
    right = viewport.x + abs(viewport.region_width) if viewport.region_width is not None else float(width)
    bottom = viewport.y + abs(viewport.region_height) if viewport.region_height is not None else float(height)
    if not 0 <= viewport.x < right <= width or not 0 <= viewport.y < bottom <= height:
        raise WishFault(f"viewport: the region is not within the image, which has {width} x {height} pixels.")
    return viewport.x, viewport.y, right, bottom


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


# --- text ---------------------------------------------------------------------


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def _has(character: str) -> bool:
    """Say whether the font has a character: one that it lacks looks like one that nobody has."""
    return character == " " or _drawn(character) != _drawn("\U0010fffd")


@lru_cache(maxsize=4096)
def _drawn(character: str) -> bytes:
    image = Image.new("L", (2 * _LARGEST_TEXT, 2 * _LARGEST_TEXT))
    ImageDraw.Draw(image).text((0, 0), character, fill=255, font=_font(_LARGEST_TEXT))
    return image.tobytes()


def drawable(text: str) -> str:
    """Give the text with a square for each character that the font lacks."""
    return "".join(each if _has(each) else _MISSING for each in text[:_LONGEST_LINE])


def annotated(image: Image.Image, lines: tuple[str, ...]) -> Image.Image:
    """Draw lines into the upper left corner: white on a dark rim, to be read on any picture."""
    if not lines:
        return image
    size = min(max(image.height // _LINES_IN_HEIGHT, _SMALLEST_TEXT), _LARGEST_TEXT)
    font, draw = _font(size), ImageDraw.Draw(image)
    white, black = (255, 0) if image.mode == "L" else ((255, 255, 255), (0, 0, 0))
    rim = max(1, size // 10)
    place = float(rim + 2)
    for line in lines:
        _draw_line(draw, (rim + 2.0, place), drawable(line), font, white, black, rim)
        place += size * 1.25
    return image


def _draw_line(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    line: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    white: int | tuple[int, int, int],
    black: int | tuple[int, int, int],
    rim: int,
) -> None:
    """Draw a line; squares are drawn by hand, since the font may lack that sign too."""
    x, y = at
    for part in _parts(line):
        if part != _MISSING:
            draw.text((x, y), part, fill=white, font=font, stroke_width=rim, stroke_fill=black)
            x += draw.textlength(part, font)
            continue
        left, top, right, bottom = draw.textbbox((x, y), "H", font)
        draw.rectangle((left - rim, top - rim, right + rim, bottom + rim), fill=black)
        draw.rectangle((left, top, right, bottom), outline=white)
        x = right + 2.0 * rim


def _parts(line: str) -> list[str]:
    parts: list[str] = []
    for character in line:
        if character == _MISSING or not parts or parts[-1] == _MISSING:
            parts.append(character)
        else:
            parts[-1] += character
    return parts


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
