"""Text on a picture, drawn with the fonts that the machine has. Runs in a render worker.

Rule: text stands on the picture, never in its place; a character that no font
has is a square, so that nobody takes what is left for the whole.
"""

from functools import cache, lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SMALLEST: Final = 9
_LARGEST: Final = 48
_LINES_IN_HEIGHT: Final = 32
_LONGEST_LINE: Final = 100
_MISSING: Final = "\N{WHITE SQUARE}"
_NOBODY_HAS: Final = "\U0010fffd"
_FONTS: Final = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "Arial.ttf",
    "",
)
"""Files that are looked for where systems keep fonts; the last is Pillow's own, which has the letters of English."""


@cache
def _font(name: str, size: int) -> Font | None:
    """Give a font, None when the machine lacks it."""
    if not name:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _drawn(name: str, character: str) -> bytes:
    font = _font(name, _LARGEST)
    image = Image.new("L", (2 * _LARGEST, 2 * _LARGEST))
    if font is not None:
        ImageDraw.Draw(image).text((0, 0), character, fill=255, font=font)
    return image.tobytes()


def _has(name: str, character: str) -> bool:
    """Say whether a font has a character: one that it lacks looks like one that nobody has."""
    return character == " " or _drawn(name, character) != _drawn(name, _NOBODY_HAS)


def drawable(text: str) -> tuple[str, str]:
    """Give the font that has most of a text, and the text with a square for each character that it lacks."""
    text = text[:_LONGEST_LINE]
    name = max((each for each in _FONTS if _font(each, _LARGEST) is not None), key=lambda each: _count(each, text))
    return name, "".join(each if _has(name, each) else _MISSING for each in text)


def _count(name: str, text: str) -> int:
    return sum(_has(name, each) for each in text)


def annotated(image: Image.Image, lines: tuple[str, ...]) -> Image.Image:
    """Draw lines into the upper left corner: white on a dark rim, to be read on any picture."""
    if not lines:
        return image
    size = min(max(image.height // _LINES_IN_HEIGHT, _SMALLEST), _LARGEST)
    pen = _Pen(image, size)
    for line in lines:
        pen.write(line)
    return image


class _Pen:
    """Writes line after line.

    Parameters
    ----------
    image : Image
        What is written on.
    size : int
        Of the letters, in pixels.
    """

    def __init__(self, image: Image.Image, size: int) -> None:
        self._draw = ImageDraw.Draw(image)
        self._white, self._black = (255, 0) if image.mode == "L" else ((255, 255, 255), (0, 0, 0))
        self._size = size
        self._rim = max(1, size // 10)
        self._top = self._rim + 2.0

    def write(self, line: str) -> None:
        name, text = drawable(line)
        font = _font(name, self._size)
        left = self._rim + 2.0
        for part in _parts(text):
            left = self._square(left) if part == _MISSING else self._text(left, part, font)
        self._top += self._size * 1.25

    def _text(self, left: float, part: str, font: Font | None) -> float:
        where = (left, self._top)
        self._draw.text(where, part, fill=self._white, font=font, stroke_width=self._rim, stroke_fill=self._black)
        return left + self._draw.textlength(part, font)

    def _square(self, left: float) -> float:
        """Draw a square by hand: a font may lack that sign too."""
        rim, side = self._rim, self._size * 0.7
        top, right = self._top + self._size * 0.2, left + side
        self._draw.rectangle((left - rim, top - rim, right + rim, top + side + rim), fill=self._black)
        self._draw.rectangle((left, top, right, top + side), outline=self._white)
        return right + 2.0 * rim


def _parts(text: str) -> list[str]:
    """Part a text into squares and what is between them."""
    parts: list[str] = []
    for character in text:
        if character == _MISSING or not parts or parts[-1] == _MISSING:
            parts.append(character)
        else:
            parts[-1] += character
    return parts
