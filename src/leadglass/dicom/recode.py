"""Recode: write a data set in another uncompressed encoding, value by value, content untouched.

Rule: values are bytes here. They are padded, and their byte order is turned
where the encoding asks for it; nothing is decoded, so nothing can be lost.
"""

from dataclasses import replace
from struct import Struct
from typing import Final, cast

from leadglass.dicom import tags, uids
from leadglass.dicom.deflate import deflated
from leadglass.dicom.inflate import plain
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes, JsonElement, bulk_location, is_encapsulated_bulk
from leadglass.dicom.native import pixel_word
from leadglass.dicom.pieces import Piece, Pieces, Turned
from leadglass.dicom.reader import Reading, read
from leadglass.dicom.source import Bytes, ReadAt
from leadglass.dicom.values import BINARY, LONG_FORM, NUMBERS, WORD, swapped
from leadglass.dicom.vocabulary import IMPLICIT, encoding_of, is_text
from leadglass.errors import BadInput, Unsupported

_LONGEST_SHORT: Final = 0xFFFE
_UNDEFINED: Final = 0xFFFFFFFF
_ANY_SEQUENCE: Final = tags.key(tags.RequestAttributesSequence)
_ICON: Final = tags.key(tags.IconImageSequence)
_PIXEL_DATA: Final = tags.key(tags.PixelData)
_BITS_ALLOCATED: Final = tags.key(tags.BitsAllocated)


def word_size(vr: str) -> int:
    """Give the bytes of a word of a VR, whose order hangs on the transfer syntax; 1 where none does."""
    if vr in NUMBERS:
        return 2 if vr == "AT" else Struct("<" + NUMBERS[vr]).size
    return WORD.get(vr, 1)


class RawDataSet:
    """A data set as a tree of undecoded values.

    Parameters
    ----------
    source : ReadAt
        The data set as stored.
    transfer_syntax_uid : str
        Its transfer syntax.
    limits : Limits
        What reading it may cost.

    Raises
    ------
    BadInput
        When it cannot be read.
    """

    __slots__ = ("is_big_endian", "reading", "source")

    def __init__(self, source: ReadAt, transfer_syntax_uid: str, limits: Limits) -> None:
        self.source = plain(source, transfer_syntax_uid, limits)
        encoding = encoding_of(transfer_syntax_uid)
        self.is_big_endian = encoding.is_big_endian
        self.reading: Reading = read(self.source, encoding, limits, keeps_bytes=True)

    def value(self, element: JsonElement) -> bytes:
        """Give the bytes of a value as stored."""
        location = bulk_location(element.get("BulkDataURI", ""))
        if location is not None:
            return self.source.read_at(*location)
        values = element.get("Value", [b""])
        return cast("bytes", values[0])

    def word(self, name: str, attributes: Attributes) -> int:
        """Give the bytes of a word of one of the attributes of a data set or an item; 1 where it has none."""
        vr = attributes[name]["vr"]
        if name != _PIXEL_DATA:
            return word_size(vr)
        allocated = self.value(attributes.get(_BITS_ALLOCATED, {"vr": "US"}))[:2]
        return pixel_word(vr, int.from_bytes(allocated, "big" if self.is_big_endian else "little"))

    def little_endian(self, name: str, attributes: Attributes) -> bytes:
        """Give the bytes of the value of one of the attributes of a data set or an item as Little Endian."""
        raw = self.value(attributes[name])
        return swapped(raw, self.word(name, attributes)) if self.is_big_endian else raw

    def items(self, element: JsonElement) -> list[Attributes]:
        """Give the items of a sequence."""
        return cast("list[Attributes]", element.get("Value", []))


def sequence_in(raw: bytes, limits: Limits) -> list[Attributes] | None:
    """Read the value of an element of VR UN as the items of a sequence; None when it is none.

    In Implicit VR a private sequence of defined length cannot be told from any other value.
    """
    head = Struct("<HHI").pack(int(_ANY_SEQUENCE[:4], 16), int(_ANY_SEQUENCE[4:], 16), len(raw))
    whole = replace(limits, value_bytes=len(raw), kept_bytes=len(raw) + len(head))
    try:
        reading = read(Bytes(head + raw), IMPLICIT, whole, keeps_bytes=True)
    except BadInput:
        return None
    return cast("list[Attributes]", reading.attributes[_ANY_SEQUENCE].get("Value", []))


class _Recoder:
    """Writes one raw data set in one transfer syntax."""

    __slots__ = ("_data_set", "_is_big_endian", "_is_implicit", "_item", "_long", "_short", "_turns")

    def __init__(self, data_set: RawDataSet, transfer_syntax_uid: str) -> None:
        encoding = encoding_of(transfer_syntax_uid)
        self._data_set = data_set
        self._is_implicit = encoding.is_implicit
        self._is_big_endian = encoding.is_big_endian
        self._turns = encoding.is_big_endian != data_set.is_big_endian
        order = ">" if encoding.is_big_endian else "<"
        self._short = Struct(order + "H").pack
        self._long = Struct(order + "I").pack
        self._item = Struct(order + "HHI").pack

    def write(self, attributes: Attributes, parts: list[Piece]) -> int:
        """Append the elements; gives how many bytes they are."""
        size = 0
        for name in sorted(attributes):
            element = attributes[name]
            if element["vr"] == "SQ":
                inner: list[Piece] = []
                length = self._write_items(element, inner)
                size += self._header(name, "SQ", length, parts) + length
                parts.extend(inner)
            elif is_encapsulated_bulk(element.get("BulkDataURI", "")):
                if self._is_big_endian or self._data_set.is_big_endian:
                    raise Unsupported("Encapsulated pixel data inside an item cannot be turned to Big Endian.")
                place = self._place(element)
                size += self._header(name, element["vr"], _UNDEFINED, parts) + place[1]
                parts.append(place)
            else:
                length, value = self._value(name, attributes)
                padding = length % 2
                size += self._header(name, element["vr"], length + padding, parts) + length + padding
                parts.append(value)
                if padding:
                    parts.append(_padding(element["vr"]))
        return size

    def _place(self, element: JsonElement) -> tuple[int, int]:
        """Give where a value lies that was left where it is."""
        place = bulk_location(element.get("BulkDataURI", ""))
        if place is None:
            raise BadInput("The place of a value is not one in this data set.")
        return place

    def _write_items(self, element: JsonElement, parts: list[Piece]) -> int:
        size = 0
        for item in self._data_set.items(element):
            inner: list[Piece] = []
            length = self.write(item, inner)
            parts.append(self._item(tags.ITEM_GROUP, tags.Item & 0xFFFF, length))
            parts.extend(inner)
            size += 8 + length
        return size

    def _value(self, name: str, attributes: Attributes) -> tuple[int, Piece]:
        """Give the length of a value, and the value, or where it lies if it was left there."""
        element = attributes[name]
        word = self._data_set.word(name, attributes) if self._turns else 1
        if "BulkDataURI" in element:
            place = self._place(element)
            return place[1], place if word == 1 else Turned(*place, word)
        raw = swapped(self._data_set.value(element), word)
        return len(raw), raw

    def _header(self, name: str, vr: str, length: int, parts: list[Piece]) -> int:
        tag = int(name, 16)
        head = self._short(tag >> 16) + self._short(tag & 0xFFFF)
        if self._is_implicit:
            head += self._long(length)
        elif vr in LONG_FORM:
            head += vr.encode("ascii") + b"\0\0" + self._long(length)
        elif length > _LONGEST_SHORT:
            if self._is_big_endian and word_size(vr) > 1:
                raise Unsupported("A numeric value longer than 65,534 bytes cannot be written as Big Endian.")
            head += b"UN\0\0" + self._long(length)  # PS3.5 section 6.2.2: UN where a length does not fit
        else:
            head += vr.encode("ascii") + self._short(length)
        parts.append(head)
        return len(head)


def _padding(vr: str) -> bytes:
    """Give the byte that makes an odd length even (PS3.5 section 6.2)."""
    return b" " if is_text(vr) and vr != "UI" else b"\0"


def lay_out(data_set: RawDataSet, attributes: Attributes, transfer_syntax_uid: str) -> list[Piece]:
    """Give what a data set consists of in a transfer syntax, before it is deflated; long values stay where they lie.

    Parameters
    ----------
    data_set : RawDataSet
        Where values that are not in ``attributes`` themselves are read from.
    attributes : Attributes
        What to write; values are bytes in the byte order of ``data_set``.
    transfer_syntax_uid : str
        One in which pixel data stays as it is.
    """
    pieces: list[Piece] = []
    _Recoder(data_set, transfer_syntax_uid).write(attributes, pieces)
    return pieces


def without_compressed_icons(attributes: Attributes) -> Attributes:
    """Give the attributes without icons whose pixel data is encapsulated: no native transfer syntax may hold them."""
    icon = attributes.get(_ICON)
    if icon is None:
        return attributes
    items = cast("list[Attributes]", icon.get("Value", []))
    if not any(is_encapsulated_bulk(each.get("BulkDataURI", "")) for item in items for each in item.values()):
        return attributes
    return {name: element for name, element in attributes.items() if name != _ICON}


def is_binary(vr: str) -> bool:
    """Say whether values of a VR are not text."""
    return vr in BINARY or vr in NUMBERS


def recode(source: ReadAt, from_ts: str, to_ts: str, limits: Limits) -> bytes:
    """Give a data set of one uncompressed transfer syntax in another.

    Raises
    ------
    BadInput
        When it cannot be read.
    Unsupported
        When a value cannot be written there.
    """
    data_set = RawDataSet(source, from_ts, limits)
    pieces = Pieces(lay_out(data_set, data_set.reading.attributes, to_ts), data_set.source)
    made = deflated(pieces, limits.inflation_free) if to_ts in uids.DEFLATED else pieces
    return made.read_at(0, made.size)
