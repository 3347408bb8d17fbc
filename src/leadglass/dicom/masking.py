"""Masking: a data set with chosen attributes empty, written anew around values that stay where they lie.

Rule 1. What is masked is empty wherever it stands, in sequences too. Rule 2.
Under a mask nothing leaves that nobody vouches for: private elements, elements
that the dictionary does not know, graphics, icons, signatures, and copies of
what attributes once held. Rule 3. Everything else leaves with the bytes it was
stored with, in the transfer syntax it was stored in.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Final, cast

from leadglass.dicom import dictionary, tags, uids
from leadglass.dicom.deflate import deflated
from leadglass.dicom.inflate import plain
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.pieces import Piece, Pieces, Zeros
from leadglass.dicom.recode import RawDataSet, lay_out, sequence_in
from leadglass.dicom.source import ReadAt
from leadglass.errors import Unsupported

_DROPPED: Final = frozenset(
    {
        tags.IconImageSequence,
        tags.EncryptedAttributesSequence,
        tags.ModifiedAttributesSequence,
        tags.NonconformingModifiedAttributesSequence,
        tags.OriginalAttributesSequence,
        tags.MACParametersSequence,
        tags.DigitalSignaturesSequence,
        tags.DataSetTrailingPadding,
        tags.ContentSequence,
        tags.EncapsulatedDocument,
    }
)
"""A small image nobody judged, what attributes once held, signatures over what is no longer there, padding, and
the text of reports and documents."""

_STRUCTURE: Final = frozenset(
    tags.key(tag)
    for tag in (
        tags.SpecificCharacterSet,
        tags.SOPClassUID,
        tags.SOPInstanceUID,
        tags.StudyInstanceUID,
        tags.SeriesInstanceUID,
        tags.SamplesPerPixel,
        tags.PhotometricInterpretation,
        tags.PlanarConfiguration,
        tags.NumberOfFrames,
        tags.Rows,
        tags.Columns,
        tags.BitsAllocated,
        tags.BitsStored,
        tags.HighBit,
        tags.PixelRepresentation,
        tags.FloatPixelData,
        tags.DoubleFloatPixelData,
        tags.PixelData,
    )
)
"""What an instance is not one without, or its image not an image."""

_LONGEST_UNKNOWN: Final = 16 << 20
"""Bytes of a sequence in VR UN that is looked into; a longer one is emptied."""


@lru_cache(maxsize=8192)
def is_dropped(name: str) -> bool:
    """Say whether an element does not leave at all under a mask, whatever the mask.

    Parameters
    ----------
    name : str
        Eight hexadecimal digits.
    """
    tag = int(name, 16)
    return (
        tags.is_private(tag)
        or tags.is_graphics(tag)
        or tag in _DROPPED
        # Of repeating groups, retired all of them, nothing leaves either: 7Fxx is another image, which nobody judged.
        or (not tags.is_group_length(tag) and tag not in dictionary.elements())
    )


def mask(attributes: Attributes, masked: frozenset[str]) -> Attributes:
    """Give attributes of the JSON model as they may leave.

    Parameters
    ----------
    attributes : Attributes
        Not changed.
    masked : frozenset of str
        What is to be empty: eight hexadecimal digits each.
    """
    seen: Attributes = {}
    for name, element in attributes.items():
        if is_dropped(name):
            continue
        if name in masked:
            seen[name] = {"vr": element["vr"]}
        elif element["vr"] == "SQ" and "Value" in element:
            items = cast("list[Attributes]", element["Value"])
            seen[name] = JsonElement(vr="SQ", Value=[mask(item, masked) for item in items])
        else:
            seen[name] = element
    return seen


def open_masked(source: ReadAt, transfer_syntax_uid: str, masked: frozenset[str], limits: Limits) -> ReadAt:
    """Give a data set as it may leave, in the transfer syntax it is stored in.

    The header is written anew and held in memory; long values are read from the
    source when they are asked for.

    Parameters
    ----------
    source : ReadAt
        The data set as stored; it stays open for as long as the answer is read.
    transfer_syntax_uid : str
        Of the data set: one of the Standard.
    masked : frozenset of str
        What is to be empty.
    limits : Limits
        What reading may cost.

    Raises
    ------
    BadInput
        When the data set cannot be read.
    Unsupported
        When something is masked that no instance can be without.
    """
    if masked & _STRUCTURE:
        raise Unsupported("An instance cannot leave without an attribute that the caller's view masks.")
    data_set = RawDataSet(source, transfer_syntax_uid, limits)
    seen = mask(_known(data_set, data_set.reading.attributes, masked, limits), masked)
    laid_out = Pieces(lay_out(data_set, seen, transfer_syntax_uid), data_set.source)
    if transfer_syntax_uid not in uids.DEFLATED:
        return laid_out
    return deflated(laid_out, limits.inflation_free)


def open_blanked(
    source: ReadAt, transfer_syntax_uid: str, places: Collection[tuple[int, int]], limits: Limits
) -> ReadAt:
    """Give a data set of which only some places can be read, at their own offsets; everything else is zeros.

    Parameters
    ----------
    source : ReadAt
        The data set as stored; it stays open for as long as the answer is read.
    transfer_syntax_uid : str
        Of the data set. Where it is deflated, so is the answer.
    places : collection of tuple of int
        Offset and length of what can be read, in the (inflated) data set.
    limits : Limits
        What inflating may cost.

    Raises
    ------
    BadInput
        When the data set cannot be inflated.
    """
    elements = plain(source, transfer_syntax_uid, limits)
    pieces: list[Piece] = []
    end = 0
    for offset, length in sorted(places):
        if offset < end or offset + length > elements.size:
            continue
        pieces += [Zeros(offset - end), (offset, length)]
        end = offset + length
    blanked = Pieces([*pieces, Zeros(elements.size - end)], elements)
    return deflated(blanked, limits.inflation_free) if transfer_syntax_uid in uids.DEFLATED else blanked


def _known(data_set: RawDataSet, attributes: Attributes, masked: frozenset[str], limits: Limits) -> Attributes:
    """Give the elements that were written as unknown and are not the VR they have, in sequences too.

    A sequence that somebody without this dictionary wrote as bytes may hold
    what is masked: it becomes a sequence again, or is emptied.
    """
    seen: Attributes = {}
    for name, element in attributes.items():
        if is_dropped(name):
            continue
        if element["vr"] == "SQ" and "Value" in element:
            items = [_known(data_set, item, masked, limits) for item in data_set.items(element)]
            seen[name] = JsonElement(vr="SQ", Value=items)
        elif element["vr"] == "UN" and name not in masked and dictionary.vr(int(name, 16)) == "SQ":
            seen[name] = _sequence(data_set, element, masked, limits)
        else:
            seen[name] = element
    return seen


def _sequence(data_set: RawDataSet, element: JsonElement, masked: frozenset[str], limits: Limits) -> JsonElement:
    place = element.get("BulkDataURI", "")
    if data_set.is_big_endian or (place and int(place.rpartition(",")[2]) > _LONGEST_UNKNOWN):
        return {"vr": "SQ"}
    items = sequence_in(data_set.value(element), limits)
    if items is None or _has_places(items):
        return {"vr": "SQ"}
    return JsonElement(vr="SQ", Value=[_known(data_set, item, masked, limits) for item in items])


def _has_places(items: list[Attributes]) -> bool:
    """Say whether a value was left where it lies, which is in bytes that only look like a data set."""
    return any(
        "BulkDataURI" in element or (element["vr"] == "SQ" and _has_places(element.get("Value", [])))
        for item in items
        for element in item.values()
    )
