"""Writer: DICOM JSON attributes to an encoded data set (PS3.5 section 7).

Rule: sequences and items are written with defined lengths, values padded to
even length; what a VR cannot hold is refused, never cut.
"""

import zlib
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from struct import Struct
from struct import error as struct_error
from typing import Any, Final, cast

from leadglass.dicom import tags, uids
from leadglass.dicom.charset import encode
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.values import LONG_FORM, NUMBERS, TEXT_IN_CHARSET, WORD, swapped
from leadglass.dicom.vocabulary import Encoding, encoding_of
from leadglass.errors import BadInput, Unsupported

UNICODE: Final = "ISO_IR 192"
_LONGEST_SHORT: Final = 0xFFFE


class Unwritable(Exception):  # noqa: N818 - a signal between two functions of this module's callers
    """The character set cannot carry the text."""


class Writer:
    """Writes data sets in one transfer syntax and one character set.

    Parameters
    ----------
    transfer_syntax_uid : str
        Implicit or Explicit VR Little Endian, Explicit VR Big Endian, or Deflated.
    charset : tuple of str
        Values of Specific Character Set for the text; empty is the default repertoire.

    Raises
    ------
    Unsupported
        For a transfer syntax of encapsulated pixel data.
    """

    __slots__ = ("_charset", "_element", "_encoding", "_heads", "_is_deflated", "_item", "_long", "_order", "_short")

    def __init__(self, transfer_syntax_uid: str, charset: tuple[str, ...] = ()) -> None:
        if transfer_syntax_uid not in uids.UNCOMPRESSED:
            raise Unsupported("Identifiers are written in uncompressed transfer syntaxes only.")
        self._encoding: Encoding = encoding_of(transfer_syntax_uid)
        self._is_deflated = transfer_syntax_uid in uids.DEFLATED
        self._charset = charset
        self._order = ">" if self._encoding.is_big_endian else "<"
        self._long = Struct(self._order + "I").pack
        self._short = Struct(self._order + "H").pack
        self._item = Struct(self._order + "HHI").pack
        self._heads: dict[tuple[str, str], bytes] = {}

    def write(self, attributes: Attributes) -> bytes:
        """Give the data set.

        Raises
        ------
        Unwritable
            When the character set cannot carry a text.
        BadInput
            When an element is not a valid one of the JSON model.
        """
        written = self._data_set(attributes)
        if not self._is_deflated:
            return written
        deflater = zlib.compressobj(wbits=-15)
        deflated = deflater.compress(written) + deflater.flush()
        return deflated + b"\0" if len(deflated) % 2 else deflated

    def _data_set(self, attributes: Attributes) -> bytes:
        parts: list[bytes] = []
        for name in sorted(attributes):
            element = attributes[name]
            vr = element["vr"]
            value = self._sequence(element) if vr == "SQ" else self.value(name, element)
            parts.append(self._header(name, vr, len(value)))
            parts.append(value)
        return b"".join(parts)

    def _header(self, name: str, vr: str, length: int) -> bytes:
        head = self._heads.get((name, vr))
        if head is None:
            try:
                tag = int(name, 16)
                head = self._short(tag >> 16) + self._short(tag & 0xFFFF)
                if not self._encoding.is_implicit:
                    head += vr.encode("ascii") + (b"\0\0" if vr in LONG_FORM else b"")
            except (ValueError, struct_error):
                raise BadInput("A tag must be eight hexadecimal digits and a VR two letters.") from None
            self._heads[name, vr] = head
        if self._encoding.is_implicit or vr in LONG_FORM:
            return head + self._long(length)
        if length > _LONGEST_SHORT:
            raise BadInput(f"A value of VR {vr} is longer than 65,534 bytes.")
        return head + self._short(length)

    def _sequence(self, element: JsonElement) -> bytes:
        parts: list[bytes] = []
        for item in cast("list[Attributes]", element.get("Value", [])):
            written = self._data_set(item)
            parts.append(self._item(tags.ITEM_GROUP, tags.Item & 0xFFFF, len(written)))
            parts.append(written)
        return b"".join(parts)

    def value(self, name: str, element: JsonElement) -> bytes:
        """Give the value of an element that is no sequence, padded to even length; raises as ``write``."""
        value = self._value(name, element)
        if len(value) % 2:
            value += b"\0" if element["vr"] == "UI" or "InlineBinary" in element else b" "
        return value

    def _value(self, name: str, element: JsonElement) -> bytes:
        values = element.get("Value")
        vr = element["vr"]
        if values:
            return self._numbers(vr, values) if vr in NUMBERS else self._text(vr, values)
        inline = element.get("InlineBinary")
        if not inline:
            return b""
        try:
            raw = b64decode(inline, validate=True)
        except (NotBase64, ValueError):
            raise BadInput(f"The inline binary value of {name} is not Base64.") from None
        return swapped(raw, WORD.get(vr, 1)) if self._encoding.is_big_endian else raw

    def _numbers(self, vr: str, values: list[Any]) -> bytes:
        code = NUMBERS[vr]
        try:
            if vr == "AT":
                return b"".join(self._short(int(v[:4], 16)) + self._short(int(v[4:], 16)) for v in values)
            read: Callable[[Any], float] = float if vr in ("FL", "FD") else int
            return Struct(f"{self._order}{len(values)}{code}").pack(*(read(v) for v in values))
        except (struct_error, TypeError, ValueError, OverflowError):
            raise BadInput(f"A value is not one of VR {vr}.") from None

    def _text(self, vr: str, values: list[Any]) -> bytes:
        if vr == "PN":
            text = "\\".join(_name(value) for value in values)
        elif len(values) == 1 and isinstance(values[0], str):
            text = values[0]
        else:
            text = "\\".join(_spelled(vr, value) for value in values)
        if text.isascii():
            return text.encode("ascii")
        if vr not in TEXT_IN_CHARSET and vr != "PN":
            return text.encode("ascii", "replace")
        encoded = encode(text, self._charset, is_name=vr == "PN")
        if encoded is None:
            raise Unwritable
        return encoded


def _name(value: object) -> str:
    if isinstance(value, dict):
        groups = cast("dict[str, str]", value)
        return "=".join(groups.get(name, "") for name in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
    return "" if value is None else str(value)


def _spelled(vr: str, value: object) -> str:
    """Spell a value as text; a DS that needs more than 16 characters is rounded to fit (PS3.5 section 6.2)."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    text = repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    digits = 15
    while vr == "DS" and len(text) > 16 and digits:
        text = f"{value:.{digits}g}"
        digits -= 1
    return text


def write_identifier(attributes: Attributes, transfer_syntax_uid: str, charset: tuple[str, ...]) -> bytes:
    """Give a data set whose Specific Character Set is the least that carries its text.

    Parameters
    ----------
    attributes : Attributes
        Its own Specific Character Set is not looked at.
    transfer_syntax_uid : str
        An uncompressed transfer syntax.
    charset : tuple of str
        What the reader asked in; used when it is needed and can carry the text.
    """
    name = tags.key(tags.SpecificCharacterSet)
    plain = {tag: element for tag, element in attributes.items() if tag != name}
    for terms in ((), charset, (UNICODE,)):
        chosen: Attributes = {name: JsonElement(vr="CS", Value=list(terms)), **plain} if terms else plain
        try:
            return Writer(transfer_syntax_uid, terms).write(chosen)
        except Unwritable:
            continue
    raise BadInput("A text cannot be written even in Unicode: it holds half a surrogate pair.")
