"""ICC profiles for the ``iccprofile`` query parameter (PS3.18 8.3.5.1.5). Runs in a render worker.

Rule: profiles that the Standard names are made here from their published
primaries and curves; a damaged profile of an image counts as none, that is sRGB.
"""

import io
from functools import cache
from struct import pack
from typing import Final

from PIL import Image, ImageCms

from leadglass.dicom.render_model import IccProfile

_D50: Final = (0.9642, 1.0, 0.8249)
_ADOBE: Final = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""Red, green and blue of Adobe RGB (1998) in XYZ, adapted to D50."""
_ROMM: Final = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
"""Those of ROMM RGB (ISO 22028-2), whose white is D50."""
_COLOR_SPACE: Final = slice(16, 20)
"""Where a profile's header says what color space it is of."""
_ADOBE_GAMMA: Final = 563 / 256
_ROMM_GAMMA: Final = 1.8


def _fixed(value: float) -> bytes:
    return pack(">i", round(value * 65536))


def _made(name: str, primaries: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """Make a profile of three primaries and one curve (ICC.1:2001-04)."""
    text = name.encode("ascii") + b"\0"
    described = b"desc" + bytes(4) + pack(">I", len(text)) + text + bytes(78)
    curve = b"curv" + bytes(4) + pack(">IH", 1, round(gamma * 256)) + bytes(2)
    parts = [
        (b"desc", described + bytes(-len(described) % 4)),
        (b"cprt", b"text" + bytes(4) + b"none\0\0\0\0"),
        (b"wtpt", b"XYZ " + bytes(4) + b"".join(map(_fixed, _D50))),
        *(
            (tag, b"XYZ " + bytes(4) + b"".join(map(_fixed, color)))
            for tag, color in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
        ),
        *((tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    offset = 128 + 4 + 12 * len(parts)
    table, body = pack(">I", len(parts)), b""
    for tag, data in parts:
        table += tag + pack(">II", offset + len(body), len(data))
        body += data
    head = pack(">I4xI", offset + len(body), 0x02400000) + b"mntrRGB XYZ " + pack(">6H", 2026, 1, 1, 0, 0, 0)
    head += b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + body


@cache
def profile_of(icc: IccProfile) -> bytes:
    """Give the profile that a value of the parameter names; sRGB for those that name none."""
    match icc:
        case IccProfile.ADOBE_RGB:
            return _made("Adobe RGB (1998) compatible", _ADOBE, _ADOBE_GAMMA)
        case IccProfile.ROMM_RGB:
            return _made("ROMM RGB", _ROMM, _ROMM_GAMMA)
        case _:
            made = ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            return ImageCms.ImageCmsProfile(made).tobytes()  # pyright: ignore[reportUnknownArgumentType]


def managed(image: Image.Image, own: bytes, icc: IccProfile) -> tuple[Image.Image, bytes]:
    """Give the picture in the color space that was asked for, and the profile to embed; gray is left alone.

    Parameters
    ----------
    image : Image
        In the color space of ``own``, or sRGB when that is empty.
    own : bytes
        The data set's profile.
    icc : IccProfile
        What was asked for.
    """
    if icc is IccProfile.NO or image.mode != "RGB":
        return image, b""
    source = _readable(own)
    if icc is IccProfile.YES:
        return image, source or profile_of(IccProfile.SRGB)
    target = profile_of(icc)
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(source or profile_of(IccProfile.SRGB))),
            ImageCms.ImageCmsProfile(io.BytesIO(target)),
        )
    except ImageCms.PyCMSError:
        return image, profile_of(IccProfile.SRGB)
    return (converted if converted is not None else image), target


def _readable(own: bytes) -> bytes:
    """Give a profile that can be used for RGB, empty when it cannot."""
    if not own:
        return b""
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(own))
    except (OSError, ImageCms.PyCMSError):
        return b""
    return own if own[_COLOR_SPACE] == b"RGB " else b""
