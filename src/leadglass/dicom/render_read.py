"""Read from attributes what presenting an image needs; pure, no pixel is touched.

Rule: what an attribute says wrongly is left out when the picture is right
without it (a window of no width), and refused when it is not (no Rows).
"""

import base64
from collections.abc import Callable
from math import isfinite
from typing import Final, cast

from leadglass.dicom import tags, uids
from leadglass.dicom.model import Attributes, JsonElement, bulk_location
from leadglass.dicom.native import pixel_word
from leadglass.dicom.render_model import Gray, Lut, Palette, Pixels, Sort, Span, VoiFunction, Window
from leadglass.dicom.source import ReadAt
from leadglass.errors import BadInput

_LONGEST_TABLE: Final = 1 << 20
"""Bytes of a lookup table: 65,536 words and as much again; segmented ones are shorter."""
_LONGEST_PROFILE: Final = 4 << 20
_GRAY: Final = ("MONOCHROME1", "MONOCHROME2")
_NO_MODALITY_LUT: Final = frozenset({"LOG", "DISP"})
"""Pixel Intensity Relationship of projections whose Modality LUT is not for display (PS3.3 C.8.7.1.1.2)."""
_PROJECTIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2"})
"""X-Ray Angiographic and X-Ray Radiofluoroscopic Image Storage."""
_SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Segmentation and Label Map Segmentation Storage."""
_SPACINGS: Final = (tags.PixelSpacing, tags.ImagerPixelSpacing, tags.NominalScannedPixelSpacing)
_SQUARE: Final = 0.02
"""Pixels that differ less than this from a square are taken for squares."""
_MOST_ASPECT: Final = 20.0


_GROUPS: Final = frozenset(
    map(
        tags.key,
        (tags.PixelValueTransformationSequence, tags.FrameVOILUTSequence, tags.PixelMeasuresSequence),
    )
)
_PRESENTATION: Final = frozenset(
    map(
        tags.key,
        (
            tags.SOPClassUID, tags.ImageType, tags.SamplesPerPixel, tags.PhotometricInterpretation,
            tags.PlanarConfiguration, tags.Rows, tags.Columns, tags.BitsAllocated, tags.BitsStored, tags.HighBit,
            tags.PixelRepresentation, tags.PixelData, tags.FloatPixelData, tags.DoubleFloatPixelData,
            tags.PixelSpacing, tags.ImagerPixelSpacing, tags.NominalScannedPixelSpacing, tags.PixelAspectRatio,
            tags.PixelPaddingValue, tags.PixelPaddingRangeLimit, tags.PixelIntensityRelationship, tags.WindowCenter,
            tags.WindowWidth, tags.VOILUTFunction, tags.RescaleSlope, tags.RescaleIntercept, tags.ModalityLUTSequence,
            tags.VOILUTSequence, tags.PresentationLUTShape, tags.ICCProfile, tags.OpticalPathSequence,
            tags.RedPaletteColorLookupTableDescriptor, tags.GreenPaletteColorLookupTableDescriptor,
            tags.BluePaletteColorLookupTableDescriptor, tags.RedPaletteColorLookupTableData,
            tags.GreenPaletteColorLookupTableData, tags.BluePaletteColorLookupTableData,
            tags.SegmentedRedPaletteColorLookupTableData, tags.SegmentedGreenPaletteColorLookupTableData,
            tags.SegmentedBluePaletteColorLookupTableData, tags.RepresentativeFrameNumber, tags.FrameTime,
            tags.FrameTimeVector, tags.CineRate, tags.RecommendedDisplayFrameRate,
        ),
    )
)  # fmt: skip
"""What ``ImageReader`` and the order and time of frames hang on."""

_WINDOWS: Final = frozenset(
    map(tags.key, (tags.WindowCenter, tags.WindowWidth, tags.VOILUTSequence, tags.FrameVOILUTSequence))
)


def texts(attributes: Attributes, tag: int) -> list[str]:
    """Give the values of an attribute as text; none when it is absent."""
    values = attributes.get(tags.key(tag), JsonElement(vr="")).get("Value", [])
    return [value if isinstance(value, str) else "" if value is None else str(value) for value in values]


def numbers(attributes: Attributes, tag: int) -> list[float | None]:
    """Give the values of an attribute as finite numbers, None for each that is none."""
    found: list[float | None] = []
    for value in attributes.get(tags.key(tag), JsonElement(vr="")).get("Value", []):
        try:
            number = float(value) if isinstance(value, str | int | float) else None
        except (ValueError, OverflowError):
            number = None
        found.append(number if number is not None and isfinite(number) else None)
    return found


def number(attributes: Attributes, tag: int) -> float | None:
    """Give the first value of an attribute as a number."""
    return next(iter(numbers(attributes, tag)), None)


def integer(attributes: Attributes, tag: int, default: int = 0) -> int:
    """Give the first value of an attribute as an integer, or a default."""
    value = number(attributes, tag)
    return int(value) if value is not None else default


def items(attributes: Attributes, tag: int) -> list[Attributes]:
    """Give the items of a sequence; none when it is absent or no sequence."""
    found = attributes.get(tags.key(tag), JsonElement(vr="")).get("Value", [])
    return [cast("Attributes", each) for each in found if isinstance(each, dict)]


def first_item(attributes: Attributes, tag: int) -> Attributes:
    """Give the first item of a sequence, empty when there is none."""
    found = items(attributes, tag)
    return found[0] if found else {}


def presentation(attributes: Attributes) -> Attributes:
    """Give of attributes what a picture hangs on, and nothing else: nothing of a patient, little of each frame."""
    found = {name: element for name, element in attributes.items() if name in _PRESENTATION}
    for tag in (tags.SharedFunctionalGroupsSequence, tags.PerFrameFunctionalGroupsSequence):
        groups = items(attributes, tag)
        if groups:
            kept = [{name: each for name, each in group.items() if name in _GROUPS} for group in groups]
            found[tags.key(tag)] = JsonElement(vr="SQ", Value=list(kept))
    return found


def without_windows(attributes: Attributes) -> Attributes:
    """Give attributes without what says how gray is to be shown, so that the values themselves do."""
    kept = {name: element for name, element in attributes.items() if name not in _WINDOWS}
    for tag in (tags.SharedFunctionalGroupsSequence, tags.PerFrameFunctionalGroupsSequence):
        groups = items(attributes, tag)
        if groups:
            without = [{name: each for name, each in group.items() if name not in _WINDOWS} for group in groups]
            kept[tags.key(tag)] = JsonElement(vr="SQ", Value=list(without))
    return kept


class ImageReader:
    """One image's attributes, and what of them a picture is made from.

    Parameters
    ----------
    attributes : Attributes
        Of the instance.
    transfer_syntax_uid : str
        Of the instance as stored.
    source : callable
        Gives the (inflated) data set, for values that were left where they are;
        not called when there are none.
    """

    __slots__ = ("_source", "_transfer_syntax_uid", "attributes")

    def __init__(self, attributes: Attributes, transfer_syntax_uid: str, source: Callable[[], ReadAt]) -> None:
        self.attributes = attributes
        self._transfer_syntax_uid = transfer_syntax_uid
        self._source = source

    # --- the image ------------------------------------------------------------

    def pixels(self) -> Pixels:
        """Describe the frames.

        Raises
        ------
        BadInput
            When the attributes describe no image.
        """
        sort, element = self._pixel_element()
        allocated = {Sort.FLOAT: 32, Sort.DOUBLE: 64}.get(sort) or self._whole(tags.BitsAllocated)
        stored = allocated if sort is not Sort.INTEGER else self._whole(tags.BitsStored, allocated)
        photometric = next(iter(texts(self.attributes, tags.PhotometricInterpretation)), "").strip().upper()
        samples = self._whole(tags.SamplesPerPixel, 1)
        pixels = Pixels(
            transfer_syntax_uid=self._transfer_syntax_uid,
            rows=self._whole(tags.Rows),
            columns=self._whole(tags.Columns),
            samples=samples,
            allocated=allocated,
            stored=stored,
            high_bit=self._whole(tags.HighBit, stored - 1),
            is_signed=self._whole(tags.PixelRepresentation, 0) == 1,
            photometric=photometric or ("MONOCHROME2" if samples == 1 else "RGB"),
            planar=self._whole(tags.PlanarConfiguration, 0),
            sort=sort,
            word=self._word(element, allocated),
        )
        _check(pixels)
        return pixels

    def _pixel_element(self) -> tuple[Sort, JsonElement]:
        for sort, tag in (
            (Sort.INTEGER, tags.PixelData),
            (Sort.FLOAT, tags.FloatPixelData),
            (Sort.DOUBLE, tags.DoubleFloatPixelData),
        ):
            element = self.attributes.get(tags.key(tag))
            if element is not None:
                return sort, element
        raise BadInput("The instance has no pixel data: there is nothing to render.")

    def _word(self, element: JsonElement, allocated: int) -> int:
        """Give the bytes of a word whose order is turned: in Big Endian, OW turns bytes of 8-bit samples too."""
        if self._transfer_syntax_uid != uids.EXPLICIT_VR_BIG_ENDIAN:
            return 1
        return pixel_word(element["vr"], allocated)

    def _whole(self, tag: int, default: int = -1) -> int:
        return integer(self.attributes, tag, default)

    def span(self) -> Span:
        """Say what is black and what white without a window: pictures of 8 bits mean what they are."""
        if next(iter(texts(self.attributes, tags.SOPClassUID)), "") in _SEGMENTATIONS:
            return Span.FROM_ZERO
        return Span.FULL if self._whole(tags.BitsStored, 16) <= 8 else Span.OWN

    def aspect(self) -> float:
        """Give the height of a pixel divided by its width (PS3.3 C.7.6.3.1.7), 1 where nothing sensible is said."""
        pair = numbers(self.attributes, tags.PixelAspectRatio)
        for tag in _SPACINGS:
            if len(pair) < 2:
                pair = numbers(self.attributes, tag)
        if len(pair) < 2:
            shared = first_item(self.attributes, tags.SharedFunctionalGroupsSequence)
            pair = numbers(first_item(shared, tags.PixelMeasuresSequence), tags.PixelSpacing)
        if len(pair) < 2 or pair[0] is None or pair[1] is None or pair[0] <= 0 or pair[1] <= 0:
            return 1.0
        aspect = pair[0] / pair[1]
        is_odd = abs(aspect - 1) < _SQUARE or not 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT
        return 1.0 if is_odd else aspect

    def palette(self, photometric: str) -> Palette | None:
        """Give the palette of a PALETTE COLOR image.

        Raises
        ------
        BadInput
            When it should have one and has none that can be used.
        """
        if photometric != "PALETTE COLOR":
            return None
        red, green, blue = (
            self._palette_lut(*three)
            for three in (
                (
                    tags.RedPaletteColorLookupTableDescriptor,
                    tags.RedPaletteColorLookupTableData,
                    tags.SegmentedRedPaletteColorLookupTableData,
                ),
                (
                    tags.GreenPaletteColorLookupTableDescriptor,
                    tags.GreenPaletteColorLookupTableData,
                    tags.SegmentedGreenPaletteColorLookupTableData,
                ),
                (
                    tags.BluePaletteColorLookupTableDescriptor,
                    tags.BluePaletteColorLookupTableData,
                    tags.SegmentedBluePaletteColorLookupTableData,
                ),
            )
        )
        if red is None or green is None or blue is None:
            raise BadInput("The image is PALETTE COLOR and its palette is missing or damaged.")
        return Palette(red, green, blue)

    def _palette_lut(self, descriptor: int, data: int, segmented: int) -> Lut | None:
        plain = self._lut(self.attributes, descriptor, data)
        return plain or self._lut(self.attributes, descriptor, segmented, is_segmented=True)

    def icc_profile(self) -> bytes:
        """Give the ICC profile, that of the first optical path too; empty when there is none."""
        for holder in (self.attributes, first_item(self.attributes, tags.OpticalPathSequence)):
            element = holder.get(tags.key(tags.ICCProfile))
            if element is not None:
                return self._binary(element, _LONGEST_PROFILE, word=1)
        return b""

    # --- gray -----------------------------------------------------------------

    def gray(self, frame_index: int, pixels: Pixels) -> Gray:
        """Say how one frame becomes gray.

        Parameters
        ----------
        frame_index : int
            Counted from 0; an enhanced multi-frame may say something of its own for each.
        pixels : Pixels
            From ``pixels``.
        """
        if pixels.photometric not in _GRAY:
            return Gray()
        transform = self._group(frame_index, tags.PixelValueTransformationSequence, tags.RescaleSlope)
        presenting = self._group(frame_index, tags.FrameVOILUTSequence, tags.WindowCenter)
        slope, intercept = number(transform, tags.RescaleSlope), number(transform, tags.RescaleIntercept)
        lut_item = first_item(self.attributes, tags.ModalityLUTSequence)
        return Gray(
            slope=slope or 1.0,
            intercept=intercept if intercept is not None else 0.0,
            modality=self._table(lut_item) if self._shows_modality_lut() else None,
            window=_window(presenting),
            voi=self._table(first_item(presenting, tags.VOILUTSequence)),
            padding=self._padding(pixels),
            is_inverted=self._is_inverted(pixels.photometric),
        )

    def has_window(self, frame_index: int) -> bool:
        """Say whether a window or a table tells how gray is to be shown, of a frame counted from 0."""
        presenting = self._group(frame_index, tags.FrameVOILUTSequence, tags.WindowCenter)
        return _window(presenting) is not None or bool(first_item(presenting, tags.VOILUTSequence))

    def _group(self, frame_index: int, sequence: int, needed: int) -> Attributes:
        """Give a functional group's item: of the frame, else shared, else the data set itself (PS3.3 C.7.6.16)."""
        per_frame = items(self.attributes, tags.PerFrameFunctionalGroupsSequence)
        own = per_frame[frame_index] if frame_index < len(per_frame) else {}
        for holder in (own, first_item(self.attributes, tags.SharedFunctionalGroupsSequence)):
            found = first_item(holder, sequence)
            if tags.key(needed) in found:
                return found
        return self.attributes

    def _shows_modality_lut(self) -> bool:
        sop_class_uid = next(iter(texts(self.attributes, tags.SOPClassUID)), "")
        relationship = next(iter(texts(self.attributes, tags.PixelIntensityRelationship)), "")
        return sop_class_uid not in _PROJECTIONS or relationship not in _NO_MODALITY_LUT

    def _is_inverted(self, photometric: str) -> bool:
        shape = next(iter(texts(self.attributes, tags.PresentationLUTShape)), "")
        return photometric == "MONOCHROME1" or shape == "INVERSE"

    def _padding(self, pixels: Pixels) -> tuple[float, float] | None:
        """Give the range of Pixel Padding Value (PS3.3 C.7.5.1.1.2), read with the sign that the pixels have."""
        ends = [number(self.attributes, tag) for tag in (tags.PixelPaddingValue, tags.PixelPaddingRangeLimit)]
        value = ends[0]
        if value is None:
            return None
        limit = ends[1] if ends[1] is not None else value
        low, high = sorted(_signed(end, pixels) for end in (value, limit))
        return low, high

    def _table(self, item: Attributes) -> Lut | None:
        return self._lut(item, tags.LUTDescriptor, tags.LUTData)

    # --- values ---------------------------------------------------------------

    def _lut(self, holder: Attributes, descriptor: int, data: int, *, is_segmented: bool = False) -> Lut | None:
        """Give a table, None when it is absent or has nothing in it."""
        said = numbers(holder, descriptor)
        element = holder.get(tags.key(data))
        if len(said) < 3 or element is None or said[0] is None or said[1] is None or said[2] is None:
            return None
        raw = self._binary(element, _LONGEST_TABLE, word=2)
        if not raw:
            return None
        return Lut(int(said[0]) & 0xFFFF or 1 << 16, int(said[1]), int(said[2]), raw, is_segmented)

    def _binary(self, element: JsonElement, most: int, *, word: int) -> bytes:
        """Give a binary value as Little Endian, wherever it is; empty when it is longer than allowed."""
        if "InlineBinary" in element:
            return base64.b64decode(element["InlineBinary"])
        location = bulk_location(element.get("BulkDataURI", ""))
        if location is not None:
            if location[1] > most:
                return b""
            raw = self._source().read_at(*location)
            if word == 2 and self._transfer_syntax_uid == uids.EXPLICIT_VR_BIG_ENDIAN:
                raw = raw[: len(raw) & ~1]
                swapped = bytearray(raw)
                swapped[0::2], swapped[1::2] = raw[1::2], raw[0::2]
                return bytes(swapped)
            return raw
        values = element.get("Value", [])
        return b"".join((value & 0xFFFF).to_bytes(2, "little") for value in values if isinstance(value, int))


def _check(pixels: Pixels) -> None:
    if pixels.rows < 1 or pixels.columns < 1:
        raise BadInput("Rows or Columns are missing or impossible: there is nothing to render.")
    if pixels.samples not in (1, 3):
        raise BadInput("Samples per Pixel is neither 1 nor 3: the image cannot be rendered.")
    if pixels.allocated not in (1, 8, 16, 32, 64):
        raise BadInput("Bits Allocated is missing, or none that an image can be rendered from.")
    if not 1 <= pixels.stored <= pixels.allocated or not pixels.stored - 1 <= pixels.high_bit < pixels.allocated:
        raise BadInput("Bits Stored and High Bit do not fit into Bits Allocated: the image cannot be rendered.")


def _signed(value: float, pixels: Pixels) -> float:
    """Read a value that was written as unsigned as one of signed pixels, and the other way round."""
    full = 1 << pixels.stored
    if pixels.is_signed and value >= full >> 1:
        return value - full
    if not pixels.is_signed and value < 0:
        return value + full
    return value


def _window(attributes: Attributes) -> Window | None:
    """Give the first window that can be used."""
    said = next(iter(texts(attributes, tags.VOILUTFunction)), "")
    function = VoiFunction(said) if said in list(VoiFunction) else VoiFunction.LINEAR
    for center, width in zip(
        numbers(attributes, tags.WindowCenter), numbers(attributes, tags.WindowWidth), strict=False
    ):
        if center is None or width is None or width <= 0:
            continue
        if function is VoiFunction.LINEAR and width < 1:  # forbidden, and what float images have all the same
            return Window(center, width, VoiFunction.LINEAR_EXACT)
        return Window(center, width, function)
    return None


def is_image(attributes: Attributes) -> bool:
    """Say whether an instance has pixels to show."""
    return any(tags.key(tag) in attributes for tag in (tags.PixelData, tags.FloatPixelData, tags.DoubleFloatPixelData))
