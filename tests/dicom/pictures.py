"""Images made for tests of pictures, and pictures read back."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leadglass.dicom import tags, uids
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.render_model import (
    PictureFormat,
    Wish,
)
from leadglass.dicom.renderer import Picture, Stored
from leadglass.dicom.source import Bytes

EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
PNG = Wish(format=PictureFormat.PNG)
Array = NDArray[Any]


def said(vr: str, *values: Any) -> JsonElement:
    return JsonElement(vr=vr, Value=list(values))


def image(
    pixels: Array,
    photometric: str = "MONOCHROME2",
    *,
    frames: int = 1,
    also: dict[str, JsonElement] | None = None,
    **more: JsonElement,
) -> Stored:
    """Make a stored image of native pixels; ``more`` by keyword."""
    shape = list(pixels.shape)[1 if frames > 1 else 0 :]
    samples = shape[2] if len(shape) > 2 else 1
    bits = pixels.dtype.itemsize * 8
    attributes: Attributes = {
        tags.key(tags.SOPClassUID): said("UI", "1.2.840.10008.5.1.4.1.1.7"),
        tags.key(tags.Rows): said("US", shape[0]),
        tags.key(tags.Columns): said("US", shape[1]),
        tags.key(tags.SamplesPerPixel): said("US", samples),
        tags.key(tags.PhotometricInterpretation): said("CS", photometric),
        tags.key(tags.BitsAllocated): said("US", bits),
        tags.key(tags.BitsStored): said("US", bits),
        tags.key(tags.HighBit): said("US", bits - 1),
        tags.key(tags.PixelRepresentation): said("US", int(pixels.dtype.kind == "i")),
        tags.key(tags.PixelData): JsonElement(vr="OW", BulkDataURI=f"bulk:0,{pixels.nbytes}"),
    }
    more |= also or {}
    attributes |= {tags.key(getattr(tags, keyword)): element for keyword, element in more.items()}
    frame_bits = pixels.nbytes * 8 // frames
    table = FrameTable(frames, Layout.NATIVE, start=0, frame_bits=frame_bits)
    return Stored(attributes, EXPLICIT, Bytes(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()), table)


def seen(picture: Picture) -> Array:
    with Image.open(io.BytesIO(picture.data)) as opened:
        assert opened.get_format_mimetype() == picture.media_type
        assert opened.size == (picture.width, picture.height)
        return np.asarray(opened)


def inline(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


RAMP: Array = np.arange(32 * 64, dtype=np.uint16).reshape(32, 64)

SQUARES: Array = np.kron(np.array([[0, 80], [160, 255]], dtype=np.uint8), np.ones((16, 32), dtype=np.uint8))
"""Four fields of 16 x 32 pixels."""
